"""Delays between attempts: doubled, capped, spread, and never more attempts than promised."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kube.queue import CAP_SECONDS, FIRST_SECONDS, Backoff


def longest(_low: float, high: float) -> float:
    return high


def shortest(low: float, _high: float) -> float:
    return low


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=10.0, uniform=longest)
    assert [backoff.next() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_the_spread_is_the_upper_half_of_each_delay() -> None:
    backoff = Backoff(first=1.0, cap=10.0, uniform=shortest)
    assert [backoff.next() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_after_a_reset_it_starts_from_the_first_delay() -> None:
    backoff = Backoff(first=1.0, uniform=longest)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.next() == 1.0


def test_a_server_s_retry_after_is_obeyed_even_beyond_the_cap() -> None:
    backoff = Backoff(first=1.0, cap=10.0, uniform=longest)
    assert backoff.next(at_least=60.0) == 60.0
    assert backoff.next(at_least=0.5) == 2.0


@pytest.mark.parametrize("attempts", [10_000])
def test_it_goes_on_for_ever(attempts: int) -> None:
    backoff = Backoff(uniform=longest)
    for _ in range(attempts):
        last = backoff.next()
    assert last == CAP_SECONDS
    assert backoff.attempts == attempts


@given(st.integers(0, 2**32))
def test_never_more_than_9_attempts_in_the_first_minute_and_4_in_each_later_one(seed: int) -> None:
    backoff = Backoff(uniform=random.Random(seed).uniform)
    times, now = [0.0], 0.0
    while now < 600:
        now += backoff.next()
        times.append(now)
    assert sum(moment < 60 for moment in times) <= 9
    for minute in range(1, 10):
        assert sum(60 * minute <= moment < 60 * (minute + 1) for moment in times) <= 4
    assert times[1] >= FIRST_SECONDS / 2
