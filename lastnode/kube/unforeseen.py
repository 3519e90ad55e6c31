"""Errors that nobody foresaw, each over one object or piece of work: told, counted and passed over, so that it costs
no other. Every one of them is a fault of ours."""

import logging
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final

# Of each place and message one line with its traceback. A message may hold a name, so of these only so many.
MOST_SAID: Final = 100


class Once:
    """What was said already; of more than ``MOST_SAID`` nothing is new. Safe to share between threads."""

    def __init__(self) -> None:
        self._said: set[Hashable] = set()
        self._lock = Lock()

    def is_new(self, said: Hashable) -> bool:
        """Whether it was not said before; from now on it was."""
        with self._lock:
            new = said not in self._said and len(self._said) < MOST_SAID
            if new:
                self._said.add(said)
        return new


log = logging.getLogger(__name__)


class Unforeseen:
    """Call it with the place, of which there are few, and the error, inside its ``except``. ``count`` is told the
    place. Safe to share between threads."""

    def __init__(self, count: Callable[[str], None] = lambda _: None) -> None:
        self._count = count
        self._once = Once()

    def __call__(self, where: str, error: Exception) -> None:
        self._count(where)
        log.log(
            logging.ERROR if self._once.is_new((where, repr(error))) else logging.DEBUG,
            "%s: passed over after an error that nobody foresaw, said once: %r", where, error,
            exc_info=error, extra={"reason": type(error).__name__},
        )  # fmt: skip
