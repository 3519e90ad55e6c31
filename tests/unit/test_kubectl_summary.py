"""Reuse in numbers, and the journals of several replicas as one. Pure, on the recorder's real records."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubectl_lastnode.journals import Journals, join
from kubectl_lastnode.summary import group, percentile, saving, summarise
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import Reason
from tests.kubectl.journal import journal, moved, older, record, reused

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def saved(records: list[SessionRecord]) -> float | None:
    estimate = saving(records)
    return estimate.seconds if estimate else None


def test_sessions_that_had_nothing_to_come_back_to_do_not_count_for_the_ratio() -> None:
    assert group("", [record("f", ready=NOW)]).reuse_ratio is None
    assert group("", [record("f", ready=NOW), reused("r", ready=NOW)]).reuse_ratio == 1.0
    assert group("", [moved("m", Reason.EXPIRED, ready=NOW)]).reuse_ratio == 0.0


def test_an_older_node_is_one_to_come_back_to_and_one_of_the_group_is_not() -> None:
    returning = [reused("r", ready=NOW), older("o", ready=NOW), moved("m", Reason.EXPIRED, ready=NOW)]
    found = group("", [*returning, record("g", ready=NOW, outcome=Outcome.GROUP)])
    assert (found.back, found.returning, found.reuse_ratio) == (2, 3, 2 / 3)
    assert (found.first, found.group, found.reused, found.older, found.moved) == (0, 1, 1, 1, 1)


@pytest.mark.parametrize(("q", "value"), [(0.5, 2.0), (0.95, 4.0), (0.0, 1.0), (1.0, 4.0), (0.75, 3.0)])
def test_quantiles_are_values_that_were_measured(q: float, value: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], q) == value


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_smallest_value_that_its_share_does_not_exceed(times: list[float], q: float) -> None:
    ordered = sorted(times)
    found = percentile(ordered, q)
    assert found is not None
    assert sum(time <= found for time in ordered) >= q * len(ordered) - 1e-6
    assert sum(time < found for time in ordered) < q * len(ordered) + 1e-6


def test_time_is_saved_only_against_sessions_of_the_same_kind() -> None:
    back = reused("r", ready=NOW, took=2)
    assert saved([back, moved("m", Reason.EXPIRED, ready=NOW, took=12)]) == 10
    assert saved([back, older("o", ready=NOW, took=4), moved("m", Reason.EXPIRED, ready=NOW, took=12)]) == 18
    assert saved([back, moved("m", Reason.EXPIRED, ready=NOW, took=12, kind="CodeInterpreter")]) is None
    assert saved([reused("r", ready=NOW, took=12), moved("m", Reason.EXPIRED, ready=NOW, took=2)]) == -10


def test_sessions_without_times_are_counted_and_not_measured() -> None:
    summary = group("", [reused("r", ready=NOW, ready_at=None)])
    assert (summary.reused, summary.startup_seconds) == (1, None)


def test_only_sessions_of_the_window_count() -> None:
    records = [record("old", ready=NOW - timedelta(hours=2)), record("new", ready=NOW)]
    since = NOW - timedelta(hours=1)
    summary = summarise(records, since=since, complete_since=NOW - timedelta(hours=3), until=NOW)
    assert (summary.total.sessions, summary.complete_since) == (1, since)


def test_of_a_session_that_two_replicas_counted_the_one_that_knows_more_is_taken() -> None:
    blind = moved("s", Reason.UNKNOWN, ready=NOW, asked="")
    knowing = moved("s", Reason.NO_ROOM, ready=NOW)
    replicas = [journal(blind, since=NOW), journal(knowing, since=NOW)]
    assert join(replicas) == join(replicas[::-1]) == [knowing]


def test_the_data_goes_back_to_the_oldest_and_is_complete_from_the_newest_replica_on() -> None:
    older, newer = NOW - timedelta(hours=5), NOW - timedelta(hours=1)
    read = Journals((journal(since=older, dropped=2), journal(since=newer, dropped=3)))
    assert (read.since, read.complete_since, read.dropped) == (older, newer, 5)
    assert (Journals().since, Journals().complete_since) == (None, None)
