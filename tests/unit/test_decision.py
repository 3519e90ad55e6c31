"""What to write on a workload, if anything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode import memory
from lastnode.contract import AGENTCUBE_PREFIX, LAST_NODE_ANNOTATION, RECENT_NODES_ANNOTATION
from lastnode.memory import Crash, Entry, parse_text, patch_body
from lastnode.objects import Node, Workload, pack
from recorder import life as decisions
from recorder.life import MAX_CRASHES, Pending, Write
from tests.unit.strategies import entries

render = partial(memory.render, prefix=AGENTCUBE_PREFIX)

NOW = datetime(2026, 11, 24, tzinfo=UTC)

# One entry a session, which has one date: see lastnode.memory.add.
sessions = entries.map(lambda entry: msgspec.structs.replace(entry, pod_uid=repr(entry)))
memories = st.lists(sessions, max_size=7).map(memory.merge)
# What a session leaves: always dated.
dated = sessions.filter(lambda entry: entry.ready_at is not None)
placements = st.lists(dated, min_size=1, max_size=3).map(memory.merge)

PLACED = (Entry(node="node-1", ready_at=datetime(2026, 11, 23, tzinfo=UTC), pod_uid="pod-1"),)


def workload(uid: str = "u", sticky: bool = True, annotations: dict[str, str | None] | None = None) -> Workload:
    annotations = annotations or {}
    return Workload(
        namespace="ns",
        name="w",
        uid=uid,
        resource_version="7",
        resource="agentruntimes.example.com",
        kind="AgentRuntime",
        sticky=sticky,
        last_node=annotations.get(LAST_NODE_ANNOTATION),
        packed_nodes=pack(annotations.get(RECENT_NODES_ANNOTATION)),
    )


def decide(
    target: Workload | None, known: memory.Memory, pending: Pending, nodes: dict[str, Node] | None, redate: int = 0
) -> dict[str, str | None] | Write:
    """The decision, as the annotations that come of it; ``redate``: seconds."""
    decision = decisions.decide(target, known, pending, nodes, NOW, redate=timedelta(seconds=redate))
    return decision if isinstance(decision, Write) else render(decision)


def after(before: Workload, written: dict[str, str | None]) -> Workload:
    """The workload with a merge patch's annotations on it."""
    return msgspec.structs.replace(
        before, last_node=written[LAST_NODE_ANNOTATION], packed_nodes=pack(written[RECENT_NODES_ANNOTATION])
    )


def known(one: Workload) -> memory.Memory:
    return parse_text(one.last_node, one.recent_nodes)


def nodes_of(*memories: memory.Memory) -> dict[str, Node]:
    """Every node that they name, with the UID of one of its entries."""
    return {
        entry.node: Node(name=entry.node, uid=entry.node_uid, hostname="", ready=True)
        for one in memories
        for entry in one
    }


@pytest.mark.parametrize(
    ("target", "skip"),
    [
        (None, Write.GONE),
        (workload(uid="another"), Write.REPLACED),
        (workload(uid="another", sticky=False), Write.REPLACED),
        (workload(sticky=False), Write.NOT_STICKY),
    ],
)
@given(pending=placements)
def test_no_workload_to_write_on_is_told_apart(target: Workload | None, skip: Write, pending: memory.Memory) -> None:
    assert decide(target, (), Pending("u", pending), None) is skip


@given(placements)
def test_the_first_placement_is_written(pending: memory.Memory) -> None:
    assert decide(workload(), (), Pending("u", pending), None) == render(pending)


@given(memories, placements)
def test_what_is_written_is_the_merge_of_both(before: memory.Memory, pending: memory.Memory) -> None:
    target = workload(annotations=render(before))
    decision = decide(target, known(target), Pending("u", pending), None)
    result = target if isinstance(decision, Write) else after(target, decision)
    assert known(result) == memory.merge(known(target), pending)


@given(memories, placements)
def test_writing_again_is_never_needed(before: memory.Memory, pending: memory.Memory) -> None:
    target = workload(annotations=render(before))
    decision = decide(target, known(target), Pending("u", pending), None)
    if not isinstance(decision, Write):
        target = after(target, decision)
    assert decide(target, known(target), Pending("u", pending), None) is Write.UNCHANGED


