"""What is done again, and when: keys to work on, and the delays between attempts.

A key is at most once in the queue, never in two workers at a time, and rests after its work for as long as that says.

The same promises as client-go's workqueue, for the same reason: a burst of events about one workload becomes one
piece of work on its newest state, and two writes of one workload never race each other. Who is next is decided by
:mod:`lastnode.kube.turns`.
"""

import heapq
import math
import random
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Condition
from typing import Final, Generic, NamedTuple, TypeVar

from lastnode.kube.turns import Turns

K = TypeVar("K", bound=Hashable)


class Done(NamedTuple):
    """How a piece of work ended. ``well``: None where that says nothing of its group. ``rest``: seconds before which
    its key is not worked on again. ``again``: whether that has to be."""

    well: bool | None = None
    rest: float = 0.0
    again: bool = False


NOTHING_DONE: Final = Done()


class WorkQueue(Generic[K]):
    """``add`` from anywhere; each of the ``workers`` is in ``work``, a loop over ``take`` and ``done``. Bounded by the
    number of distinct keys. ``group``: of a key; groups are kept from holding each other up."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        group: Callable[[K], Hashable] = lambda _: None,
        workers: int = 8,
    ) -> None:
        self._clock = clock
        self._turns: Turns[K] = Turns(group, workers)
        self._resting: dict[K, float] = {}  # key -> until when
        self._wanted: set[K] = set()  # added while busy or resting
        self._later: list[tuple[float, int, K]] = []  # those that are wanted, and rest
        self._sequence = 0
        self._paused_until = 0.0
        self._closed = False
        self._idle: list[float] = []  # of each worker that waits: when it wakes by itself
        self._changed = Condition()

    def add(self, key: K) -> None:
        """Have ``key`` worked on: now, or after the work and the rest that it is in."""
        with self._changed:
            self._add(key)
            self._changed.notify()

    def work(self, on: Callable[[K], Done]) -> None:
        """A worker's loop, until the queue is closed. An error that ``on`` raises ends it, and leaves the key done."""
        while (key := self.take()) is not None:
            done = NOTHING_DONE
            try:
                done = on(key)
            finally:
                self.done(key, done)

    def moved_at(self) -> float:
        """Seconds of the clock: when the work that takes longest began; now where none is under way."""
        with self._changed:
            return next(iter(self._turns.busy.values()), self._clock())

    def seconds(self, key: K) -> float:
        """For how long it has been worked on."""
        with self._changed:
            return self._clock() - self._turns.busy[key]

    def take(self) -> K | None:
        """The next key, waiting for one; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                now = self._clock()
                self._wake(now)
                key = self._turns.next(now) if now >= self._paused_until else None
                if key is not None:
                    self._pass_on(now)
                    return key
                self._wait(now)
            return None

    def done(self, key: K, how: Done = NOTHING_DONE) -> None:
        """The worker is finished with ``key`` and takes the next; what was added meanwhile becomes due now, or after
        its rest."""
        with self._changed:
            now = self._clock()
            self._turns.end(key, now, how.well)
            self._forget_rested(now)
            self._resting.pop(key, None)
            if how.rest > 0:
                self._resting[key] = now + how.rest
            if how.again or key in self._wanted:
                self._wanted.discard(key)
                self._add(key)

    def pause(self, backoff: "Backoff") -> float:
        """What failed concerns all: nobody gets anything for the next delay of ``backoff``, unless a pause is on.
        Returns the seconds that are left of it."""
        with self._changed:
            now = self._clock()
            if now >= self._paused_until:
                self._paused_until = now + backoff.next()
            return self._paused_until - now

    def close(self) -> None:
        """Let every worker's ``take`` return None. What is still queued stays undone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def idle(self) -> bool:
        """Whether nothing is due, wanted later or in work."""
        with self._changed:
            return not (self._turns or self._turns.busy or self._wanted)

    def __len__(self) -> int:
        """Keys that wait, those that rest first included."""
        with self._changed:
            return len(self._turns) + len(self._wanted)

    def _add(self, key: K) -> None:
        if key in self._turns.busy:
            self._wanted.add(key)
        elif self._resting.get(key, 0.0) <= self._clock():
            self._turns.add(key)
        elif key not in self._wanted:
            self._wanted.add(key)
            self._sequence += 1
            heapq.heappush(self._later, (self._resting[key], self._sequence, key))

    def _wait(self, now: float) -> None:
        """Until somebody says that there is something, or (one of those who wait sees to that) something is due."""
        due = self._next_due(now)
        due = due if due < min(self._idle, default=math.inf) else math.inf
        self._idle.append(due)
        try:
            self._changed.wait(None if due == math.inf else max(0.0, due - now))
        finally:
            self._idle.remove(due)

    def _pass_on(self, now: float) -> None:
        """Whoever has got something wakes another for what is left, or to see to what is due. Nobody else is woken:
        each worker that wakes for nothing takes time from those that write."""
        if self._idle and (self._turns.ready(now) or self._next_due(now) < min(self._idle)):
            self._changed.notify()

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, key = heapq.heappop(self._later)
            self._wanted.discard(key)
            self._turns.add(key)

    def _forget_rested(self, now: float) -> None:
        """In the order in which they came: behind one that rests for long, others stay as long."""
        while self._resting and self._resting[first := next(iter(self._resting))] <= now:
            del self._resting[first]

    def _next_due(self, now: float) -> float:
        """When somebody may get something though nothing happens; infinity: never."""
        if now < self._paused_until:
            return self._paused_until
        pause = self._turns.pause(now)
        return min(self._later[0][0] if self._later else math.inf, math.inf if pause is None else now + pause)


# client-go's reflector waits 0.8 s first and 30 s at most; the same numbers keep us as quiet as the controllers
# that an API server already knows.
FIRST_SECONDS = 0.8
CAP_SECONDS = 30.0


@dataclass(eq=False)
class Backoff:
    """A resettable series of delays: the n-th lies between half and all of ``min(cap, first * 2**n)`` seconds.

    With the defaults that is at most 9 attempts in the first minute and 4 in each one after it.
    """

    first: float = FIRST_SECONDS
    cap: float = CAP_SECONDS
    uniform: Callable[[float, float], float] = random.uniform
    attempts: int = field(default=0, init=False)

    def next(self, at_least: float | None = None) -> float:
        """The next delay in seconds; never under ``at_least`` (a server's Retry-After)."""
        step = min(self.cap, self.first * 2.0 ** min(self.attempts, 32))
        self.attempts += 1
        return max(self.uniform(step / 2, step), at_least or 0.0)

    def reset(self) -> None:
        """Something worked: start again from the first delay."""
        self.attempts = 0
