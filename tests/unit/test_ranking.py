"""Which remembered nodes are preferred now, and why not."""

import functools
from datetime import UTC, datetime, timedelta, timezone
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.contract import CLOCK_TOLERANCE, is_node_name
from lastnode.memory import Entry, merge
from lastnode.objects import Node
from lastnode.ranking import Preference, Preferred, Standing, Weights, nothing, rank, validity
from lastnode.reasons import Reason
from tests.unit.test_memory import DAY, NOW, at, entry, entry_lists, instants, node


@given(st.integers(1, 10**9))
def test_an_entry_is_valid_until_just_before_its_ttl_and_no_longer_at_it(ttl: int) -> None:
    remembered = Entry("n1", ready_at=NOW)
    just_before = at(ttl) - timedelta(microseconds=1)
    assert validity(remembered, now=just_before, ttl=ttl, nodes=None) is Reason.VALID
    assert validity(remembered, now=at(ttl), ttl=ttl, nodes=None) is Reason.EXPIRED


@given(instants, instants)
def test_a_ttl_of_zero_is_for_ever(ready: datetime, now: datetime) -> None:
    expected = Reason.AHEAD if ready - now > CLOCK_TOLERANCE else Reason.VALID
    assert validity(Entry("n1", ready_at=ready), now=now, ttl=0, nodes=None) is expected


@pytest.mark.parametrize("ttl", [1, DAY, 0])
@pytest.mark.parametrize(
    ("ahead", "reason"), [(5, Reason.VALID), (300, Reason.VALID), (301, Reason.AHEAD), (3652 * DAY, Reason.AHEAD)]
)
def test_an_entry_from_a_clock_that_runs_ahead_is_valid_as_far_as_clocks_differ(
    ttl: float, ahead: float, reason: Reason
) -> None:
    assert validity(entry(age=-ahead), now=NOW, ttl=ttl, nodes=None) is reason


def test_the_age_does_not_depend_on_the_time_zone_that_now_is_told_in() -> None:
    elsewhere = at(DAY - 61).astimezone(timezone(timedelta(hours=9)))
    assert validity(entry(age=60), now=elsewhere, ttl=DAY, nodes=None) is Reason.VALID
    assert validity(entry(age=60), now=elsewhere + timedelta(seconds=1), ttl=DAY, nodes=None) is Reason.EXPIRED


def test_an_undated_entry_does_not_expire() -> None:
    assert validity(Entry("n1"), now=NOW, ttl=1, nodes=None) is Reason.VALID


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (node(), Reason.VALID),
        ({}, Reason.NODE_GONE),
        (node("n2"), Reason.NODE_GONE),
        (node(uid="uid-2"), Reason.NODE_REPLACED),
        (node(ready=False), Reason.NODE_NOT_READY),
        (node(cordoned=True), Reason.NODE_CORDONED),
        (node(ready=False, cordoned=True), Reason.NODE_NOT_READY),
        (node(leaving=True), Reason.NODE_LEAVING),
        (node(leaving=True, ready=False, cordoned=True), Reason.NODE_LEAVING),
        (node(uid="uid-2", ready=False), Reason.NODE_REPLACED),
    ],
)
def test_an_entry_is_as_valid_as_its_node(nodes: dict[str, Node], reason: Reason) -> None:
    assert validity(entry(), now=NOW, ttl=DAY, nodes=nodes) is reason


def test_an_entry_without_a_node_uid_fits_any_node_of_that_name() -> None:
    assert validity(entry(uid=""), now=NOW, ttl=DAY, nodes=node(uid="uid-2")) is Reason.VALID


def test_age_is_judged_before_the_node() -> None:
    assert validity(entry(age=DAY), now=NOW, ttl=DAY, nodes={}) is Reason.EXPIRED


def said(found: Preference) -> list[tuple[str, int, Standing]]:
    return [(one.node, one.weight, one.standing) for one in found.nodes]


def test_the_newest_valid_entry_is_the_last_node_and_the_others_are_older_ones() -> None:
    memory = merge([entry("n1", age=10), entry("n2", age=20), entry("n3", age=30), entry("n4", age=40)])
    nodes = node("n1", cordoned=True) | node("n2") | node("n3", ready=False) | node("n4")
    found = rank(memory, now=NOW, ttl=DAY, nodes=nodes)
    assert said(found) == [("n2", 100, Standing.LAST), ("n4", 10, Standing.OLDER)]
    without = rank(memory, now=NOW, ttl=35, nodes=None)
    assert said(without) == [("n1", 100, Standing.LAST), ("n2", 10, Standing.OLDER), ("n3", 10, Standing.OLDER)]


@pytest.mark.parametrize(("older", "expected"), [(0, [100]), (1, [100, 1, 1]), (100, [100, 100, 100])])
def test_older_nodes_weigh_what_they_are_said_to(older: int, expected: list[int]) -> None:
    memory = merge([entry("n1", age=10), entry("n2", age=20), entry("n3", age=30)])
    found = rank(memory, now=NOW, ttl=DAY, nodes=None, weights=Weights(older=older))
    assert [one.weight for one in found.nodes] == expected
    assert [one.node for one in found.nodes] == ["n1", "n2", "n3"][: len(expected)]


def test_no_node_weighs_more_than_the_last_one() -> None:
    memory = merge([entry("n1", age=10), entry("n2", age=20)])
    found = rank(memory, now=NOW, ttl=DAY, nodes=None, relatives=[entry("n3")], weights=Weights(5, 100, 50))
    assert said(found) == [("n1", 5, Standing.LAST), ("n2", 5, Standing.OLDER), ("n3", 5, Standing.GROUP)]


