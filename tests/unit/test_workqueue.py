"""The queue's promises: at most once in it, never in two workers, delays kept, everybody woken at the end."""

from __future__ import annotations

import time
from collections import Counter
from threading import Barrier, Lock, Thread

from lastnode.kube.queue import WorkQueue


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


def test_a_delayed_key_comes_when_it_is_due_and_not_before() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("late", delay=5.0)
    queue.add("now")
    clock.now += 4.999
    assert queue.take() == "now"
    queue.add("also now")
    assert queue.take() == "also now"
    clock.now += 0.001
    assert queue.take() == "late"


def test_of_several_delays_the_earliest_counts_and_the_key_comes_once() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    for delay in (9.0, 2.0, 5.0):
        queue.add("a", delay)
    assert len(queue) == 1
    clock.now += 2.0
    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle()
    clock.now += 100.0
    queue.add("b")
    assert queue.take() == "b"


def test_an_immediate_add_overtakes_a_delay() -> None:
    clock = Clock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add("a", delay=60.0)
    queue.add("a")
    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle()


def test_a_delay_does_not_put_off_what_is_due_already() -> None:
    queue: WorkQueue[str] = WorkQueue(Clock())
    queue.add("a")
    queue.add("a", delay=60.0)
    assert len(queue) == 1
    assert queue.take() == "a"
    queue.done("a")
    assert queue.idle()


def test_a_delayed_key_wakes_a_waiting_worker_by_itself() -> None:
    queue: WorkQueue[str] = WorkQueue()
    taken: list[str | None] = []
    worker = Thread(target=lambda: taken.append(queue.take()))
    worker.start()
    queue.add("a", delay=0.02)
    worker.join(10)
    queue.close()
    assert taken == ["a"]


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
    queue: WorkQueue[int] = WorkQueue()
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
            queue.done(key)

    start = Barrier(3)

    def ask() -> None:
        start.wait()
        for number in range(3000):
            key = number % 5
            with lock:
                wanted[key] += 1
            queue.add(key, delay=0.0001 if number % 7 == 0 else 0.0)

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
