"""Whatever becomes of the extender, a real kube-scheduler with the shipped configuration places every pod.

No test here is decided by how long something took: the limits are the configured time-out for each pod of the queue and
a minute more. What kube-scheduler needed on average is printed at the end (pytest -s).
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from extender.server import CONNECTIONS
from testbed.component import Component
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    make_nodes,
    pod_spec,
    session_pod,
    sticky_runtime,
)
from tests.extender.queue import PODS, Line, Outcome
from tests.extender.standin import Behaviour, Crowd, StandIn, endless, late, passes_on, raw, says, stalls
from tests.recorder.tcpproxy import TcpProxy
from tests.waiting import eventually

NODES = [f"harmless-{number}" for number in range(5)]
WANTED = NODES[3]
JSON = ("Content-Type: application/json",)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
# Enough for the extender itself (about 20), few enough to be used up by a test.
FILES = 48
# Seconds for which the API server is gone at least: OUTAGE_SECONDS=180 for minutes.
OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "10"))

Report = Callable[[str, Outcome], None]


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    """Collects a line of figures a case, and prints them at the end."""
    rows: list[str] = []

    def add(case: str, outcome: Outcome) -> None:
        why = next(iter(outcome.dropped.values()), "-")
        dropped = f"{len(outcome.dropped)} of {len(outcome.nodes)}"
        rows.append(f"| {case} | {outcome.seconds * 1000:.1f} | {dropped} | {why[-110:]} |")

    yield add
    print("\n| case | ms a pod | answers dropped | what kube-scheduler said |\n|---|---|---|---|", *rows, sep="\n")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Stack]:
    """Five nodes; a workload of "default" remembers the one that is half full, so nobody goes there without points."""
    with Stack.start() as stack:
        nodes = make_nodes(stack, NODES)
        create(stack, sticky_runtime("w", "default", entry(nodes[WANTED])))
        load = pod_spec(nodeName=WANTED)
        load["containers"][0]["resources"] = {"requests": {"cpu": "5", "memory": "20Gi"}}
        create(stack, session_pod("default", "load", spec=load))
        stack.start_extender()
        Wire(stack.extender_url).expect("preferred", session_pod("default", workload="w"), NODES)
        yield stack


@pytest.fixture
def stack(cluster: Stack) -> Stack:
    return cluster


@pytest.fixture(scope="module")
def stand_in(cluster: Stack) -> Iterator[StandIn]:
    with StandIn(healthy(cluster)) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def fooled(cluster: Stack, stand_in: StandIn) -> Line:
    """kube-scheduler that asks the stand-in."""
    return Line(cluster, "fooled", stand_in.url, "default", "w")


@pytest.fixture(scope="module")
def line(cluster: Stack) -> Line:
    """kube-scheduler that asks the extender itself."""
    return Line(cluster, "line", cluster.extender_url, "default", "w")


def healthy(stack: Stack) -> Behaviour:
    return passes_on(int(stack.extender_url.rpartition(":")[2]))


def comes_back(line: Line) -> None:
    """Nothing but time brings the points back: sooner or later a session is put on the node that it wants."""
    eventually(lambda: line.one() == WANTED, f"a session on {WANTED}", 60)


# Garbage


class Case(NamedTuple):
    """``points``: whether kube-scheduler takes the answer for one, whatever it says."""

    name: str
    behaviour: Behaviour
    points: bool = False


def scores(*pairs: tuple[object, object]) -> bytes:
    return json.dumps([{"Host": host, "Score": score} for host, score in pairs]).encode()


GARBAGE = [
    Case("a page of HTML", says(b"<!DOCTYPE html><html></html>", headers=("Content-Type: text/html",))),
    Case("nothing at all", says(b"")),
    Case("an object", says(b'{"Host": "harmless-3", "Score": 10}')),
    Case("a number", says(b"42")),
    Case("text for a score", says(scores((WANTED, "10")))),
    Case("a fraction for a score", says(scores((WANTED, 10.5)))),
    Case("a score beyond 64 bits", says(scores((WANTED, 10**30)))),
    Case("null for a list", says(b"null"), points=True),
    Case("hosts that nobody knows", says(scores(("nobody", 10), ("", 10), ("../etc", 7))), points=True),
    Case("negative scores", says(scores(*((name, -(10**9)) for name in NODES))), points=True),
    Case("scores that overflow", says(scores(*((name, 2**62 + i) for i, name in enumerate(NODES)))), points=True),
    Case("one host a thousand times", says(scores(*[(NODES[0], 1)] * 1000)), points=True),
    Case("status 500", says(scores((WANTED, 10)), "500 Internal Server Error")),
    Case("status 404", says(b"not found", "404 Not Found")),
    Case("status 204", says(b"", "204 No Content")),
    Case("a redirect to elsewhere", says(b"", "302 Found", ("Location: http://127.0.0.1:9/",))),
    Case("a redirect to itself", says(b"", "307 Temporary Redirect", ("Location: /prioritize",))),
    Case("no HTTP", raw(b"\x00\x01\x02 SSH-2.0-nobody\r\n\r\n")),
    Case("headers without end", endless(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n" * 1000)),
    Case("a body without end", endless(OK + b"\r\n[", b'{"Host": "nobody", "Score": 1},' * 1000)),
    Case("blanks without end", endless(OK + b"\r\n", b" " * 32768)),
    Case("half a body, then the end", says(b'[{"Host": "harm', headers=JSON, length=60)),
    Case("half a body, then silence", stalls(OK + b'Content-Length: 60\r\n\r\n[{"Host": "harm')),
    Case("broken chunks", raw(OK + b"Transfer-Encoding: chunked\r\n\r\nnot a number\r\n[]\r\n0\r\n\r\n")),
    Case("broken gzip", says(b"\x1f\x8b" + b"\x00" * 30, headers=("Content-Encoding: gzip",))),
    Case("a gzip bomb", says(gzip.compress(b" " * 50_000_000), headers=("Content-Encoding: gzip",))),
    Case("the connection closed at once", raw(b"")),
    Case("silence", stalls()),
    Case("an answer after the time-out", late(1.5, says(scores((WANTED, 10))))),
]  # fmt: skip


@pytest.mark.parametrize("case", GARBAGE, ids=lambda case: case.name)
def test_every_pod_is_placed_whatever_the_extenders_answer_is(
    stack: Stack, stand_in: StandIn, fooled: Line, report: Report, case: Case
) -> None:
    stand_in.behaviour = case.behaviour
    asked = len(stand_in.requests)
    try:
        outcome = fooled.run()
    finally:
        stand_in.behaviour = healthy(stack)
    report(case.name, outcome)
    assert len(stand_in.requests) > asked
    assert set(outcome.nodes.values()) <= set(NODES)
    if case.points:
        # An answer can still come too late on a busy machine; no other fault may be seen in it.
        assert all("Timeout" in why or "deadline" in why for why in outcome.dropped.values())
    else:
        assert outcome.all_dropped
        assert WANTED not in outcome.nodes.values()
    comes_back(fooled)


def test_an_answer_just_before_the_time_out_counts_and_one_that_is_late_is_only_lost(
    stack: Stack, stand_in: StandIn, fooled: Line, report: Report
) -> None:
    """Whether 80 % of the time-out is early enough depends on the machine; that one or the other happens does not."""
    stand_in.behaviour = late(0.8 * fooled.timeout_seconds, healthy(stack))
    try:
        outcome = fooled.run()
    finally:
        stand_in.behaviour = healthy(stack)
    report("an answer after 80 % of the time-out", outcome)
    assert {pod: node == WANTED for pod, node in outcome.nodes.items()} == {
        pod: pod not in outcome.dropped for pod in outcome.nodes
    }
    comes_back(fooled)


# The extender itself


def test_while_the_extender_is_stopped_pods_are_placed_and_afterwards_sessions_come_back(
    stack: Stack, line: Line, report: Report
) -> None:
    """SIGSTOP: the kernel takes connections, and nobody ever answers."""
    assert stack.extender is not None
    comes_back(line)
    stack.extender.pause()
    try:
        outcome = line.run()
    finally:
        stack.extender.resume()
    report("stopped (SIGSTOP)", outcome)
    assert outcome.all_dropped
    assert WANTED not in outcome.nodes.values()
    comes_back(line)


def test_after_the_extender_was_killed_pods_are_placed_and_a_new_one_brings_sessions_back(
    stack: Stack, line: Line, report: Report
) -> None:
    assert stack.extender is not None
    comes_back(line)
    stack.extender.kill()
    try:
        outcome = line.run()
    finally:
        stack.extender.start()
    report("killed", outcome)
    assert outcome.all_dropped
    assert all("connection refused" in why for why in outcome.dropped.values())
    comes_back(line)


def test_while_the_extender_restarts_pods_are_placed(stack: Stack, line: Line, report: Report) -> None:
    assert stack.extender is not None
    comes_back(line)
    pods = line.pods(4 * PODS)
    for number, pod in enumerate(pods):
        create(stack, pod)
        if number == PODS:
            stack.extender.restart()
    nodes = line.bound(pods)
    assert set(nodes.values()) <= set(NODES)
    for pod in pods:
        stack.api.delete(f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")
    comes_back(line)
    report("after a restart", line.run())


class Behind(NamedTuple):
    """An extender of its own whose way to the API server leads through ``proxy``."""

    url: str
    wire: Wire
    component: Component
    proxy: TcpProxy


def start(stack: Stack, name: str, kubeconfig: Path, files: int | None = None) -> tuple[str, Component]:
    """An extender that need not be ready, allowed to open so many files."""
    url = f"http://127.0.0.1:{stack.cp.free_port()}"
    limit = f"ulimit -n {files}; " if files else ""
    argv = ["/bin/sh", "-c", f'{limit}exec "$@"', "sh", sys.executable, "-m", "extender.program"]
    argv += ["--kubeconfig", str(kubeconfig), "--bind", url.removeprefix("http://")]
    return url, stack.cp.spawn(name, argv, ready_url=f"{url}/livez", cwd=REPOSITORY)


@pytest.fixture
def behind(stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Behind]:
    with TcpProxy(int(stack.cp.url.rpartition(":")[2])) as proxy:
        proxy.refusing = bool(getattr(request, "param", False))
        kubeconfig = proxy.kubeconfig(stack.cp.kubeconfig, tmp_path / "kubeconfig")
        url, component = start(stack, f"behind-{proxy.port}", kubeconfig)
        yield Behind(url, Wire(url), component, proxy)
        component.stop()


def readiness(wire: Wire) -> int:
    return wire.request("GET", "/readyz")[0]


@pytest.mark.parametrize("behind", [True], indirect=True, ids=["API server out of reach"])
def test_before_it_is_synced_the_extender_answers_nothing_and_says_so(
    stack: Stack, behind: Behind, report: Report
) -> None:
    line = Line(stack, "unsynced", behind.url, "default", "w")
    try:
        assert readiness(behind.wire) == 503
        outcome = line.run()
        report("not synced yet", outcome)
        assert WANTED not in outcome.nodes.values()
        counted = behind.wire.results()["not_synced"]
        assert counted >= len(outcome.nodes) - len(outcome.dropped)
        assert readiness(behind.wire) == 503
        behind.proxy.refusing = False
        eventually(lambda: readiness(behind.wire) == 200, "the extender to be ready", 60)
        comes_back(line)
        assert sum(behind.wire.results().values()) > counted
    finally:
        line.scheduler.stop()


def ages(stack: Stack, behind: Behind) -> dict[str, float]:
    """Resource -> lastnode_watch_age_seconds."""
    start = "lastnode_watch_age_seconds"
    return {name: value for name, value in stack.metrics(behind.url).items() if name.startswith(start)}


def test_without_its_api_server_the_extender_answers_from_its_last_view_and_tells_its_age(
    stack: Stack, behind: Behind, report: Report
) -> None:
    """The extender's only connections are cut and every new one is refused, for OUTAGE seconds."""
    eventually(lambda: readiness(behind.wire) == 200, "the extender to be ready", 60)
    line = Line(stack, "cut-off", behind.url, "default", "w")
    try:
        comes_back(line)
        behind.proxy.refusing = True
        behind.proxy.cut()
        at_first = ages(stack, behind)
        assert len(at_first) == 4
        # By so much for each resource: so the outage has lasted as long, whatever the machine does meanwhile.
        eventually(
            lambda: all(age >= at_first[name] + OUTAGE for name, age in ages(stack, behind).items()),
            "ages to grow",
            OUTAGE + 50,
        )
        outcome = line.run()
        report("API server gone", outcome)
        assert {pod for pod, node in outcome.nodes.items() if node != WANTED} == set(outcome.dropped)
        assert readiness(behind.wire) == 200
        create(stack, sticky_runtime("made-meanwhile", "default", entry(stack.api.get(f"/api/v1/nodes/{NODES[1]}"))))
        pod = session_pod("default", workload="made-meanwhile")
        assert behind.wire.ask(pod, NODES).result == "unattributed"

        behind.proxy.refusing = False
        # After minutes the watches knock only every 15 to 30 s: lastnode.kube.queue.
        behind.wire.expect_node(NODES[1], pod, NODES, seconds=90)
        heard: set[str] = set()  # each in its own time: an idle resource ages again once it was heard

        def all_heard() -> bool:
            heard.update(name for name, age in ages(stack, behind).items() if age < OUTAGE)
            return heard == at_first.keys()

        eventually(all_heard, "the view to be young again", 90)
        comes_back(line)
    finally:
        line.scheduler.stop()


