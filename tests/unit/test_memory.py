"""The memory of a workload: merging, and its text form."""

import functools
import itertools
import json
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode import memory as memories
from lastnode.contract import AGENTCUBE_PREFIX, LAST_NODE_ANNOTATION, MAX_RECENT_NODES_BYTES, RECENT_NODES_ANNOTATION
from lastnode.memory import Crash, Entry, Memory, add, bounded, is_ahead, merge, parse_text, prune, take_back
from lastnode.objects import Node
from lastnode.status import EARLIEST, LATEST
from tests.unit.strategies import entries, label_values, node_names

parse = functools.partial(memories.parse, prefix=AGENTCUBE_PREFIX)
render = functools.partial(memories.render, prefix=AGENTCUBE_PREFIX)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = 24 * 60 * 60.0
DAY_OF_ENTRIES = datetime(2026, 11, 23, tzinfo=UTC)

# Few nodes, each several times; or more of them than a memory holds.
entry_lists = st.lists(entries, max_size=12) | st.lists(st.integers(0, 45), min_size=33, max_size=60).map(
    lambda numbers: [Entry(f"node-{number}", ready_at=NOW + timedelta(seconds=i)) for i, number in enumerate(numbers)]
)
instants = st.datetimes(EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC))
dated_entries = st.builds(
    Entry,
    node=node_names(),
    hostname=st.just("") | label_values,
    node_uid=st.text(max_size=8),
    ready_at=instants,
    pod_uid=st.text(max_size=8),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
# Objects with the right keys and, at random, the wrong values.
almost_entries = st.fixed_dictionaries(
    {},
    optional={
        "node": st.just("n1") | json_values,
        "hostname": st.just("n1") | json_values,
        "nodeUID": json_values,
        "readyAt": st.sampled_from(
            [
                "2026-11-23T00:00:00Z",
                "2026-11-23T00:00:00",
                "9999-12-31T23:59:59-12:00",
                "0001-01-01T00:00:00+12:00",
            ]
        )
        | json_values,
        "podUID": json_values,
    },
)
any_text = st.text(st.characters(exclude_categories=()))  # with lone surrogates, which no UTF-8 holds
garbage = any_text | json_values.map(json.dumps) | st.lists(almost_entries | json_values).map(json.dumps)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def entry(node: str = "n1", *, age: float = 60.0, uid: str = "uid-1", hostname: str | None = None) -> Entry:
    return Entry(node, node if hostname is None else hostname, uid, at(-age), "pod-1")


def node(
    name: str = "n1", *, uid: str = "uid-1", ready: bool = True, cordoned: bool = False, leaving: bool = False
) -> dict[str, Node]:
    return {name: Node(name=name, uid=uid, hostname=name, ready=ready, unschedulable=cordoned, leaving=leaving)}


# Merging


@given(entry_lists, entry_lists)
def test_merging_is_commutative(one: list[Entry], two: list[Entry]) -> None:
    assert merge(one, two) == merge(two, one)


@given(entry_lists, entry_lists, entry_lists)
def test_merging_is_associative(one: list[Entry], two: list[Entry], three: list[Entry]) -> None:
    assert merge(merge(one, two), three) == merge(one, merge(two, three)) == merge(one, two, three)


@given(entry_lists)
def test_merging_is_idempotent(one: list[Entry]) -> None:
    memory = merge(one)
    assert merge(memory) == memory
    assert merge(memory, memory) == memory


@given(entry_lists, st.randoms())
def test_entries_that_arrive_one_by_one_in_any_order_make_the_same_memory(one: list[Entry], random: Random) -> None:
    shuffled = list(one)
    random.shuffle(shuffled)
    memory: Memory = ()
    for arrived in shuffled:
        memory = merge(memory, [arrived])
    assert memory == merge(one)


@given(entry_lists)
def test_a_memory_holds_at_most_32_entries_newest_first_and_one_a_node(one: list[Entry]) -> None:
    memory = merge(one)
    assert len(memory) <= 32
    assert len({kept.node for kept in memory}) == len(memory)
    if len(memory) > 1:
        dates = [kept.ready_at for kept in memory if kept.ready_at is not None]
        assert len(dates) == len(memory)
        assert dates == sorted(dates, reverse=True)


@given(entry_lists)
def test_what_is_kept_are_the_newest_entries_that_the_text_may_hold(one: list[Entry]) -> None:
    memory = merge(one)
    assert bounded(memory, 8) == memory[:8]
    assert bounded(memory, 32) == memory


@pytest.mark.parametrize(("length", "kept"), [(10, 32), (253, 18)])
def test_a_memory_of_long_names_keeps_no_more_than_the_largest_text(length: int, kept: int) -> None:
    uid = "8d0f2f6e-0000-4000-8000-000000000000"
    many = merge([Entry(f"{i:02}{'x' * (length - 2)}", "h" * 40, uid, at(-i), uid) for i in range(32)])
    text = render(bounded(many, 32))[RECENT_NODES_ANNOTATION] or ""
    assert len(text.encode()) <= MAX_RECENT_NODES_BYTES
    assert parse({RECENT_NODES_ANNOTATION: text}) == many[:kept]


@given(entry_lists)
def test_what_merging_drops_is_older_than_what_it_keeps(one: list[Entry]) -> None:
    memory = merge(one)
    kept = {kept.node: kept.ready_at for kept in memory}
    oldest = min((date for date in kept.values() if date is not None), default=None)
    for given_entry in one:
        if given_entry.ready_at is None:
            continue
        same_node = kept.get(given_entry.node)
        if same_node is not None:
            assert given_entry.ready_at <= same_node
        else:
            assert len(memory) == 32
            assert oldest is not None
            assert given_entry.ready_at <= oldest


nows = st.sampled_from([DAY_OF_ENTRIES - timedelta(minutes=5, seconds=-second) for second in (-1, 2, 5, 9)])


@given(entry_lists, entry_lists, entry_lists, nows)
def test_merging_by_a_clock_is_commutative_associative_and_idempotent_too(
    one: list[Entry], two: list[Entry], three: list[Entry], now: datetime
) -> None:
    by_clock = functools.partial(merge, now=now)
    assert by_clock(one, two) == by_clock(two, one)
    assert by_clock(by_clock(one, two), three) == by_clock(one, by_clock(two, three)) == by_clock(one, two, three)
    assert by_clock(by_clock(one)) == by_clock(one)


@given(entry_lists, nows)
def test_an_entry_ahead_of_the_clock_beats_no_other(one: list[Entry], now: datetime) -> None:
    believed = [kept for kept in one if not is_ahead(kept, now)]
    memory = merge(one, now=now)
    if any(kept.ready_at for kept in believed):
        assert [kept for kept in memory if not is_ahead(kept, now)] == list(merge(believed))
        assert memory[0] in believed


@given(entry_lists.map(merge), entry_lists.map(merge), nows)
def test_a_session_that_is_known_keeps_its_date(known: Memory, news: Memory, now: datetime) -> None:
    dates = {(kept.node, kept.pod_uid): kept.ready_at for kept in known if kept.pod_uid and not is_ahead(kept, now)}
    memory = add(known, news, now)
    for kept in memory:
        assert dates.get((kept.node, kept.pod_uid), kept.ready_at) == kept.ready_at
    assert add(memory, (), now) == memory == add(memory, memory, now)


def test_an_undated_entry_is_forgotten_beside_a_dated_one() -> None:
    assert merge([Entry("bare", "bare")], [entry()]) == (entry(),)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_date_at_the_beginning_of_time_is_still_a_date(order: tuple[int, ...]) -> None:
    # Go's zero time is read so. Ranked level with "undated", it made the result depend on the merging order.
    zero = Entry("n1", ready_at=EARLIEST)
    three = [zero, Entry("n1", "n1"), entry("n2")]
    first, second, third = (three[index] for index in order)
    assert merge(merge([first], [second]), [third]) == (entry("n2"), zero)


# The text form


@given(st.lists(dated_entries, max_size=8))
def test_a_memory_survives_being_written_and_read(one: list[Entry]) -> None:
    memory = merge(one)
    written = {key: text for key, text in render(memory).items() if text is not None}
    assert parse(written) == memory


@given(node_names())
def test_a_bare_last_node_survives_being_written_and_read(name: str) -> None:
    memory = parse({LAST_NODE_ANNOTATION: name})
    assert [kept.node for kept in memory] == [name]
    assert render(memory) == {LAST_NODE_ANNOTATION: name, RECENT_NODES_ANNOTATION: None}


def test_the_text_is_the_one_that_other_programs_rely_on() -> None:
    remembered = Entry("node-1", "host-1", "nu", datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC), "pu")
    written = render((remembered, Entry("node-2", ready_at=datetime(2026, 11, 22, tzinfo=UTC))))
    assert written[LAST_NODE_ANNOTATION] == "node-1"
    assert json.loads(written[RECENT_NODES_ANNOTATION] or "") == [
        {
            "node": "node-1",
            "hostname": "host-1",
            "nodeUID": "nu",
            "readyAt": "2026-11-23T01:02:03Z",
            "podUID": "pu",
        },
        {"node": "node-2", "readyAt": "2026-11-22T00:00:00Z"},
    ]


