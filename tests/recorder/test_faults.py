"""Storms of refusals, on writes and on reads: the recorder asks seldom while they last, and loses nothing.

The requests are counted in front of the real API server. After each fault the annotations are what a fresh
computation from all sessions says.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from urllib.parse import parse_qs, urlsplit

import pytest

from lastnode.kube import api
from lastnode.kube.api import RETRY_AFTER_CAP
from lastnode.kube.errors import Overloaded
from lastnode.kube.queue import CAP_SECONDS, FIRST_SECONDS
from lastnode.kube.turns import FAILURES_AT_ONCE, FAILURES_PER_SECOND
from testbed.component import Component
from testbed.stack import Stack
from tests.recorder.history import History
from tests.recorder.httpproxy import Answer, Asked, Fault, HttpProxy, error_event, refusal
from tests.recorder.space import AGENT, Space

STORM_SECONDS = 6.0
# In a request about pods: that of the list-watch which brings the sessions here; pods have another one.
_OF_AGENTCUBE = "/pods?labelSelector=runtime.agentcube.io"
WRITERS = 8  # the setting's default
TOGETHER = 0.2  # seconds by which the proxy may see a request earlier or later than the recorder sent it

SERVER_IN_TROUBLE = pytest.mark.parametrize(
    "answer",
    [refusal(429, "TooManyRequests", retry_after=2), refusal(429, "TooManyRequests"), refusal(500, "InternalError"),
     refusal(503, "ServiceUnavailable", retry_after=1), refusal(504, "Timeout")],
    ids=["429 in 2 s", "429", "500", "503 in 1 s", "504"],
)  # fmt: skip


@pytest.fixture
def proxy(plane: Stack) -> Iterator[HttpProxy]:
    with HttpProxy(plane.cp) as proxy:
        yield proxy


@pytest.fixture
def recorder(plane: Stack, proxy: HttpProxy, tmp_path: Path) -> Iterator[Component]:
    """A recorder that reaches the API server only through the proxy."""
    kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig")
    flags = ["--kubeconfig", str(kubeconfig), "--page-size", "3", "--redate-seconds", "0"]
    component = plane.start_recorder(*flags, name=f"recorder-{time.monotonic_ns()}")
    yield component
    proxy.fault = None
    component.kill()


@pytest.fixture
def space(plane: Stack, recorder: Component) -> Space:
    return Space(plane)


@pytest.fixture
def history(space: Space) -> History:
    return History(space)


def writes_of(space: Space, answer: Answer | None = None, until: Event | None = None) -> Fault:
    """Answers writes in the namespace in the server's place, or (no answer) holds them back until the event."""

    def fault(asked: Asked) -> Answer | None:
        if asked.method != "PATCH" or f"/{space.name}/" not in asked.path:
            return None
        if until is not None:
            until.wait(60)
        return answer

    return fault


def reads_of(collection: str, answer: Answer) -> Fault:
    return lambda asked: answer if asked.method == "GET" and f"/{collection}" in asked.path else None


def most_attempts(seconds: float, first: float = FIRST_SECONDS, cap: float = CAP_SECONDS) -> int:
    """How many the back-off allows in so many seconds, when every delay is as short as chance may make it."""
    allowed, passed = 1, 0.0
    while (passed := passed + min(cap, first * 2 ** (allowed - 1)) / 2) <= seconds:
        allowed += 1
    return allowed