@given(memories, st.permutations(range(3)), st.lists(placements, min_size=3, max_size=3))
def test_the_order_of_writes_does_not_matter(
    before: memory.Memory, order: list[int], sessions: list[memory.Memory]
) -> None:
    def written(chosen: list[memory.Memory]) -> Workload:
        target = workload(annotations=render(before))
        for pending in chosen:
            decision = decide(target, known(target), Pending("u", pending), None)
            target = target if isinstance(decision, Write) else after(target, decision)
        return target

    one, other = written(sessions), written([sessions[index] for index in order])
    assert (one.last_node, one.recent_nodes) == (other.last_node, other.recent_nodes)


@given(memories, placements)
def test_entries_of_nodes_that_are_gone_are_left_out(before: memory.Memory, pending: memory.Memory) -> None:
    target = workload(annotations=render(before))
    nodes = nodes_of(pending)
    decision = decide(target, known(target), Pending("u", pending), nodes)
    result = known(target if isinstance(decision, Write) else after(target, decision))
    assert result == memory.prune(memory.merge(known(target), pending), nodes)


def test_when_the_last_remembered_node_is_gone_both_annotations_go() -> None:
    entry = Entry(node="n")
    target = workload(annotations={LAST_NODE_ANNOTATION: "n"})
    decision = decide(target, known(target), Pending("u", (entry,)), {})
    assert decision == {LAST_NODE_ANNOTATION: None, RECENT_NODES_ANNOTATION: None}


_crashes = st.frozensets(
    dated.map(lambda entry: Crash(entry.pod_uid, entry.ready_at, entry.ready_at)),
    max_size=3,
)
_pendings = st.builds(Pending, st.just("u"), placements, _crashes)


@given(memories, st.lists(_pendings, min_size=1, max_size=5), st.randoms())
def test_in_whatever_order_placements_and_crashes_come_the_same_is_written(
    before: memory.Memory, come: list[Pending], random: Random
) -> None:
    again = [*come, *random.choices(come, k=2)]
    random.shuffle(again)
    ordered, shuffled = reduce(Pending.plus, come), reduce(Pending.plus, again)
    assert ordered == shuffled
    target = workload(annotations=render(before))
    assert decide(target, before, ordered, None) == decide(target, before, shuffled, None)


def test_what_comes_for_another_workload_of_the_name_replaces_what_was_pending() -> None:
    assert Pending("old", PLACED).plus(Pending("new")) == Pending("new")


def test_an_early_crash_takes_back_what_is_written_and_what_is_pending() -> None:
    crash = Crash(PLACED[0].pod_uid, PLACED[0].ready_at, PLACED[0].ready_at)  # type: ignore[arg-type]
    taken = Pending("u", crashes=frozenset({crash}))
    written = decide(workload(annotations=render(PLACED)), PLACED, taken, None)
    assert written == render(())
    assert decide(workload(), (), Pending("u", PLACED).plus(taken), None) is Write.UNCHANGED


def test_a_session_that_is_ready_again_after_an_early_crash_is_written_with_its_new_date() -> None:
    ready_at = PLACED[0].ready_at
    assert ready_at is not None
    crash = Crash(PLACED[0].pod_uid, ready_at, ready_at + timedelta(seconds=5))
    again = (msgspec.structs.replace(PLACED[0], ready_at=ready_at + timedelta(seconds=9)),)
    pending = Pending("u", again, frozenset({crash}))
    assert decide(workload(annotations=render(PLACED)), PLACED, pending, None) == render(again)


@pytest.mark.parametrize("by", [timedelta(hours=5), -timedelta(seconds=5)], ids=["a flap", "bound before"])
def test_a_session_that_is_written_keeps_its_date_whatever_a_later_look_at_its_pod_says(by: timedelta) -> None:
    looked_at = (msgspec.structs.replace(PLACED[0], ready_at=PLACED[0].ready_at + by),)  # type: ignore[operator]
    newer = Entry(node="node-2", ready_at=datetime(2026, 11, 23, 1, tzinfo=UTC), pod_uid="pod-2")
    before = (newer, *PLACED)
    target = workload(annotations=render(before))
    assert decide(target, before, Pending("u", looked_at), None) is Write.UNCHANGED


