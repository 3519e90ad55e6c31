"""How a request waits for a session's controller that the watch has not brought yet: briefly, and never all threads at
once."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lastnode.kube.store import ObjectKey, Store
from lastnode.reasons import Meant


class Ending(Meant):
    """How a wait ended."""

    CAME = "came", "the controller came"
    MISSING = "missing", "it did not come in time"
    CROWDED = "crowded", "not waited at all: as many others were waiting already as may"


@dataclass(eq=False)
class Allowance:
    """Time that may be lost on waits in vain: ``share`` of all time that passes, saved up to ``saved`` seconds.

    ``most``: seconds one request may take of it. Full at first. Safe to share between threads.
    """

    most: float
    share: float
    saved: float
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._left = self.saved
        self._counted_at = self.clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Seconds to wait, 0 when all is spent. Taken at once, so that requests side by side share what there is."""
        with self._lock:
            now = self.clock()
            self._left = min(self.saved, self._left + self.share * (now - self._counted_at))
            self._counted_at = now
            taken = min(self.most, self._left)
            self._left -= taken
            return taken

    def give_back(self, seconds: float) -> None:
        """The wait was not in vain: it costs nothing of what may be lost."""
        with self._lock:
            self._left = min(self.saved, self._left + seconds)


@dataclass(eq=False)
class Patience:
    """``seconds`` a request at most; ``at_once``: how many may wait together, so that threads are left for those that
    need not wait, since a controller that never comes would hold each of its pods' requests to the end.

    ``observe`` is told how each wait ended and how long it took, in seconds. ``longer``: what a request may wait beyond
    ``seconds``, as long as little of it was in vain. Safe to share between threads.
    """

    seconds: float
    at_once: int
    observe: Callable[[Ending, float], None] = lambda _ending, _seconds: None
    clock: Callable[[], float] = time.monotonic
    longer: Allowance = field(default_factory=lambda: Allowance(0.0, 0.0, 0.0))

    def __post_init__(self) -> None:
        self._places = threading.BoundedSemaphore(self.at_once)

    def wait(self, controllers: Store[Any], key: ObjectKey, uid: str) -> None:
        """Until the controller of that UID (empty: any) is there, or the patience is at its end."""
        started = self.clock()
        if not self._places.acquire(blocking=False):
            self.observe(Ending.CROWDED, 0.0)
            return
        longer = self.longer.take()
        try:
            came = controllers.expect(key, self.seconds + longer, uid)
        finally:
            self._places.release()
        if came:
            self.longer.give_back(longer)
        self.observe(Ending.CAME if came else Ending.MISSING, self.clock() - started)
