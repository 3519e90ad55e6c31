"""Workloads that cannot be written, or only slowly, cost no other: policies on a real API server, and one recorder."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lastnode.contract import LAST_NODE_ANNOTATION
from lastnode.kube import api
from lastnode.kube.queue import WorkQueue
from lastnode.kube.turns import FAILURES_AT_ONCE, FAILURES_PER_SECOND
from lastnode.kube.unforeseen import Unforeseen
from lastnode.memory import Memory
from lastnode.objects import Workload, WorkloadKey
from lastnode.view import MemoryCache, View
from recorder.writing import REST_SECONDS
from testbed.stack import Stack
from tests.recorder.history import History
from tests.recorder.httpproxy import Answer, Asked, HttpProxy
from tests.recorder.loops import following, running, writer_of
from tests.recorder.policy import Policy, denial
from tests.recorder.space import AGENT, WORKLOADS, Space
from tests.recorder.test_faults import WRITERS, last, most_attempts

# For thirty writes, of which an idle API server takes a hundred a second.
SOON = 15.0


@pytest.fixture
def proxy(plane: Stack) -> Iterator[HttpProxy]:
    with HttpProxy(plane.cp) as proxy:
        yield proxy


@pytest.fixture
def space(plane: Stack, proxy: HttpProxy, tmp_path: Path) -> Iterator[Space]:
    """With a recorder that reaches the API server only through the proxy."""
    kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig")
    flags = ["--kubeconfig", str(kubeconfig), "--redate-seconds", "0"]
    recorder = plane.start_recorder(*flags, name=f"recorder-{time.monotonic_ns()}")
    yield Space(plane)
    proxy.fault = None
    recorder.kill()


def start(space: Space, *names: str) -> str:
    """A workload and a Ready session of each name, all on one node; which it is."""
    node = space.node("a")
    for name in names:
        space.workload(name)
        space.status(space.pod(f"s-{name}", node, workload=name, kind=AGENT), "Running", 1)
    return node


def numbered(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


def all_written(space: Space, node: str, count: int, within: float) -> None:
    """Wait until so many workloads have that last node."""

    def written() -> int:
        items: list[dict[str, Any]] = space.api.get(f"{WORKLOADS}/namespaces/{space.name}/agentruntimes")["items"]
        nodes = [(item["metadata"].get("annotations") or {}).get(LAST_NODE_ANNOTATION) for item in items]
        return nodes.count(node)

    space.stack.wait(lambda: written() == count, f"{count} workloads of {space.name} to be written", within)


def test_workloads_behind_a_policy_that_is_down_are_tried_seldom_and_those_of_others_written_at_once(
    plane: Stack, space: Space, proxy: HttpProxy, tmp_path: Path
) -> None:
    bad, good = Space(plane), space
    with Policy(plane, tmp_path, bad, listens=False) as policy:
        begun = time.monotonic()
        node = start(bad, *numbered(100))
        all_written(good, start(good, *numbered(30)), 30, SOON)
        last(proxy, 5)
        tries = len(proxy.writes(f"/{bad.name}/"))
        assert tries <= WRITERS + FAILURES_AT_ONCE + (time.monotonic() - begun) * FAILURES_PER_SECOND
        policy.withdraw()
        all_written(bad, node, 100, 60)


def test_a_denial_that_asks_for_a_minute_s_pause_pauses_the_denied_workload_alone(
    plane: Stack, space: Space, proxy: HttpProxy, tmp_path: Path
) -> None:
    bad = Space(plane)
    with Policy(plane, tmp_path, bad) as policy:
        policy.decide = lambda name: denial(503, retry_after=60)
        start(bad, "w")
        plane.wait(lambda: "w" in policy.asked, "the denial")
        all_written(space, start(space, *numbered(30)), 30, SOON)
        assert len(proxy.writes(f"/{bad.name}/")) == 1


def test_namespaces_in_which_a_policy_takes_seconds_leave_room_for_the_others(
    plane: Stack, space: Space, tmp_path: Path
) -> None:
    slow = [Space(plane) for _ in range(6)]
    with Policy(plane, tmp_path, *slow) as policy:
        policy.seconds = 5.0
        nodes = [start(each, *numbered(10)) for each in slow]
        plane.wait(lambda: len({*policy.asked}) >= 4, "the slow ones to be at work")
        all_written(space, start(space, *numbered(30)), 30, SOON)
        policy.seconds = 0.0
        for each, node in zip(slow, nodes, strict=True):
            all_written(each, node, 10, 60)


def test_a_workload_that_always_fails_costs_its_siblings_nothing(plane: Stack, space: Space, tmp_path: Path) -> None:
    with Policy(plane, tmp_path, space) as policy:
        policy.decide = lambda name: denial(500) if name == "poisoned" else {"allowed": True}
        start(space, "poisoned")
        plane.wait(lambda: policy.asked.count("poisoned") >= 2, "it to be tried again")
        names = numbered(30)
        node = space.node("b")
        for name in names:
            space.workload(name)
            space.status(space.pod(f"s-{name}", node, workload=name, kind=AGENT), "Running", 1)
        all_written(space, node, 30, SOON)
        assert policy.asked.count("poisoned") < 10
        assert all(policy.asked.count(name) == 1 for name in names)


def test_while_nobody_answers_requests_are_few_and_afterwards_all_is_written(
    plane: Stack, space: Space, proxy: HttpProxy
) -> None:
    def hangs_up(asked: Asked) -> Answer | None:
        if asked.method == "PATCH":
            raise ConnectionError("by the test")
        return None

    proxy.fault = hangs_up
    other = Space(plane)
    begun = time.monotonic()
    nodes = [(each, start(each, *numbered(15))) for each in (space, other)]
    last(proxy, 5)
    lasted = time.monotonic() - begun
    tried = len(proxy.writes("/agentruntimes/"))
    proxy.fault = None
    assert 2 <= tried <= WRITERS * most_attempts(lasted)
    for each, node in nodes:
        all_written(each, node, 15, 60)


def test_many_sessions_of_one_workload_are_written_at_once_and_then_about_once_a_second(
    space: Space, proxy: HttpProxy
) -> None:
    history = History(space)
    nodes = [space.node(f"n{number}") for number in range(4)]
    space.workload()
    begun = time.monotonic()
    history.session("first", nodes[0], 0)
    space.written(nodes[0])
    for number in range(1, 200):
        history.session(f"s{number}", nodes[number % 4], number)
    history.holds()
    writes = proxy.writes(f"/{space.name}/")
    assert len(writes) <= (time.monotonic() - begun) / REST_SECONDS + 1
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(writes)]
    assert min(gaps) > REST_SECONDS * 0.8


def test_a_fault_of_ours_over_one_workload_ends_no_writer_and_costs_no_other(plane: Stack) -> None:
    """The program's own parts, put together here so that one of them can fail."""

    class Faulty(MemoryCache):
        odd = "odd"

        def recall(self, workload: Workload) -> Memory:
            if workload.name == self.odd:
                raise OverflowError("date value out of range")
            return super().recall(workload)

    server, view, cache = api.load(str(plane.cp.kubeconfig), "test"), View(), Faulty(0)
    queue: WorkQueue[WorkloadKey] = WorkQueue(group=lambda key: key.namespace)
    sessions = following(view, queue)
    writer = writer_of(server, view, sessions, queue, cache, nodes_known=True)
    told: list[str] = []
    writer.unforeseen = Unforeseen(told.append)
    space = Space(plane)
    with ExitStack() as loops:
        for watch in view.watches(server, sessions=True):
            loops.enter_context(running(watch))
        loops.enter_context(running(writer))
        node = start(space, "odd")
        plane.wait(lambda: len(told) >= 2, "it to be tried again")
        space.workload("even")
        space.status(space.pod("s", node, workload="even", kind=AGENT), "Running", 1)
        space.written(node, "even")
        assert set(told) == {"writers"}
        cache.odd = ""
        space.written(node, "odd")
