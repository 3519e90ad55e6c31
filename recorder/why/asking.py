"""Asks several side by side and waits for all together, never longer; who was silent is left alone for a while."""

import logging
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Final, Generic, NamedTuple, TypeVar

from cachetools import LRUCache

Q = TypeVar("Q", bound=Hashable)
A = TypeVar("A")

# Doubled each time that it is silent again.
SILENT_SECONDS: Final = 30.0
MOST_SILENT_SECONDS: Final = 600.0
# Addresses of replicas that are gone are forgotten, the longest unused first.
_MOST_REMEMBERED: Final = 256

log = logging.getLogger(__name__)


class _Silent(NamedTuple):
    until: float
    seconds: float


@dataclass(eq=False)
class _Question(Generic[A]):
    ask: Callable[[], A]
    answer: A | None = None
    ended: bool = False

    def run(self) -> None:
        try:
            self.answer = self.ask()
        except Exception as error:  # a name may be anything
            log.debug("no answer: %s", error)
        self.ended = True


class Asking:
    """Not to be shared between threads. ``clock``: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._silent: LRUCache[Hashable, _Silent] = LRUCache(_MOST_REMEMBERED)
        self._threads: dict[Hashable, Thread] = {}  # of questions that were not answered in time, until they end

    def all(self, questions: Mapping[Q, Callable[[], A]], seconds: float) -> dict[Q, A | None]:
        """What each of them answers; None where it raised anything, did not answer within ``seconds``, or is left
        alone. One whose former question still hangs (a name server) is never asked beside it."""
        end = self._clock() + seconds
        self._threads = {who: thread for who, thread in self._threads.items() if thread.is_alive()}
        asked = {who: _Question(ask) for who, ask in questions.items() if not self._is_left_alone(who)}
        for who, question in asked.items():
            # Nothing can end a look-up of a name; its thread ends by itself, or with the program.
            self._threads[who] = Thread(target=question.run, name="asking", daemon=True)
            self._threads[who].start()
        for who, question in asked.items():
            self._threads[who].join(max(0.0, end - self._clock()))
            self._remember(who, silent=not question.ended)
        return {who: asked[who].answer if who in asked else None for who in questions}

    def _is_left_alone(self, who: Hashable) -> bool:
        known = self._silent.get(who)
        return who in self._threads or bool(known and self._clock() < known.until)

    def _remember(self, who: Hashable, silent: bool) -> None:
        if not silent:
            self._silent.pop(who, None)
            del self._threads[who]
            return
        known = self._silent.get(who)
        seconds = min(known.seconds * 2, MOST_SILENT_SECONDS) if known else SILENT_SECONDS
        self._silent[who] = _Silent(self._clock() + seconds, seconds)
        log.info("%s did not answer in time and is not asked for %.0f s", who, seconds)
