"""What is done again, and when: keys to work on, and the delays between attempts.

A key is at most once in the queue, never in two workers at a time, and may come only after a delay.

The same promises as client-go's workqueue, for the same reason: a burst of events about one workload becomes one
piece of work on its newest state, and two writes of one workload never race each other.
"""

import heapq
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Condition
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """``add`` from anywhere; each worker loops over ``take`` and ``done``. Bounded by the number of distinct keys."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._busy: set[K] = set()
        self._again: set[K] = set()  # added while busy
        self._later: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}  # key -> earliest due time; entries of _later that disagree are void
        self._sequence = 0
        self._closed = False
        self._changed = Condition()

    def add(self, key: K, delay: float = 0.0) -> None:
        """Have ``key`` worked on after ``delay`` seconds; of several requests the earliest counts."""
        with self._changed:
            if delay > 0:
                self._postpone(key, self._clock() + delay)
            else:
                self._enqueue(key)
            self._changed.notify()

    def take(self) -> K | None:
        """The next key, waiting for one; None once the queue is closed."""
        with self._changed:
            while not self._closed:
                self._promote()
                if self._ready:
                    key, _ = self._ready.popitem(last=False)
                    self._busy.add(key)
                    return key
                self._changed.wait(self._next_due())
            return None

    def done(self, key: K) -> None:
        """The worker is finished with ``key``; what was added meanwhile becomes due now."""
        with self._changed:
            self._busy.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._enqueue(key)
                self._changed.notify()  # not all: each worker that wakes for nothing takes time from those that write

    def close(self) -> None:
        """Let every worker's ``take`` return None. What is still queued stays undone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def idle(self) -> bool:
        """Whether nothing is due, delayed or in work."""
        with self._changed:
            return not (self._ready or self._busy or self._due)

    def __len__(self) -> int:
        """Keys that wait, delayed ones included."""
        with self._changed:
            return len(self._ready) + len(self._due) + len(self._again)

    def _enqueue(self, key: K) -> None:
        self._due.pop(key, None)
        if key in self._busy:
            self._again.add(key)
        else:
            self._ready[key] = None

    def _postpone(self, key: K, due: float) -> None:
        if key in self._ready or key in self._again or self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._later, (due, self._sequence, key))

    def _promote(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                self._enqueue(key)

    def _next_due(self) -> float | None:
        return max(0.0, self._later[0][0] - self._clock()) if self._later else None


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
