"""The recorder ends at any moment and comes again: nothing written is lost, nothing that is due stays undone."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from lastnode import memory
from lastnode.contract import AGENTCUBE_PREFIX, LAST_NODE_ANNOTATION
from lastnode.memory import Entry
from testbed.component import Component
from testbed.stack import Stack
from tests.recorder.space import START, Object, Space

SECONDS_TO_STOP = 10
WORKLOADS, SESSIONS, KILLS = 5, 60, 5


class Restartable:
    """A recorder of this test alone, on a control plane where no other runs."""

    def __init__(self, plane: Stack, *flags: str) -> None:
        self.component: Component = plane.start_recorder(*flags, name=f"recorder-{time.monotonic_ns()}")

    def kill_and_start(self) -> None:
        self.component.kill()
        self.component.start()


@pytest.fixture
def recorder(plane: Stack, request: pytest.FixtureRequest) -> Iterator[Restartable]:
    """With the flags that a test asks for."""
    recorder = Restartable(plane, *getattr(request, "param", ()))
    yield recorder
    recorder.component.kill()


@pytest.fixture
def space(plane: Stack) -> Space:
    return Space(plane)


def entry(space: Space, node: str, second: int, pod: Object) -> Entry:
    return Entry(
        node=node,
        hostname=node,
        node_uid=space.node_uid(node),
        ready_at=START + timedelta(seconds=second),
        pod_uid=pod["metadata"]["uid"],
    )


def tells(space: Space, name: str, wanted: memory.Memory, redate: int) -> Callable[[], bool]:
    def reached() -> bool:
        annotations = space.read(name)["metadata"].get("annotations") or {}
        found = memory.parse(annotations, AGENTCUBE_PREFIX)
        same = memory.tells(found, wanted, timedelta(seconds=redate))
        return same and annotations[LAST_NODE_ANNOTATION] == wanted[0].node

    return reached


@pytest.mark.parametrize(("recorder", "redate"), [(("--redate-seconds=0",), 0), ((), 300)], indirect=["recorder"])
def test_killed_at_any_point_it_ends_at_the_merge_of_the_whole_history(
    space: Space, recorder: Restartable, redate: int
) -> None:
    """With dates that are behind by less than ``redate``, where that is allowed."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    dice = random.Random(seed)
    nodes = [space.node(f"n{number}") for number in range(8)]
    names = [f"w{number}" for number in range(WORKLOADS)]
    for name in names:
        space.workload(name)
    kills = set(dice.sample(range(SESSIONS), KILLS))
    seconds = dice.sample(range(SESSIONS), SESSIONS)  # ready times come out of order
    history: dict[str, list[Entry]] = {name: [] for name in names}
    for number, second in enumerate(seconds):
        name, node = dice.choice(names), dice.choice(nodes)
        pod = space.session(f"s{number}", node, second, workload=name)
        history[name].append(entry(space, node, second, pod))
        if number in kills:
            before = {each: space.recent(each) for each in names}
            recorder.kill_and_start()
            for each, entries in before.items():
                _nothing_older(space.recent(each), entries)
    for name in names:
        wanted = memory.merge(history[name])
        space.stack.wait(tells(space, name, wanted, redate), f"the memory of {name}, seed {seed}")


def _nothing_older(after: list[Object], before: list[Object]) -> None:
    """What was written is still there, or gave way to something newer."""
    newest = {entry["node"]: entry["readyAt"] for entry in after}
    for written in before:
        floor = min(newest.values()) if written["node"] not in newest else newest[written["node"]]
        assert floor >= written["readyAt"]


def test_started_again_it_writes_nothing_that_is_written_already(space: Space, recorder: Restartable) -> None:
    node = space.node("a")
    for number in range(3):
        space.workload(f"w{number}")
        space.session(f"s{number}", node, number, workload=f"w{number}")
        space.written(node, f"w{number}")
    versions = [space.read(f"w{number}")["metadata"]["resourceVersion"] for number in range(3)]
    recorder.kill_and_start()
    space.settled()
    assert [space.read(f"w{number}")["metadata"]["resourceVersion"] for number in range(3)] == versions


def test_what_happened_while_it_was_away_is_written_when_it_is_back(space: Space, recorder: Restartable) -> None:
    node, newer = space.node("a"), space.node("b")
    space.workload()
    first = space.session("first", node, 1)
    space.written(node)
    recorder.component.kill()
    space.delete_pod(first)
    space.session("second", newer, 2)
    recorder.component.start()
    space.written(newer)
    assert [each["node"] for each in space.recent()] == [newer, node]


def test_a_session_that_is_being_deleted_and_still_ready_when_it_comes_back_is_written(
    space: Space, recorder: Restartable
) -> None:
    node = space.node("a")
    space.workload()
    recorder.component.kill()
    space.delete_pod(space.session("ends", node, 1), grace=600)
    recorder.component.start()
    space.written(node)


def test_live_pods_never_overwrite_a_newer_memory_of_pods_that_are_gone(space: Space, recorder: Restartable) -> None:
    older, newer = space.node("older"), space.node("newer")
    space.workload()
    space.session("older", older, 1)
    ended = space.session("newer", newer, 2)
    space.written(newer)
    space.delete_pod(ended)
    recorder.kill_and_start()
    space.settled()
    assert space.last_node() == newer


def test_of_a_pod_found_ready_long_after_it_was_bound_the_binding_counts(space: Space, recorder: Restartable) -> None:
    """Its readiness may have flapped while nobody looked, or its node's clock is wrong."""
    flapping, newer = space.node("flapping"), space.node("newer")
    space.workload()
    recorder.component.kill()
    old = space.pod("old", flapping, workload="w")
    created = datetime.fromisoformat(old["metadata"]["creationTimestamp"])
    space.second_after(old)
    bound, flapped = (created + timedelta(seconds=after) for after in (0, 3600))
    conditions = [
        {"type": name, "status": "True", "lastTransitionTime": date.isoformat()}
        for name, date in (("PodScheduled", bound), ("Ready", flapped))
    ]
    space.status(old, "Running", conditions=conditions)
    space.session("new", newer, (created - START).total_seconds() + 1)
    recorder.component.start()
    space.stack.wait(lambda: len(space.recent()) == 2, "both to be written")
    assert [each["node"] for each in space.recent()] == [newer, flapping]
    assert datetime.fromisoformat(space.recent()[1]["readyAt"]) == created


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_with_exit_code_0(space: Space, recorder: Restartable, number: signal.Signals) -> None:
    node = space.node("a")
    space.workload()
    for count in range(20):
        space.session(f"s{count}", node, count)
    started = time.monotonic()
    recorder.component.guard.signal(recorder.component.name, number)
    space.stack.wait(lambda: not recorder.component.alive, "the recorder to end", within=SECONDS_TO_STOP)
    assert recorder.component.returncode == 0
    assert time.monotonic() - started < SECONDS_TO_STOP
    assert "Traceback" not in recorder.component.tail(100)