def test_the_nodes_of_the_group_come_last_and_without_a_memory_they_are_all_there_is() -> None:
    relatives = [entry("n3", age=1), entry("n1", age=2), entry("n4", age=DAY), entry("n5", age=3)]
    found = rank((entry("n1"),), now=NOW, ttl=DAY, nodes=None, relatives=relatives)
    assert said(found) == [("n1", 100, Standing.LAST), ("n3", 1, Standing.GROUP), ("n5", 1, Standing.GROUP)]
    first = rank((), now=NOW, ttl=DAY, nodes=node("n5") | node("n3", cordoned=True), relatives=relatives)
    assert said(first) == [("n5", 1, Standing.GROUP)]
    assert first.reason is Reason.VALID


def test_an_own_node_that_is_not_wanted_does_not_come_back_as_the_groups() -> None:
    memory = merge([entry("n1", age=10), entry("n2", age=20)])
    found = rank(memory, now=NOW, ttl=DAY, nodes=None, relatives=[entry("n2", age=1)], weights=Weights(older=0))
    assert said(found) == [("n1", 100, Standing.LAST)]


@pytest.mark.parametrize("label", ["another-host", ""])
def test_a_node_that_is_there_has_the_label_that_it_has_now(label: str) -> None:
    now = {"n1": Node(name="n1", uid="uid-1", hostname=label, ready=True)}
    first = rank((entry("n1", hostname="host-1"),), now=NOW, ttl=DAY, nodes=now).first
    assert first == Preferred("n1", label, "uid-1", 100)


def test_the_reason_for_no_preference_is_that_of_the_newest_entry() -> None:
    memory = merge([entry("n1", age=10), entry("n2", age=20)])
    nodes = node("n1", cordoned=True)
    assert rank(memory, now=NOW, ttl=DAY, nodes=nodes) == nothing(Reason.NODE_CORDONED)
    assert rank((), now=NOW, ttl=DAY, nodes=nodes) == nothing(Reason.NOTHING_REMEMBERED)


# Properties

LATER = datetime(2026, 11, 23, 0, 0, 9, tzinfo=UTC)
some_nodes = st.none() | st.sets(st.sampled_from([f"node-{number}" for number in range(8)])).map(
    lambda names: {name: Node(name=name, uid="uid-1", hostname=name, ready=True) for name in names}
)
some_weights = st.builds(Weights, st.integers(1, 100), st.integers(0, 100), st.integers(0, 100))


@given(entry_lists, entry_lists, st.integers(0, 20), some_nodes, some_weights)
def test_each_node_comes_once_the_strongest_first_and_only_where_an_entry_of_it_is_valid(
    own: list[Entry], others: list[Entry], ttl: int, nodes: dict[str, Node] | None, weights: Weights
) -> None:
    memory, relatives = merge(own), merge(others)
    found = rank(memory, now=LATER, ttl=ttl, nodes=nodes, relatives=relatives, weights=weights).nodes
    assert len({one.node for one in found}) == len(found)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    judged = [(one.node, validity(one, now=LATER, ttl=ttl, nodes=nodes)) for one in (*memory, *relatives)]
    assert {one.node for one in found} <= {name for name, reason in judged if reason is Reason.VALID}
    assert all(1 <= one.weight <= weights.last <= 100 for one in found)
    assert all(is_node_name(one.node) for one in found)


@given(entry_lists, entry_lists, st.integers(0, 20), some_nodes, some_weights)
def test_the_last_node_is_the_newest_valid_one_and_a_reason_is_given_exactly_where_there_is_none(
    own: list[Entry], others: list[Entry], ttl: int, nodes: dict[str, Node] | None, weights: Weights
) -> None:
    memory = merge(own)
    reasons = [validity(kept, now=LATER, ttl=ttl, nodes=nodes) for kept in memory]
    found = rank(memory, now=LATER, ttl=ttl, nodes=nodes, relatives=merge(others), weights=weights)
    assert (found.reason is Reason.VALID) == bool(found.nodes)
    if Reason.VALID in reasons:
        assert found.first is not None
        assert (found.first.node, found.first.weight) == (memory[reasons.index(Reason.VALID)].node, weights.last)
    elif not found.nodes:
        assert found == nothing(reasons[0] if reasons else Reason.NOTHING_REMEMBERED)


@given(entry_lists, st.randoms(), some_nodes)
def test_in_whatever_order_sessions_became_ready_the_same_nodes_are_ranked(
    own: list[Entry], random: Random, nodes: dict[str, Node] | None
) -> None:
    shuffled = random.sample(own, len(own))
    one, other = merge(own), functools.reduce(lambda memory, late: merge(memory, [late]), shuffled, ())
    assert rank(one, now=LATER, ttl=0, nodes=nodes) == rank(other, now=LATER, ttl=0, nodes=nodes)


def test_no_more_nodes_are_preferred_than_the_terms_may_hold() -> None:
    many = merge([entry(f"own-{number}", age=number + 1) for number in range(99)])
    relatives = [entry(f"group-{number}", age=number + 1) for number in range(99)]
    found = rank(many, now=NOW, ttl=DAY, nodes=None, relatives=relatives).nodes
    assert [one.node for one in found[:2]] == ["own-0", "own-1"]
    assert found[32].node == "group-0"
    assert len(found) == 64
