"""The date of a session's placement: its pod's first Ready, as far as that can be known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode import memory
from lastnode.attribution import Attribution, Verdict
from lastnode.memory import Crash
from lastnode.objects import Node, Session
from recorder.life import LONGEST_START, Life, believed, dated, news

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=1)
EARLY = timedelta(seconds=30)


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else NOON + timedelta(seconds=seconds)


def pod(ready: float | None, crashed: float | None = None, bound: int | None = 2, uid: str = "u") -> Session:
    return Session(
        name="s", uid=uid, node="n", created_at=NOON, scheduled_after=bound, ready_at=at(ready), crashed_at=at(crashed)
    )


def followed(*seen: Session, now: datetime = NOW) -> datetime | None:
    """The date, once a pod was seen like this, one after the other."""
    known: Session | None = None
    for session in seen:
        known = dated(known, session, EARLY, now)
    assert known is not None
    return known.first_ready_at


readiness = st.lists(st.none() | st.integers(3, 10**5), max_size=6)


@given(st.integers(3, 10**4), readiness)
def test_once_it_is_ready_no_later_change_of_its_readiness_moves_the_date(first: int, later: list[int | None]) -> None:
    assert followed(pod(None), pod(first), *map(pod, later)) == at(first)


@given(st.integers(3, int(LONGEST_START.total_seconds())), readiness)
def test_nor_where_it_was_found_ready(first: int, later: list[int | None]) -> None:
    assert followed(pod(first), *map(pod, later)) == at(first)


def test_a_pod_found_ready_long_after_it_was_bound_counts_from_when_it_was_bound() -> None:
    longest = LONGEST_START.total_seconds()
    assert followed(pod(2 + longest)) == at(2 + longest)
    assert followed(pod(3 + longest)) == at(2)
    assert followed(pod(3 + longest, bound=None)) == at(3 + longest)


def test_a_start_that_takes_longer_counts_from_its_end_where_it_was_seen() -> None:
    assert followed(pod(None), pod(3600)) == at(3600)


def test_no_date_is_later_than_one_s_own_clock_or_earlier_than_the_binding() -> None:
    assert followed(pod(None), pod(86400), now=NOON + timedelta(seconds=9.7)) == at(9)
    assert followed(pod(None), pod(-86400)) == at(2)


def test_after_an_early_crash_the_next_ready_counts_and_after_a_later_one_the_first() -> None:
    assert followed(pod(5), pod(None, crashed=35), pod(40, crashed=35)) == at(40)
    assert followed(pod(5), pod(40, crashed=35)) == at(40)
    assert followed(pod(5), pod(40, crashed=35), pod(None, crashed=35), pod(7000, crashed=35)) == at(40)
    assert followed(pod(5), pod(None, crashed=36), pod(40, crashed=36)) == at(5)
    assert followed(pod(5), pod(None, crashed=7), pod(7, crashed=7)) == at(7)


def test_a_pod_that_is_ready_again_within_the_second_of_its_crash_keeps_what_is_written_of_it() -> None:
    node = Node(name="n", uid="n", hostname="n", ready=True)
    seen = [dated(pod(6), each, EARLY, NOW) for each in (pod(None, crashed=6), pod(6, crashed=6))]
    down, back = (news("w", each, node, EARLY) for each in seen)
    (placed,) = back.memory
    assert memory.take_back((placed,), down.crashes) == ()
    for pending in (back, down.plus(back), back.plus(down)):
        assert memory.take_back(pending.memory, pending.crashes) == (placed,)


@pytest.mark.parametrize(
    ("late", "passed", "ready", "seen"),
    [
        (False, 0.4, 2, 0.4),
        (False, 0.4, 3, 0.4),  # a second of the API's began meanwhile
        (False, 0.4, 5, None),  # the watch was late, or the node's clock is wrong
        (False, 7.2, 9, 7.2),
        (True, 0.4, 2, None),  # it was bound before it was seen
    ],
)
def test_a_start_is_as_long_as_it_was_seen_to_be_where_the_api_s_whole_seconds_agree(
    late: bool, passed: float, ready: int, seen: float | None
) -> None:
    life = Life(pod(None), Attribution(Verdict.FOUND), late=late, counts=True)
    life.timed(pod(None), 100.0)
    life.timed(pod(None), 100.0 + passed / 2)
    session = msgspec.structs.replace(pod(ready), first_ready_at=at(ready))
    life.timed(session, 100.0 + passed)
    life.timed(session, 200.0)
    assert believed(life.seen, session) == seen


def test_another_pod_of_the_name_has_a_date_of_its_own() -> None:
    assert followed(pod(5), pod(9, uid="another")) == at(9)


@pytest.mark.parametrize("crashed", [18010, 18040])
def test_an_error_soon_after_a_flap_takes_nothing_back_from_a_long_session(crashed: int) -> None:
    first = followed(pod(None), pod(5), pod(None), pod(18000), pod(None, crashed=crashed), pod(18050, crashed=crashed))
    assert first == at(5)
    session = msgspec.structs.replace(pod(18050, crashed=crashed), first_ready_at=first)
    (crash,) = news("w", session, None, EARLY).crashes
    assert crash == Crash("u", at(crashed) - EARLY, at(crashed))  # type: ignore[operator]
    assert not crash.since <= first <= crash.at
