"""How a request waits for a Sandbox that the watch has not brought yet: briefly, and never all threads at once."""

import threading
import time
from collections.abc import Callable
from enum import StrEnum

from recorder.objects import ObjectKey, Sandbox
from recorder.store import Store


class Ending(StrEnum):
    """How a wait ended. A closed set: metrics use it as label values."""

    CAME = "came"
    MISSING = "missing"
    CROWDED = "crowded"  # not waited at all: as many others were waiting already as may


class Patience:
    """``seconds`` a request at most; ``at_once``: how many may wait together, so that threads are left for those that
    need not wait, since a Sandbox that never comes would hold each of its pods' requests to the end.

    ``observe`` is told how each wait ended and how long it took, in seconds. Safe to share between threads.
    """

    def __init__(
        self,
        seconds: float,
        at_once: int,
        observe: Callable[[Ending, float], None] = lambda _ending, _seconds: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(at_once)
        self._observe = observe
        self._clock = clock

    def wait(self, sandboxes: Store[Sandbox], key: ObjectKey, uid: str) -> None:
        """Until the Sandbox of that UID (empty: any) is there, or the patience is at its end."""
        started = self._clock()
        if not self._places.acquire(blocking=False):
            self._observe(Ending.CROWDED, 0.0)
            return
        try:
            came = sandboxes.expect(key, self._seconds, uid)
        finally:
            self._places.release()
        self._observe(Ending.CAME if came else Ending.MISSING, self._clock() - started)