def last(proxy: HttpProxy, seconds: float) -> float:
    """Let the storm last; how long it did."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        time.sleep(0.1)
    return time.monotonic() - begun


def test_the_stated_number_of_requests_a_minute_follows_from_the_back_off() -> None:
    assert most_attempts(60) == 9
    assert most_attempts(660) - most_attempts(600) == 4


@SERVER_IN_TROUBLE
def test_writes_in_a_storm_are_few_and_all_made_up_for(
    space: Space, history: History, proxy: HttpProxy, answer: Answer
) -> None:
    node = space.node("a")
    for number in range(20):
        space.workload(f"w{number}")
    proxy.fault = writes_of(space, answer)
    begun = time.monotonic()
    for number in range(20):
        history.session(f"s{number}", node, number, f"w{number}")
    last(proxy, STORM_SECONDS)
    lasted = time.monotonic() - begun
    writes = proxy.writes(f"/{space.name}/")
    proxy.fault = None
    assert WRITERS < len(writes) <= WRITERS + FAILURES_AT_ONCE + lasted * FAILURES_PER_SECOND
    for path in {asked.path for asked in writes}:
        times = [asked.at for asked in writes if asked.path == path]
        assert len(times) <= most_attempts(lasted)
        if wanted := answer.headers.get("Retry-After"):
            assert all(later - earlier > float(wanted) - TOGETHER for earlier, later in itertools.pairwise(times))
    history.holds()


@pytest.mark.parametrize(
    "answer",
    [refusal(403, "Forbidden"), refusal(422, "Invalid"), refusal(413, "RequestEntityTooLarge"),
     Answer(500, b'{"kind":"Status","code":500,"message":"etcdserver: request is too large"}', {})],
    ids=["403", "422", "413", "too large"],
)  # fmt: skip
def test_a_write_that_is_refused_for_good_is_asked_for_once_a_session_and_said_once(
    space: Space, history: History, proxy: HttpProxy, recorder: Component, answer: Answer
) -> None:
    node = space.node("a")
    space.workload()
    proxy.fault = writes_of(space, answer)
    for number in range(3):
        history.session(f"s{number}", node, number)
        space.stack.wait(lambda n=number: len(proxy.writes(f"/{space.name}/")) == n + 1, f"write {number}")  # type: ignore[misc]
    # The proxy has a write before the recorder has its answer.
    refused = 'lastnode_record_writes_total{result="refused"}'
    space.stack.wait(lambda: space.metric(refused) == 3, "three refused writes to be counted")
    assert recorder.tail(1000).count("refused; tried again") == 1
    space.change({"metadata": {"labels": {"changed": "by-its-owner"}}})
    space.stack.wait(lambda: len(proxy.writes(f"/{space.name}/")) == 4, "the changed workload to be tried")
    proxy.fault = None
    history.session("s3", space.node("b"), 9)
    history.holds()


def test_a_retry_after_of_centuries_is_not_believed(plane: Stack, proxy: HttpProxy, tmp_path: Path) -> None:
    server = api.load(str(proxy.kubeconfig(tmp_path / "config")), "test")
    proxy.fault = lambda asked: refusal(429, "TooManyRequests", retry_after=10**15)
    with pytest.raises(Overloaded) as refused:
        server.get("/api/v1/nodes")
    assert refused.value.retry_after == RETRY_AFTER_CAP


def test_a_storm_of_conflicts_is_met_with_fresh_state_and_growing_pauses(
    space: Space, history: History, proxy: HttpProxy
) -> None:
    space.workload()
    proxy.fault = writes_of(space, refusal(409, "Conflict"))
    history.session("s", space.node("a"), 1)
    lasted = last(proxy, STORM_SECONDS)
    writes = proxy.writes(f"/{space.name}/")
    path = writes[0].path
    reads = [asked for asked in proxy.asked if asked.method == "GET" and asked.path == path]
    proxy.fault = None
    assert 5 < len(writes) <= most_attempts(lasted, first=0.02, cap=2.0)
    assert len(writes) - 1 <= len(reads) <= len(writes)
    history.holds()


def test_a_burst_of_sessions_of_one_workload_ends_in_one_write_of_the_newest(
    space: Space, history: History, proxy: HttpProxy
) -> None:
    nodes = [space.node(f"n{number}") for number in range(4)]
    space.workload()
    go = Event()
    proxy.fault = writes_of(space, until=go)
    history.session("first", nodes[0], 0)
    try:
        space.stack.wait(lambda: bool(proxy.writes(f"/{space.name}/")), "the first write to be on its way")
        for number in range(1, 21):
            history.session(f"s{number}", nodes[number % 4], number)
        Space(space.stack).settled_but(1)
    finally:
        go.set()
    history.holds()
    space.settled()
    assert len([asked for asked in proxy.writes(f"/{space.name}/") if asked.path.endswith("/w")]) == 2


def test_different_workloads_are_written_in_parallel_up_to_the_limit_all_but_one_in_one_namespace(
    space: Space, history: History, proxy: HttpProxy
) -> None:
    other = History(Space(space.stack))
    go = Event()

    def fault(asked: Asked) -> None:
        if asked.method == "PATCH":
            go.wait(60)

    proxy.fault = fault
    try:
        for of, busy in ((history, WRITERS - 1), (other, WRITERS)):
            node = of.space.node("a")
            for number in range(2 * WRITERS):
                of.space.workload(f"w{number}")
                of.session(f"s{number}", node, number, f"w{number}")
            space.stack.wait(lambda b=busy: proxy.at_once == b, f"{busy} writers to be at work")  # type: ignore[misc]
    finally:
        go.set()
    history.holds()
    other.holds()
    assert proxy.most_at_once == WRITERS


@pytest.mark.parametrize("collection", ["pods", "sandboxes", "agentruntimes", "nodes"])
@SERVER_IN_TROUBLE
def test_reads_in_a_storm_are_few_and_nothing_of_that_time_is_lost(
    space: Space, history: History, proxy: HttpProxy, answer: Answer, collection: str
) -> None:
    asked_before = len(proxy.asked)
    proxy.fault = reads_of(collection, answer)
    proxy.cut()
    begun = time.monotonic()
    space.workload()
    history.session("s", space.node("a"), 1)
    last(proxy, STORM_SECONDS / 2)
    lasted = time.monotonic() - begun
    asked = [each for each in proxy.asked[asked_before:] if each.method == "GET" and f"/{collection}" in each.path]
    proxy.fault = None
    watches = Counter(str(parse_qs(urlsplit(each.path).query).get("labelSelector")) for each in asked)
    assert len(watches) == (2 if collection == "pods" else 1)
    assert all(2 <= attempts <= most_attempts(lasted) for attempts in watches.values()), watches
    history.holds()


def test_a_session_that_came_and_went_with_its_sandbox_while_pods_were_not_seen_is_recorded(
    space: Space, history: History, proxy: HttpProxy
) -> None:
    seen = 'lastnode_watch_events_total{resource="sandboxes.agents.x-k8s.io"}'
    node = space.node("a")
    space.workload()
    space.settled()
    proxy.fault = reads_of("pods", refusal(503, "ServiceUnavailable"))
    proxy.cut()
    before = space.metric(seen)
    history.session("s", node, 1)
    space.delete_pod({"metadata": {"name": "s"}})
    space.delete_sandbox("s")
    space.stack.wait(lambda: space.metric(seen) >= before + 2, "the Sandbox to have come and gone")
    assert space.untouched()
    proxy.fault = None
    history.holds()


@pytest.mark.parametrize("how", ["as an answer", "as an event", "on a continue token"])
def test_a_version_that_is_gone_leads_to_a_new_list_however_it_is_said(
    space: Space, history: History, proxy: HttpProxy, how: str
) -> None:
    said: list[Asked] = []

    def fault(asked: Asked) -> Answer | None:
        if _OF_AGENTCUBE not in asked.path or asked.method != "GET":
            return None
        token = "continue=" in asked.path
        if said and (how != "on a continue token" or any("continue=" in each.path for each in said)):
            return None
        if not (asked.is_watch or token):
            return None
        if how == "on a continue token" and not token and said:
            return None
        said.append(asked)
        gone = refusal(410, "Expired")
        return error_event(410, "Expired") if how == "as an event" and asked.is_watch else gone

    node = space.node("a")
    space.workload()
    for number in range(5):  # more than a page
        history.session(f"s{number}", node, number)
    history.holds()
    proxy.fault = fault
    before = len(proxy.asked)
    proxy.cut()
    history.session("later", space.node("b"), 9)
    history.holds()
    asked = [each for each in proxy.asked[before:] if each.method == "GET" and _OF_AGENTCUBE in each.path]
    lists = [each for each in asked if not each.is_watch and "continue=" not in each.path]
    assert said
    assert 1 <= len(lists) <= (2 if how == "on a continue token" else 1)


@pytest.mark.parametrize("collection", ["nodes", "agentruntimes", "sandboxes"])
def test_live_sessions_are_written_while_something_else_is_listed_anew(
    space: Space, history: History, proxy: HttpProxy, collection: str
) -> None:
    """The list is held at its second page for as long as it takes."""
    node = space.node("a")
    for number in range(4):  # more than a page
        space.node(f"n{number}")
        space.workload(f"w{number}")
        space.sandbox(f"b{number}")
    space.workload()
    history.session("before", node, 1)
    history.holds()
    go = Event()
    held: list[Asked] = []

    def fault(asked: Asked) -> Answer | None:
        if asked.method != "GET" or f"/{collection}" not in asked.path:
            return None
        if asked.is_watch and not held:
            return error_event(410, "Expired")
        if "continue=" in asked.path:
            held.append(asked)
            go.wait(60)
        return None

    proxy.fault = fault
    proxy.cut()
    try:
        space.stack.wait(lambda: bool(held), "the second page to be asked for")
        pod = space.pod("live", node, workload="w", kind=AGENT)
        space.status(pod, "Running", 2)
        space.stack.wait(lambda: space.recent()[0]["podUID"] == pod["metadata"]["uid"], "the live session")
        assert not go.is_set()
    finally:
        go.set()
