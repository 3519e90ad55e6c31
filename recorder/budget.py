"""So many at once, and so many a second in the long run: no storm of sessions becomes a storm of requests."""

import time
from collections.abc import Callable


class Budget:
    """``burst`` at first, ``per_second`` more as time goes by, never more than ``burst``. Not to be shared between
    threads. ``clock``: monotonic seconds."""

    def __init__(self, burst: int, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._per_second, self._clock = burst, per_second, clock
        self._left, self._counted_at = float(burst), clock()

    def take(self) -> bool:
        """One of them, if there is one left."""
        now = self._clock()
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
