"""The queue's promises: at most once in it, never in two workers, rests kept, everybody woken at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from threading import Barrier, Lock, Thread, current_thread
from typing import TypeVar

from lastnode.kube.queue import Backoff, Done, WorkQueue
from lastnode.kube.turns import FAILURES_AT_ONCE

K = TypeVar("K", str, int)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_one_key_is_one_piece_of_work() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for _ in range(100):
        queue.add("a")
    assert len(queue) == 1
    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle()


def test_keys_come_in_the_order_they_were_first_added() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("b", "a", "b", "c"):
        queue.add(key)
    assert [queue.take() for _ in range(3)] == ["b", "a", "c"]


def test_a_key_added_while_in_work_comes_again_and_only_after_that_work() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert queue.take() == "b"
    assert not queue.idle()
    queue.done("a")
    assert queue.take() == "a"
    queue.done("a")
    queue.done("b")
    assert queue.idle()


def test_a_key_that_rests_comes_when_its_rest_is_over_and_not_before() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("rests")
    assert queue.take() == "rests"
    queue.done("rests", Done(rest=5.0, again=True))
    queue.add("now")
    clock.now += 4.999
    assert queue.take() == "now"
    queue.done("now")
    queue.add("also now")
    assert queue.take() == "also now"
    queue.done("also now")
    clock.now += 0.001
    assert queue.take() == "rests"


def test_what_is_added_during_a_rest_comes_after_it_and_once() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a")
    assert queue.take() == "a"
    queue.add("a")
    queue.done("a", Done(rest=2.0))
    for _ in range(3):
        queue.add("a")
    assert len(queue) == 1
    assert not queue.idle()
    clock.now += 2.0
    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle()


def test_a_rest_that_nobody_cuts_short_leaves_nothing_behind() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    for number in range(1000):
        queue.add(f"k{number}")
        assert queue.take() == f"k{number}"
        queue.done(f"k{number}", Done(rest=1.0))
        clock.now += 0.5
    assert len(queue._resting) <= 3
    assert queue.idle()


def test_a_key_at_the_end_of_its_rest_wakes_a_waiting_worker_by_itself() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a", Done(rest=0.02, again=True))
    assert _taken_by_another(queue) == "a"


def test_nobody_gets_anything_during_a_pause_and_a_second_failure_does_not_make_it_longer() -> None:
    clock = Clock()
    backoff = Backoff(first=1.0, uniform=lambda low, high: high)
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a")
    assert queue.pause(backoff) == 1.0
    clock.now += 0.25
    assert queue.pause(backoff) == 0.75
    clock.now += 0.75
    assert queue.take() == "a"
    assert queue.pause(backoff) == 2.0


def test_a_pause_ends_by_itself() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.pause(Backoff(first=0.02))
    queue.add("a")
    assert _taken_by_another(queue) == "a"


def test_failed_work_is_given_out_again_without_anything_happening_once_its_failures_count_no_more() -> None:
    queue: WorkQueue[int] = WorkQueue()
    for key in range(FAILURES_AT_ONCE + 1):
        queue.add(key)
    for _ in range(FAILURES_AT_ONCE):
        key = queue.take()
        assert key is not None
        queue.done(key, Done(well=False))
    assert _taken_by_another(queue) == FAILURES_AT_ONCE


def test_whoever_gets_something_wakes_another_for_what_is_left() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.pause(Backoff(first=0.02))
    queue.add("a")
    queue.add("b")
    assert sorted(_taken_by_others(queue, 2)) == ["a", "b"]


def test_a_rest_ends_in_time_though_who_saw_to_it_is_at_work() -> None:
    queue: WorkQueue[str] = WorkQueue(workers=4)
    for key in ("a", "b", "rests", "takes long"):
        queue.add(key)
    assert [queue.take() for _ in range(3)] == ["a", "b", "rests"]

    def goes_on() -> None:
        queue.done("a")
        queue.done("rests", Done(rest=0.02, again=True))
        assert queue.take() == "takes long"

    assert _taken_by_others(queue, 1, _waiting(queue, goes_on)) == ["rests"]


def test_nobody_wakes_while_a_group_has_all_the_workers_that_it_may_have() -> None:
    looks: Counter[str] = Counter()

    def clock() -> float:
        looks[current_thread().name] += 1
        return 100.0

    queue: WorkQueue[int] = WorkQueue(clock)
    for key in range(100):
        queue.add(key)
    busy = [queue.take() for _ in range(7)]

    def goes_on() -> None:
        for _ in range(20):
            key = busy.pop(0)
            assert key is not None
            queue.done(key, Done(well=True))
            busy.append(queue.take())
            time.sleep(0.001)  # for the other to wake, if it has to
        queue.close()

    _taken_by_others(queue, 1, _waiting(queue, goes_on))
    assert looks["other-0"] == 1


def _waiting(queue: WorkQueue[K], then: Callable[[], None]) -> Callable[[], None]:
    """Do that once a worker waits."""

    def done() -> None:
        deadline = time.monotonic() + 10
        while not queue._idle and time.monotonic() < deadline:
            time.sleep(0.001)
        then()

    return done


def _taken_by_another(queue: WorkQueue[K]) -> K | None:
    """What a worker gets that has to wait for it."""
    return next(iter(_taken_by_others(queue, 1)), None)


def _taken_by_others(queue: WorkQueue[K], count: int, meanwhile: Callable[[], None] = lambda: None) -> list[K]:
    """What so many workers get that have to wait for it."""
    taken: list[K | None] = []
    workers = [Thread(target=lambda: taken.append(queue.take()), name=f"other-{number}") for number in range(count)]
    for worker in workers:
        worker.start()
    meanwhile()
    for worker in workers:
        worker.join(10)
    queue.close()
    return [key for key in taken if key is not None]


def test_close_wakes_every_worker_and_leaves_the_rest_undone() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taken: list[str | None] = []
    workers = [Thread(target=lambda: taken.append(queue.take())) for _ in range(4)]
    for worker in workers:
        worker.start()
    queue.close()
    for worker in workers:
        worker.join(10)
    assert taken == [None] * 4
    queue.add("a")
    assert queue.take() is None


def test_two_workers_never_hold_the_same_key_and_every_add_is_followed_by_work() -> None:
    queue: WorkQueue[int] = WorkQueue(group=lambda key: key % 3, workers=4)
    lock, held, clashes = Lock(), Counter[int](), []
    wanted = dict.fromkeys(range(5), 0)
    seen = dict.fromkeys(range(5), 0)

    def work() -> None:
        while (key := queue.take()) is not None:
            with lock:
                held[key] += 1
                if held[key] > 1:
                    clashes.append(key)
                seen[key] = wanted[key]  # as a writer reads the newest state once it has the key
            with lock:
                held[key] -= 1
            queue.done(key, Done(rest=0.0001 if key % 2 else 0.0))

    start = Barrier(3)

    def ask() -> None:
        start.wait()
        for number in range(3000):
            key = number % 5
            with lock:
                wanted[key] += 1
            queue.add(key)

    workers = [Thread(target=work) for _ in range(4)]
    askers = [Thread(target=ask) for _ in range(3)]
    for thread in (*workers, *askers):
        thread.start()
    for thread in askers:
        thread.join(30)
    deadline = time.monotonic() + 30
    while not queue.idle() and time.monotonic() < deadline:
        time.sleep(0.005)
    queue.close()
    for thread in workers:
        thread.join(10)
    assert not clashes
    assert seen == wanted
