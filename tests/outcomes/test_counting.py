"""Each session is counted once, by the replica that writes its placement, whatever happens to pods and recorders.

No scheduler: pods are made on their node, so that a test decides where each of them runs.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lastnode import contract
from lastnode.outcome import SessionRecord
from lastnode.reasons import Reason
from recorder.why.inquiry import BURST, PER_SECOND, Look
from testbed.stack import Stack
from tests.recorder.space import Space
from tests.waiting import eventually

_names = itertools.count(1)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def space(stack: Stack) -> Iterator[Space]:
    """With a recorder of its own, whose counters begin at nothing."""
    stack.start_recorder(name=f"recorder-{next(_names)}")
    yield Space(stack)
    assert stack.recorder is not None
    if stack.recorder.alive:
        stack.recorder.stop()


def sessions(space: Space, count: int) -> list[SessionRecord]:
    """What the recorder says of this namespace once it has counted that many."""
    return eventually(lambda: found if len(found := own(space)) == count else None, f"{count} sessions to be counted")


def own(space: Space) -> list[SessionRecord]:
    """Of the workload "w" of this test."""
    return [record for record in space.stack.journal() if (record.namespace, record.workload) == (space.name, "w")]


def restart(space: Space) -> None:
    space.stack.start_recorder(name=f"recorder-{next(_names)}")


def test_where_nothing_is_known_of_an_extender_the_reason_is_unknown(space: Space) -> None:
    a, b = space.node("a"), space.node("b")
    space.workload()
    space.session("one", a, 1)
    space.written(a)
    space.session("two", b, 2)
    (first, moved) = sessions(space, 2)
    assert (first.outcome, first.pod) == ("first", "one")
    assert (moved.outcome, moved.reason, moved.last_node, moved.asked) == ("moved", Reason.UNKNOWN, a, "")


def test_a_session_on_an_older_node_came_back_and_nothing_tells_of_a_move(space: Space) -> None:
    a, b, c = (space.node(name) for name in "abc")
    workload = space.workload()
    for number, node in enumerate((a, b)):
        space.session(f"first-{number}", node, number)
        space.written(node)
    sessions(space, 2)
    # Together: what one of them writes is nothing to the others.
    together = [space.pod(f"s{node[-1]}", node, sandbox=space.sandbox(f"s{node[-1]}")) for node in (a, b, c)]
    for second, pod in enumerate(reversed(together), 5):
        space.status(pod, "Running", second)
    found = {record.pod: record for record in sessions(space, 5)}
    assert [found[f"s{letter}"].outcome for letter in "abc"] == ["older", "reused", "moved"]
    assert {found[f"s{letter}"].last_node for letter in "abc"} == {b}
    assert (found["sa"].reason, found["sc"].reason) == (None, Reason.UNKNOWN)
    assert space.metric('lastnode_sessions_total{kind="AgentRuntime",outcome="older",reason=""}') == 1
    uid = workload["metadata"]["uid"]
    events = space.api.get(f"/api/v1/namespaces/{space.name}/events?fieldSelector=involvedObject.uid={uid}")["items"]
    assert {event["related"]["name"] for event in events} <= {"first-1", "sc"}


def test_the_first_session_of_a_workload_on_a_node_of_its_cache_group_is_told_apart(space: Space) -> None:
    a, b = space.node("a"), space.node("b")
    group = {f"{contract.AGENTCUBE_PREFIX}/{contract.CACHE_GROUP}": "images"}
    space.workload("relative", annotations=group)
    space.session("theirs", a, 1, "relative")
    space.written(a, "relative")
    space.workload(annotations=group)
    space.session("one", a, 2)
    space.written(a)
    space.session("two", b, 3)
    (first, second) = sessions(space, 2)
    assert (first.outcome, first.last_node, first.reason) == ("group", "", None)
    assert (second.outcome, second.last_node) == ("moved", a)
    space.workload("stranger")
    space.session("three", a, 4, "stranger")
    space.written(a, "stranger")
    record = eventually(lambda: [r for r in space.stack.journal() if r.pod == "three"], "the stranger's session")[0]
    assert record.outcome == "first"


def test_a_session_that_is_ready_again_is_not_counted_again(space: Space) -> None:
    a = space.node("a")
    space.workload()
    pod = space.session("one", a, 1)
    space.written(a)
    space.status(pod, "Running")
    space.status(pod, "Running", 5)
    space.session("two", a, 9)
    assert [record.outcome for record in sessions(space, 2)] == ["first", "reused"]
    space.settled()
    assert len(own(space)) == 2


def test_all_sessions_of_a_burst_are_counted_though_they_end_in_one_write(space: Space) -> None:
    a = space.node("a")
    space.workload()
    pods = [space.pod(f"s{number}", a, sandbox=space.sandbox(f"s{number}")) for number in range(20)]
    for second, pod in enumerate(pods):
        space.status(pod, "Running", second)
    assert {record.pod for record in sessions(space, 20)} == {f"s{number}" for number in range(20)}


def test_a_session_is_counted_also_when_its_sandbox_is_seen_after_it(space: Space) -> None:
    a, b = space.node("a"), space.node("b")
    space.workload()
    space.session("one", a, 1)
    space.written(a)
    sandbox = space.sandbox("two", workload=None)
    space.status(space.pod("two", b, sandbox=sandbox), "Running", 2)
    space.settled()
    space.label_sandbox("two", "w")
    assert [record.outcome for record in sessions(space, 2)] == ["first", "moved"]


def test_a_restarted_recorder_counts_what_came_meanwhile_and_nothing_twice(space: Space) -> None:
    a, b = space.node("a"), space.node("b")
    space.workload()
    space.session("one", a, 1)
    sessions(space, 1)
    space.stack.recorder.stop()  # type: ignore[union-attr]
    space.session("two", b, 2)
    restart(space)
    (late,) = sessions(space, 1)
    assert (late.pod, late.outcome, late.reason) == ("two", "moved", Reason.UNKNOWN)
    space.settled()
    assert len(own(space)) == 1


def test_only_the_replica_that_writes_counts(space: Space) -> None:
    leading = space.stack.recorder
    assert leading is not None
    leading.stop()
    urls, replicas = [], []
    for name in ("one", "two"):
        lease = ("--leader-elect", "--lease-name", space.name, "--lease-duration", "3s")
        replicas.append(space.stack.start_recorder(*lease, name=f"replica-{name}-{space.name}"))
        urls.append(space.stack.recorder_url)
    a = space.node("a")
    space.workload()
    space.session("one", a, 1)
    space.written(a)

    def counted() -> list[int]:
        return [int(sum(v for n, v in space.stack.metrics(url).items() if n.startswith("lastnode_sessions_total")))
                for url in urls]  # fmt: skip

    assert sorted(eventually(lambda: found if sum(found := counted()) else None, "the session to be counted")) == [0, 1]
    replicas[0].stop()


def test_a_workload_that_moves_all_the_time_is_not_told_each_time(space: Space) -> None:
    nodes = [space.node(name) for name in "abcd"]
    workload = space.workload()
    for number, node in enumerate(nodes):
        space.session(f"s{number}", node, number)
        space.written(node)
    sessions(space, 4)
    space.stack.wait(
        lambda: space.metric('lastnode_session_events_total{result="suppressed"}') == 2, "two to be told off"
    )
    uid = workload["metadata"]["uid"]
    found = space.api.get(f"/api/v1/namespaces/{space.name}/events?fieldSelector=involvedObject.uid={uid}")["items"]
    assert [event["reason"] for event in found] == ["SessionMoved"]
    assert space.metric('lastnode_session_events_total{result="created"}') == 1


def test_whatever_moves_the_api_server_is_asked_a_bounded_number_of_times_why(space: Space) -> None:
    names = [f"w{number}" for number in range(3 * BURST)]
    elsewhere = space.node("elsewhere")
    remembered = {name: space.node(f"of-{name}") for name in names}
    for name, node in remembered.items():
        space.workload(name)
        space.session(f"{name}-one", node, 1, name)
    for name, node in remembered.items():
        space.written(node, name)
    sandboxes = [space.sandbox(f"{name}-two", name) for name in names]
    begun, before = time.monotonic(), lists(space.stack)
    with ThreadPoolExecutor(8) as pool:
        pods = [
            *pool.map(lambda sandbox: space.pod(sandbox["metadata"]["name"], elsewhere, sandbox=sandbox), sandboxes)
        ]
    for pod in pods:
        space.status(pod, "Running", 2)
    moved = 'lastnode_sessions_total{kind="AgentRuntime",outcome="moved",reason="unknown"}'
    eventually(lambda: space.metric(moved) == len(names), "all to be counted as moved")
    asked = lists(space.stack) - before
    assert 2 <= asked <= 2 * (BURST + (time.monotonic() - begun) * PER_SECOND)
    told = {result: space.metric(f'lastnode_node_inquiries_total{{result="{result}"}}') for result in Look}
    assert told[Look.SPENT] >= 1
    assert asked <= 2 * told[Look.ASKED]  # a node and its pods


def lists(stack: Stack) -> float:
    """Of nodes and of pods, that were ever asked for."""
    wanted = re.compile(
        r'^apiserver_request_total\{(?=.*resource="(?:nodes|pods)").*verb="LIST".*\} (\S+)$', re.MULTILINE
    )
    return sum(map(float, wanted.findall(stack.api.get("/metrics"))))


def test_namespaces_beyond_the_limit_are_counted_together(stack: Stack) -> None:
    recorder = stack.start_recorder("--namespace-metrics", "1", name="by-namespace")
    try:
        spaces = [Space(stack), Space(stack), Space(stack)]
        for space in spaces:
            space.workload()
            space.session("one", space.node("a"), 1)
            sessions(space, 1)
        labels = 'kind="AgentRuntime",outcome="first",reason="",workload_namespace='
        counted = [spaces[0].metric(f'lastnode_sessions_total{{{labels}"{ns}"}}') for ns in (spaces[0].name, "_other")]
        assert counted == [1, 2]
    finally:
        recorder.stop()


def test_start_up_is_timed_from_creation_and_in_its_phases(space: Space) -> None:
    a = space.node("a")
    space.workload()
    pod = space.pod("one", a, sandbox=space.sandbox("one"))
    created = pod["metadata"]["creationTimestamp"]
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": created},
        {"type": "Ready", "status": "True", "lastTransitionTime": created},
    ]
    path = f"/api/v1/namespaces/{space.name}/pods/one/status"
    space.api.patch(path, {"status": {"phase": "Running", "conditions": conditions}})
    (record,) = sessions(space, 1)
    # Bound and Ready within a second of the API's; how long it was, the recorder saw.
    assert record.seen_seconds is not None
    assert record.phases == {"scheduled": 0, "ready": record.seen_seconds}
    assert record.startup_seconds == record.seen_seconds
    assert space.metric('lastnode_session_startup_seconds_bucket{kind="AgentRuntime",le="1.0",outcome="first"}') == 1
    assert space.metric('lastnode_session_phase_seconds_count{outcome="first",phase="scheduled"}') == 1