def test_an_empty_memory_removes_both_annotations() -> None:
    assert render(()) == {LAST_NODE_ANNOTATION: None, RECENT_NODES_ANNOTATION: None}


@given(garbage, st.none() | any_text)
def test_whatever_the_annotations_hold_is_read_without_an_error(recent: str, last: str | None) -> None:
    memory = parse_text(last, recent)
    assert merge(memory) == memory
    # And what was understood can be written and understood again.
    written = render(memory)
    assert parse_text(written[LAST_NODE_ANNOTATION], written[RECENT_NODES_ANNOTATION]) == memory


@pytest.mark.parametrize("text", ["[" * 100_000, '[{"node":"n1","x":' + "[" * 100_000, "{" * 100_000, "\ud800"])
def test_text_made_to_break_a_parser_counts_as_absent(text: str) -> None:
    assert parse_text(None, text) == ()
    assert parse_text("n1", text) == (Entry("n1", "n1"),)


@given(st.lists(almost_entries | json_values, max_size=3), st.integers(0, 3))
def test_an_unreadable_entry_costs_the_readable_ones_nothing(bad: list[object], position: int) -> None:
    good = {"node": "good", "readyAt": "9999-01-01T00:00:00Z"}
    text = json.dumps([*bad[:position], good, *bad[position:]])
    assert "good" in {kept.node for kept in parse_text(None, text)}


