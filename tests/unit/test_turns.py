"""Who is next: groups take turns, and those in which work fails or is slow leave room for the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kube.turns import FAILURES_AT_ONCE, FAILURES_PER_SECOND, MOST_DOUBTFUL, SLOW_SECONDS, Turns

WORKERS = 8
LONG = SLOW_SECONDS + 0.01


class Shop:
    """Turns of keys "GROUP/NUMBER" on a clock of its own."""

    def __init__(self, **waiting: int) -> None:
        self.turns: Turns[str] = Turns(lambda key: key.partition("/")[0], WORKERS)
        self.now = 1000.0
        self.busy = 0
        for group, count in waiting.items():
            self.add(group, count)

    def add(self, group: str, count: int = 1) -> None:
        for number in range(count):
            self.turns.add(f"{group}/{number}")

    def take(self, most: int = WORKERS) -> list[str]:
        """Those who are next, until nobody is or no worker is left."""
        taken = []
        while len(taken) < most and self.busy < WORKERS and (key := self.turns.next(self.now)) is not None:
            taken.append(key)
            self.busy += 1
        return taken

    def work(self, well: bool | None, seconds: float = 0.0, most: int = WORKERS) -> list[str]:
        """The groups of the same, whose work ends."""
        taken = self.take(most)
        self.now += seconds
        for key in taken:
            self.turns.end(key, self.now, well)
        self.busy -= len(taken)
        return groups(taken)


def groups(keys: list[str]) -> list[str]:
    return [key.partition("/")[0] for key in keys]


def test_groups_take_turns_whatever_each_has_waiting() -> None:
    assert groups(Shop(many=100, one=1, two=2).take(6)) == ["many", "one", "two", "many", "two", "many"]


def test_one_group_leaves_one_of_eight_workers_to_the_others() -> None:
    shop = Shop(busy=100)
    assert groups(shop.take()) == ["busy"] * 7
    assert not shop.turns.ready(shop.now)
    shop.add("other", 100)
    assert shop.turns.ready(shop.now)
    assert groups(shop.take()) == ["other"]


def test_a_group_that_turns_slow_leaves_the_others_one_worker_and_later_half() -> None:
    shop = Shop(slow=100)
    stuck = shop.take()
    shop.add("good", 1000)
    for _ in range(10):  # a tenth of the time in which the slow ones are at work
        shop.now += LONG / 10
        assert shop.work(well=True) == ["good"]
    for count, key in enumerate(stuck, 1):
        shop.turns.end(key, shop.now, well=True)
        shop.busy -= 1
        assert shop.work(well=None, most=WORKERS).count("good") >= min(count + 1, WORKERS // 2)


@pytest.mark.parametrize(("well", "seconds"), [(False, 0.0), (True, LONG), (None, LONG)])
def test_groups_in_which_work_failed_or_was_slow_have_half_of_the_workers_together(
    well: bool | None, seconds: float
) -> None:
    shop = Shop(bad=1, worse=1)
    shop.work(well, seconds)
    shop.now += 60
    for group in ("bad", "worse", "good"):
        shop.add(group, 100)
    taken = groups(shop.take())
    assert taken.count("bad") == taken.count("worse") == WORKERS // 4
    assert taken.count("good") == WORKERS // 2


def test_what_takes_long_is_doubted_before_it_ends() -> None:
    shop = Shop(stuck=100)
    shop.take(4)
    shop.now += LONG
    assert shop.take() == []
    shop.add("good")
    assert groups(shop.take()) == ["good"]


def test_a_group_is_sound_again_once_its_work_ends_well_and_quickly() -> None:
    shop = Shop(bad=1)
    shop.work(well=False)
    shop.now += 60
    shop.add("bad", 100)
    assert shop.work(well=True, most=1) == ["bad"]
    assert len(shop.take()) == 7


def test_neither_the_sound_nor_the_doubtful_wait_for_ever_for_the_others() -> None:
    shop = Shop(bad=1)
    shop.work(well=False)
    shop.now += 60
    shop.add("bad", 50)
    shop.add("good", 50)
    taken = [group for _ in range(20) for group in shop.work(well=None, most=1)]
    assert taken.count("bad") == taken.count("good") == 10


def test_what_fails_is_tried_a_few_times_a_second_however_much_there_is() -> None:
    shop = Shop(bad=1000)
    tries = 0
    for _ in range(600):
        tries += len(shop.work(well=False))
        shop.now += 0.1
    assert tries <= FAILURES_AT_ONCE + 60 * FAILURES_PER_SECOND
    assert tries >= 60 * FAILURES_PER_SECOND - 1


def test_what_is_whole_again_is_made_up_for_at_full_speed() -> None:
    shop = Shop(bad=1000)
    shop.work(well=False)
    shop.work(well=False)
    pause = shop.turns.pause(shop.now)
    assert pause is not None
    shop.now += pause
    assert shop.work(well=True, most=1)
    assert len([each for _ in range(300) for each in shop.work(well=True)]) > 900


def test_where_nothing_ends_well_in_two_groups_nobody_is_tried_often_until_something_does() -> None:
    shop = Shop()
    for number in range(100):
        shop.add(f"g{number}")
    tries = 0
    for _ in range(50):
        tries += len(shop.work(well=False))
        shop.now += 0.1
    assert tries <= FAILURES_AT_ONCE + 5 * FAILURES_PER_SECOND
    shop.now += 1.0
    shop.work(well=True, most=1)
    assert len([each for _ in range(50) for each in shop.work(well=True)]) >= 100 - tries - 1


def test_one_group_of_failures_does_not_slow_the_others_down() -> None:
    shop = Shop(bad=100)
    shop.work(well=False)
    shop.add("good", 100)
    rounds = 0
    while "good/99" in shop.turns:
        for key in shop.take():
            shop.turns.end(key, shop.now, well=key.startswith("good"))
            shop.busy -= 1
        rounds += 1
    assert rounds < 100 / (WORKERS // 2) + 2


def test_doubt_is_remembered_of_so_many_groups_only() -> None:
    shop = Shop()
    for number in range(MOST_DOUBTFUL + 10):
        shop.add(f"g{number}")
        shop.work(well=False)
        shop.now += 1
    assert len(shop.turns._doubtful) == MOST_DOUBTFUL
    assert not shop.turns
    assert not shop.turns._sound
    assert not shop.turns._unsound
    assert not shop.turns._held


steps = st.lists(
    st.tuples(st.just("add"), st.integers(0, 23))
    | st.tuples(st.just("take"), st.just(0))
    | st.tuples(st.sampled_from(["well", "failed", "neither"]), st.integers(0, 7))
    | st.tuples(st.just("pass"), st.integers(0, 3)),
    max_size=80,
)
ENDS = {"well": True, "failed": False, "neither": None}


@given(steps, st.integers(1, 8))
def test_each_key_that_was_added_is_next_once_in_the_end_whatever_happens(
    played: list[tuple[str, int]], workers: int
) -> None:
    turns: Turns[int] = Turns(lambda key: key % 4, workers)
    now, busy, due = 0.0, list[int](), set[int]()

    def take() -> bool:
        key = turns.next(now) if len(busy) < workers else None
        if key is not None:
            busy.append(key)
            due.remove(key)
        return key is not None

    for what, number in played:
        if what == "add" and number not in busy:
            due.add(number)
            turns.add(number)
        elif what == "take":
            take()
        elif what in ENDS and busy:
            turns.end(busy.pop(number % len(busy)), now, ENDS[what])
        now += number if what == "pass" else 0
        assert {key for key in range(24) if key in turns} == due
        assert len(turns) == len(due)
    for _ in range(200):
        now += 0.5
        while take():
            pass
        while busy:
            turns.end(busy.pop(), now, None)
    assert not due
    assert turns.pause(now) is None
