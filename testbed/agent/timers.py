"""What is to be done when: one heap for everything, so that a waiting pod costs no thread."""

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import NamedTuple


class Moment(NamedTuple):
    """The same instant on two clocks: ``tick`` in monotonic seconds for waiting, ``wall`` (UTC) for writing down."""

    tick: float
    wall: datetime


Action = Callable[[Moment], None]


class Timers:
    """Actions by due time; equal times in the order in which they were set. For one thread."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Action]] = []
        self._order = count()

    def at(self, tick: float, action: Action) -> None:
        heapq.heappush(self._heap, (tick, next(self._order), action))

    def next_due(self) -> float | None:
        """The earliest due time, None when nothing is set."""
        return self._heap[0][0] if self._heap else None

    def run(self, now: Moment) -> None:
        """Everything that is due now, including what these actions set for now."""
        while self._heap and self._heap[0][0] <= now.tick:
            heapq.heappop(self._heap)[2](now)