@pytest.mark.parametrize(
    "item",
    [
        {"readyAt": "2026-11-23T00:00:00Z"},
        {"node": "n1"},
        {"node": "n1", "readyAt": None},
        {"node": "n1", "readyAt": 5},
        {"node": "n1", "readyAt": "yesterday"},
        {"node": "n1", "readyAt": "2026-11-23T00:00:00"},
        {"node": "N1", "readyAt": "2026-11-23T00:00:00Z"},
        {"node": "n" * 254, "readyAt": "2026-11-23T00:00:00Z"},
        {"node": "n1", "hostname": "no label", "readyAt": "2026-11-23T00:00:00Z"},
        {"node": "n1", "hostname": "h" * 64, "readyAt": "2026-11-23T00:00:00Z"},
        {"node": "n1", "readyAt": "0000-01-01T00:00:00Z"},
        "n1",
        None,
    ],
)
def test_an_entry_that_cannot_be_true_is_left_out(item: object) -> None:
    assert parse_text(None, json.dumps([item])) == ()


def test_text_over_8_kb_counts_as_absent_and_one_of_8_kb_does_not() -> None:
    text = json.dumps([{"node": "n1", "readyAt": "2026-11-23T00:00:00Z"}])
    assert parse_text(None, text.ljust(8192)) != ()
    assert parse_text(None, text.ljust(8193)) == ()
    assert parse_text("n2", text.ljust(8193)) == (Entry("n2", "n2"),)


