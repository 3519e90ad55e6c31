"""Which remembered nodes are preferred now, and why not."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.contract import CLOCK_TOLERANCE
from lastnode.memory import Entry, merge
from lastnode.objects import Node
from lastnode.ranking import Preference, Preferred, nothing, rank, validity
from lastnode.reasons import Reason
from tests.unit.test_memory import DAY, NOW, at, entry, entry_lists, instants, node


def preferring(remembered: Entry) -> Preference:
    one = Preferred(remembered.node, remembered.hostname, remembered.node_uid, 100)
    return Preference((one,), Reason.VALID)


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


def test_the_newest_valid_entry_is_preferred() -> None:
    memory = merge([entry("n1", age=10), entry("n2", age=20), entry("n3", age=30)])
    nodes = node("n1", cordoned=True) | node("n2") | node("n3")
    assert rank(memory, now=NOW, ttl=DAY, nodes=nodes) == preferring(entry("n2", age=20))
    assert rank(memory, now=NOW, ttl=DAY, nodes=None) == preferring(entry("n1", age=10))


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


@given(entry_lists, st.integers(0, 20), st.sets(st.sampled_from([f"node-{number}" for number in range(8)])))
def test_the_preferred_node_is_that_of_the_first_valid_entry_of_the_memory(
    one: list[Entry], ttl: int, names: set[str]
) -> None:
    memory, now = merge(one), datetime(2026, 11, 23, 0, 0, 9, tzinfo=UTC)
    nodes = {name: Node(name=name, uid="uid-1", hostname=name, ready=True) for name in names}
    reasons = [validity(kept, now=now, ttl=ttl, nodes=nodes) for kept in memory]
    found = rank(memory, now=now, ttl=ttl, nodes=nodes)
    if Reason.VALID in reasons:
        first = memory[reasons.index(Reason.VALID)]
        assert found == preferring(msgspec.structs.replace(first, hostname=nodes[first.node].hostname))
    else:
        assert found == nothing(reasons[0] if reasons else Reason.NOTHING_REMEMBERED)
