"""Whether this replica may write right now: asked before every write, ended before anybody else may start."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class Leadership:
    """Held until a moment of the monotonic clock, which every renewal moves on.

    A process that was stopped (SIGSTOP) and goes on finds that moment passed, whatever it believed before. A write that
    was already on its way is harmless: it carries the version that it was decided on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._writing = 0
        self._changed = Condition()

    @classmethod
    def sole(cls) -> "Leadership":
        """The leadership of the only replica: never asked for, never lost."""
        only = cls()
        only.extend(float("inf"))
        return only

    def extend(self, until: float) -> None:
        """Held until then, monotonic seconds."""
        with self._changed:
            self._until = until

    @property
    def held(self) -> bool:
        return self._clock() < self._until

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Around a write: whether it is allowed."""
        with self._changed:
            allowed = self.held
            self._writing += 1
        try:
            yield allowed
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def end(self, seconds: float) -> bool:
        """Allow no further write and wait for those under way. False when some still were after ``seconds``."""
        with self._changed:
            self._until = float("-inf")
            return self._changed.wait_for(lambda: self._writing == 0, seconds)