def test_the_longest_memory_that_is_written_can_be_read_again() -> None:
    longest = [Entry(f"{number:02}" + "n" * 251, "h" * 63, "u" * 36, at(number), "p" * 36) for number in range(20)]
    memory = bounded(merge(longest), 32)
    assert parse_text(None, render(memory)[RECENT_NODES_ANNOTATION]) == memory


def test_fields_unknown_to_this_release_are_no_reason_to_forget() -> None:
    text = '[{"node":"n1","hostname":"h1","readyAt":"2026-11-23T00:00:00Z","zone":{"name":"z"}}]'
    assert [kept.node for kept in parse_text(None, text)] == ["n1"]


def test_times_are_kept_in_utc() -> None:
    text = '[{"node":"n1","readyAt":"2026-11-23T02:00:00+02:00"}]'
    (kept,) = parse_text(None, text)
    assert kept.ready_at == datetime(2026, 11, 23, tzinfo=UTC)
    assert kept.ready_at.tzinfo is UTC


def test_a_bare_last_node_is_honoured_undated_and_taken_as_its_own_hostname() -> None:
    assert parse({LAST_NODE_ANNOTATION: "n1"}) == (Entry("n1", "n1"),)


def test_a_bare_last_node_too_long_for_a_label_has_no_hostname() -> None:
    assert parse({LAST_NODE_ANNOTATION: "n" * 63}) == (Entry("n" * 63, "n" * 63),)
    assert parse({LAST_NODE_ANNOTATION: "n" * 64}) == (Entry("n" * 64, ""),)


@pytest.mark.parametrize("text", ["", "No Node", "n1\n", "n" * 254])
def test_a_bare_last_node_that_no_node_can_be_called_is_ignored(text: str) -> None:
    assert parse({LAST_NODE_ANNOTATION: text}) == ()


def test_recent_nodes_wins_over_last_node() -> None:
    written = render((entry("n1"),)) | {LAST_NODE_ANNOTATION: "other"}
    assert parse({key: text for key, text in written.items() if text is not None}) == (entry("n1"),)


def test_pruning_forgets_nodes_that_are_gone_or_replaced_and_no_others() -> None:
    memory = merge([entry("n1", age=1), entry("n2", age=2), entry("n3", age=3), entry("n4", age=4, uid="")])
    nodes = node("n1", ready=False, cordoned=True) | node("n2", uid="uid-2") | node("n4", uid="uid-2")
    assert [kept.node for kept in prune(memory, nodes)] == ["n1", "n4"]


crashes = st.builds(
    lambda pod_uid, second, early: Crash(
        pod_uid, DAY_OF_ENTRIES + timedelta(seconds=second - early), DAY_OF_ENTRIES + timedelta(seconds=second)
    ),
    st.sampled_from(["pod-1", "pod-2"]),
    st.integers(0, 10),
    st.integers(0, 4),
)


@given(entry_lists, st.frozensets(crashes, max_size=4))
def test_a_crash_takes_back_its_own_pod_s_early_entries_and_no_others(one: list[Entry], many: frozenset[Crash]) -> None:
    memory = merge(one)
    kept = take_back(memory, many)
    for entry in memory:
        early = [
            crash
            for crash in many
            if crash.pod_uid == entry.pod_uid and entry.ready_at and crash.since <= entry.ready_at <= crash.at
        ]
        assert (entry in kept) == (not early)


@given(entry_lists, st.frozensets(crashes, max_size=4))
def test_taking_back_twice_takes_no_more_and_keeps_the_order(one: list[Entry], many: frozenset[Crash]) -> None:
    kept = take_back(merge(one), many)
    assert take_back(kept, many) == kept == merge(kept)


def test_an_entry_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        entry().node = "n2"  # type: ignore[misc]
    assert msgspec.structs.replace(entry(), node="n2").node == "n2"
