"""The index of cache groups: what a lookup finds is what all relatives remember, however that came about."""

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lastnode.contract import GROUP_NODES
from lastnode.groups import MOST_MEMBERS, Group, Groups, group_of, newest_of
from lastnode.kinds import BUILT_IN
from lastnode.memory import Entry, parse_text
from lastnode.objects import Workload, pack

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KINDS = {kind.resource: kind for kind in BUILT_IN}
AGENT, INTERPRETER, _SANDBOX = KINDS
OTHER_PREFIX = BUILT_IN[0]._replace(resource="others.example.com", name="Other", prefix="example.com")


def workload(
    name: str,
    *placed: tuple[str, int],
    group: str | None = "images",
    namespace: str = "demo",
    resource: str = AGENT,
    sticky: bool = True,
) -> Workload:
    """Of (node, seconds before now)."""
    entries = [Entry(node, "", f"uid-of-{node}", NOW - timedelta(seconds=age), name) for node, age in placed]
    return Workload(
        namespace=namespace, name=name, uid=f"{resource}/{namespace}/{name}", resource=resource, kind="K",
        sticky=sticky, cache_group=group, packed_nodes=pack(msgspec.json.encode(entries).decode()),
    )  # fmt: skip


def index(*workloads: Workload) -> Groups:
    groups = Groups({**KINDS, OTHER_PREFIX.resource: OTHER_PREFIX})
    for each in workloads:
        groups.changed(None, each)
    return groups


def newest(groups: Groups, of: Workload) -> list[str]:
    return [entry.node for entry in groups.newest(of)]


def test_a_workload_with_nothing_of_its_own_finds_where_its_relatives_ran_newest_first() -> None:
    groups = index(workload("a", ("n1", 5), ("n2", 60)), workload("b", ("n3", 1), ("n1", 30), resource=INTERPRETER))
    assert newest(groups, workload("new")) == ["n3", "n1", "n2"]
    first = groups.newest(workload("new"))[0]
    assert (first.node_uid, first.ready_at) == ("uid-of-n3", NOW - timedelta(seconds=1))


def test_only_who_has_opted_in_within_the_namespace_prefix_and_group_is_a_relative() -> None:
    groups = index(
        workload("a", ("n1", 1), namespace="another"),
        workload("b", ("n2", 1), group="another"),
        workload("c", ("n3", 1), group=None),
        workload("d", ("n4", 1), sticky=False),
        workload("e", ("n5", 1), resource=OTHER_PREFIX.resource),
    )
    assert newest(groups, workload("new")) == []
    for nobody in (workload("new", group=None), workload("new", sticky=False)):
        assert group_of(nobody, KINDS) is None
        assert newest(groups, nobody) == []
    assert group_of(workload("new"), KINDS) == Group("demo", "runtime.agentcube.io", "images")


def test_where_a_workload_ran_last_itself_is_no_relative_s_node() -> None:
    own = workload("own", ("n1", 5), ("n2", 6))
    groups = index(own, workload("a", ("n1", 1), ("n2", 9)))
    assert newest(groups, own) == ["n1"]
    assert newest(groups, workload("new")) == ["n1", "n2"]


def test_no_more_nodes_are_found_than_are_preferred_and_an_own_memory_takes_none_of_their_places() -> None:
    many = [workload(f"w{number}", (f"n{number}", number + 50)) for number in range(99)]
    own = workload("own", *((f"own{number}", number) for number in range(32)))
    groups = index(*many, own)
    assert newest(groups, own) == [f"n{number}" for number in range(GROUP_NODES)]


def test_a_node_that_was_made_again_is_another_machine() -> None:
    former = workload("a", ("n1", 50))
    renewed = msgspec.structs.replace(
        workload("b"), packed_nodes=pack(msgspec.json.encode([Entry("n1", "", "anew", NOW)]).decode())
    )
    assert [entry.node_uid for entry in index(former, renewed).newest(workload("new"))] == ["anew"]


def test_bare_and_unreadable_memories_tell_a_group_nothing() -> None:
    bare = msgspec.structs.replace(workload("a"), last_node="n1", packed_nodes=None)
    garbage = msgspec.structs.replace(workload("b"), packed_nodes=pack("{"))
    assert newest(index(bare, garbage), workload("new")) == []


_states = st.none() | st.builds(
    lambda placed, group, sticky, uid: (placed, group, sticky, uid),
    st.lists(st.tuples(st.sampled_from(["n1", "n2", "n3", "n4"]), st.integers(0, 99)), max_size=4),
    st.sampled_from(["images", "data", None]),
    st.booleans(),
    st.sampled_from(["", "again-"]),
)


@given(st.lists(st.tuples(st.sampled_from("abc"), _states), max_size=20))
def test_whatever_changes_come_the_index_knows_what_is_remembered_now(changes: list[tuple[str, object]]) -> None:
    groups, now = index(), dict[str, Workload]()
    asked = workload("new")
    for name, state in changes:
        before, after = now.pop(name, None), None
        if state is not None:
            placed, group, sticky, uid = state  # type: ignore[misc]
            after = workload(name, *placed, group=group, sticky=sticky)
            after = now[name] = msgspec.structs.replace(after, uid=f"{uid}{name}")
        groups.changed(before, after)
        relatives = [each for each in now.values() if group_of(each, KINDS) == group_of(asked, KINDS)]
        memories = [parse_text(None, each.recent_nodes) for each in relatives]
        found = {(entry.node, entry.ready_at) for entry in groups.newest(asked)}
        assert found == {(entry.node, entry.ready_at) for entry in newest_of(memories)}
    for each in now.values():
        groups.changed(each, None)
    assert groups.newest(asked) == ()
    assert len(groups) == 0


def test_a_group_goes_by_so_many_workloads_that_changed_last_that_nobody_waits_for_a_large_one() -> None:
    names = [f"w{number}" for number in range(MOST_MEMBERS)]
    groups = index(workload("first", ("gone", 0)), *(workload(name, ("n1", 9), ("n2", 5)) for name in names))
    for name in names:
        groups.changed(workload(name, ("n1", 9), ("n2", 5)), workload(name, ("n1", 9)))
    assert newest(groups, workload("new")) == ["n1"]