def test_an_entry_ahead_of_the_clock_gives_way_and_is_not_written_again_and_again() -> None:
    ahead = Entry(node="node-2", ready_at=NOW + timedelta(days=1), pod_uid="pod-2")
    target = workload(annotations=render((ahead,)))
    written = decide(target, (ahead,), Pending("u", PLACED), None)
    assert written == render((*PLACED, ahead))
    target = after(target, written)
    assert decide(target, known(target), Pending("u", PLACED), None) is Write.UNCHANGED
    same_node = msgspec.structs.replace(PLACED[0], node="node-2")
    assert decide(target, (ahead,), Pending("u", (same_node,)), None) == render((same_node,))


def test_a_crashed_session_s_entry_gives_way_to_a_later_one_of_its_node_at_once() -> None:
    crash = Crash(PLACED[0].pod_uid, PLACED[0].ready_at, PLACED[0].ready_at)  # type: ignore[arg-type]
    later = _later(1).plus(Pending("u", crashes=frozenset({crash})))
    assert decide(workload(annotations=render(PLACED)), PLACED, later, None, redate=300) == render(later.memory)


def _later(seconds: int, on: str = "node-1") -> Pending:
    ready_at = PLACED[0].ready_at
    assert ready_at is not None
    return Pending("u", (Entry(node=on, ready_at=ready_at + timedelta(seconds=seconds), pod_uid="pod-2"),))


def test_a_session_that_is_back_soon_writes_nothing_and_any_other_does() -> None:
    target = workload(annotations=render(PLACED))
    assert decide(target, PLACED, _later(299), None, redate=300) is Write.UNCHANGED
    for other in (_later(300), _later(1, "node-2")):
        assert decide(target, PLACED, other, None, redate=300) == render(memory.merge(PLACED, other.memory))
    pressing = _later(299)._replace(pressing=True)
    assert decide(target, PLACED, pressing, None, redate=300) == render(pressing.memory)
    moved = (msgspec.structs.replace(PLACED[0], node_uid="another"),)
    assert isinstance(decide(workload(annotations=render(moved)), moved, _later(1), None, redate=300), dict)


@given(memories, placements, st.integers(0, 10**6))
def test_what_is_not_written_tells_the_same_nodes_in_the_same_order_and_hardly_an_older_date(
    before: memory.Memory, pending: memory.Memory, redate: int
) -> None:
    target = workload(annotations=render(before))
    decision = decide(target, known(target), Pending("u", pending), None, redate)
    meant = memory.merge(known(target), pending)
    said = known(target if isinstance(decision, Write) else after(target, decision))
    assert [entry.node for entry in said] == [entry.node for entry in meant]
    for old, new in zip(said, meant, strict=True):
        assert old == new or timedelta(0) <= new.ready_at - old.ready_at < timedelta(seconds=redate)  # type: ignore[operator]


@given(placements)
def test_a_last_node_that_disagrees_with_the_memory_is_put_right(pending: memory.Memory) -> None:
    target = workload(annotations=render(pending) | {LAST_NODE_ANNOTATION: "someone-else-s"})
    assert decide(target, known(target), Pending("u", pending), None) == render(pending)


def test_a_patch_fits_only_this_very_object_in_this_very_version() -> None:
    body = patch_body(workload(), {LAST_NODE_ANNOTATION: "n"})
    assert body == {"metadata": {"uid": "u", "resourceVersion": "7", "annotations": {LAST_NODE_ANNOTATION: "n"}}}


def test_what_is_pending_stays_bounded_however_many_sessions_crash_before_it_can_be_written() -> None:
    times = [datetime(2026, 11, 23, tzinfo=UTC) + timedelta(minutes=minute) for minute in range(1000)]
    crashes = [Crash(f"pod-{time:%d-%H-%M}", time - timedelta(seconds=30), time) for time in times]
    shuffled = Random(1).sample(crashes, len(crashes))
    pending = reduce(Pending.plus, [Pending("u", (), frozenset({crash})) for crash in shuffled])
    assert pending.crashes == frozenset(crashes[-MAX_CRASHES:])
