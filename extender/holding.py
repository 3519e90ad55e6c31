"""Where pods with a preference seem to be refused, so that none shall be given.

Some policies forbid node affinity, and then the preference, which is to be soft, would keep sessions from starting. No
webhook hears of a refusal. But whoever was refused asks again: the same controller, for a pod of the same name and
labels. What is asked again passes as it is. It is no such retry where a session of the workload became Ready meanwhile:
its memory has changed. That, and the labels, tell successive sessions of one Sandbox, or a burst of sessions with one
generateName, from retries.

Where the retry is refused as well, the terms were not why (a quota is full): with and without take turns then, so that
neither keeps the session from starting. Where two pods of a namespace asked again at once, and not a second time,
nobody in it gets a preference for some minutes: that spares all others their refusal.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

# Controllers ask again after milliseconds at first; few that pace themselves wait for more than a minute.
AGAIN_SECONDS: Final = 300.0
# A session does not end and begin anew so soon.
AT_ONCE_SECONDS: Final = 5.0
HOLD_SECONDS: Final = 300.0
ENOUGH_PODS: Final = 2
# Bounds, of creations and of namespaces. One that is pushed out is taken for new.
MOST_ANSWERS: Final = 4096
MOST_NAMESPACES: Final = 1024

K = TypeVar("K")
V = TypeVar("V")

log = logging.getLogger(__name__)


class Creation(NamedTuple):
    """What two attempts to create one pod have in common. ``controller``: its UID. ``name``: or generateName.
    ``labels``: their hash, however many there are."""

    namespace: str
    controller: str
    name: str
    labels: int


class _Answer(NamedTuple):
    """``plain``: without a preference. ``innocent``: refused although plain. ``remembered``: by the workload then."""

    at: float
    plain: bool
    innocent: bool
    remembered: int


class Holding:
    """Bounded; safe to share between threads. ``clock``: seconds of any origin."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: OrderedDict[Creation, _Answer] = OrderedDict()
        self._suspects: OrderedDict[str, dict[Creation, float]] = OrderedDict()  # by namespace: since when
        self._lock = threading.Lock()

    def asked(self, creation: Creation, remembered: int) -> bool:
        """Notes that a pod which could have a preference is created, and says whether it shall pass without.

        ``remembered``: any number that differs once the workload remembers another session.
        """
        with self._lock:
            now = self._clock()
            before = self._answers.pop(creation, None)
            if before and (now - before.at >= AGAIN_SECONDS or before.remembered != remembered):
                before = None
            innocent = self._judge(creation, before, now)
            plain = self._is_held(creation.namespace, now) or (before is not None and not before.plain)
            self._answers[creation] = _Answer(now, plain, innocent, remembered)
            _bound(self._answers, MOST_ANSWERS)
            return plain

    def is_held(self, namespace: str) -> bool:
        """Whether nobody in it gets a preference now."""
        with self._lock:
            return self._is_held(namespace, self._clock())

    def _judge(self, creation: Creation, before: _Answer | None, now: float) -> bool:
        """Suspect or clear what is asked again at once; whether it is known to be refused for another reason."""
        if before is None or now - before.at >= AT_ONCE_SECONDS:
            return False
        suspects = self._suspects.setdefault(creation.namespace, {})
        if before.plain:
            suspects.pop(creation, None)
        elif not before.innocent and not self._is_held(creation.namespace, now):
            suspects[creation] = now
            _bound(self._suspects, MOST_NAMESPACES)
            if self._is_held(creation.namespace, now):
                log.warning("pods with a preference seem to be refused: none gets one for %.0f s", HOLD_SECONDS,
                            extra={"namespace": creation.namespace})  # fmt: skip
        return before.innocent or before.plain

    def _is_held(self, namespace: str, now: float) -> bool:
        suspects = self._suspects.get(namespace, {})
        for old in [creation for creation, since in suspects.items() if now - since >= HOLD_SECONDS]:
            del suspects[old]
        return len(suspects) >= ENOUGH_PODS


def _bound(items: OrderedDict[K, V], most: int) -> None:
    while len(items) > most:
        items.popitem(last=False)