@pytest.fixture
def few_files(stack: Stack) -> Iterator[Wire]:
    url, extender = start(stack, "few-files", stack.cp.kubeconfig, FILES)
    wire = Wire(url)
    eventually(lambda: readiness(wire) == 200, "the extender to be ready", 60)
    yield wire
    extender.stop()


def test_out_of_file_descriptors_the_extender_lives_on_and_answers(
    stack: Stack, few_files: Wire, report: Report
) -> None:
    """Clients that only connect take every file there is: the longest silent of them have to give theirs up."""
    url = f"http://{few_files.host}:{few_files.port}"
    line = Line(stack, "few-files-line", url, "default", "w")
    try:
        comes_back(line)
        born = stack.metrics(url)["process_start_time_seconds"]
        with Crowd(few_files.host, few_files.port, 4 * FILES):
            outcome = line.run()
            comes_back(line)
        report("out of file descriptors", outcome)
        assert {pod: node == WANTED for pod, node in outcome.nodes.items()} == {
            pod: pod not in outcome.dropped for pod in outcome.nodes
        }
        assert stack.metrics(url)["process_start_time_seconds"] == born, "the worker was replaced"
    finally:
        line.scheduler.stop()


@pytest.fixture
def many_files() -> Iterator[None]:
    """For this process, which holds the clients' ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} open files, may have {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_silent_clients_than_connections_are_allowed_keep_nobody_out(
    stack: Stack, line: Line, many_files: None, report: Report
) -> None:
    comes_back(line)
    line.restart()  # so that it has no connection yet
    wire = Wire(stack.extender_url)
    with Crowd(wire.host, wire.port, CONNECTIONS + 100):
        outcome = line.run()
        comes_back(line)
    report(f"{CONNECTIONS + 100} silent clients", outcome)
