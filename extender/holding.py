"""Where pods with a preference seem to be refused, so that none shall be given.

Some policies forbid node affinity, and then the preference, which is to be soft, would keep sessions from starting. No
webhook hears of a refusal. But whoever was refused asks again: the same controller, for a pod of the same name and
labels. What is asked again passes as it is. It is no such retry where a session of the workload became Ready meanwhile:
its memory has changed (the recorder sees to that where a controller has sessions one after the other). That, and the
labels, tell successive sessions of one Sandbox, or a burst of sessions with one generateName, from retries.

Where the retry is refused as well, the terms were not why (a quota is full): with and without take turns then, so that
neither keeps the session from starting. Where most pods that were given a preference were asked about again at once,
and not a second time, nobody in the namespace gets one for some minutes: that spares the others their refusal. Most,
because a controller that does not see its own pod yet asks again for one that is there.
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
# Suspected pods: so many at the least, and more than half of those that were given a preference lately.
ENOUGH_PODS: Final = 2
HOLD_SECONDS: Final = 300.0
# Bounds, of creations, of namespaces, and of creations of each. What is pushed out is taken for new.
MOST_ANSWERS: Final = 4096
MOST_NAMESPACES: Final = 1024
MOST_GIVEN: Final = 16

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


class _Namespace:
    """Who got a preference lately, and whether that is suspected to have been refused."""

    def __init__(self) -> None:
        self._given: OrderedDict[Creation, bool] = OrderedDict()
        self._held_until: float | None = None

    def give(self, creation: Creation) -> None:
        self._given[creation] = False
        _bound(self._given, MOST_GIVEN)

    def suspect(self, creation: Creation, now: float) -> bool:
        """Whether that was one too many."""
        self._given[creation] = True
        if self._convinced():
            self._held_until = now + HOLD_SECONDS
        return self._held_until is not None

    def clear(self, creation: Creation) -> None:
        self._given.pop(creation, None)
        if not self._convinced():
            self._held_until = None

    def is_held(self, now: float) -> bool:
        if self._held_until is not None and self._held_until <= now:
            self._given.clear()
            self._held_until = None
        return self._held_until is not None

    def _convinced(self) -> bool:
        suspected = sum(self._given.values())
        return suspected >= ENOUGH_PODS and 2 * suspected > len(self._given)


class Holding:
    """Bounded; safe to share between threads. ``clock``: seconds of any origin."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: OrderedDict[Creation, _Answer] = OrderedDict()
        self._namespaces: OrderedDict[str, _Namespace] = OrderedDict()
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
            namespace = self._namespaces.setdefault(creation.namespace, _Namespace())
            innocent = self._judge(namespace, creation, before, now)
            plain = namespace.is_held(now) or (before is not None and not before.plain)
            if not plain and not innocent:
                namespace.give(creation)
            self._answers[creation] = _Answer(now, plain, innocent, remembered)
            _bound(self._answers, MOST_ANSWERS)
            _bound(self._namespaces, MOST_NAMESPACES)
            return plain

    def is_held(self, namespace: str) -> bool:
        """Whether nobody in it gets a preference now."""
        with self._lock:
            known = self._namespaces.get(namespace)
            return known is not None and known.is_held(self._clock())

    def _judge(self, namespace: _Namespace, creation: Creation, before: _Answer | None, now: float) -> bool:
        """Suspect or clear what is asked again at once; whether it is known to be refused for another reason."""
        if before is None or now - before.at >= AT_ONCE_SECONDS:
            return False
        if before.plain:
            namespace.clear(creation)
        elif not before.innocent and not namespace.is_held(now) and namespace.suspect(creation, now):
            log.warning("pods with a preference seem to be refused: none gets one for %.0f s", HOLD_SECONDS,
                        extra={"namespace": creation.namespace})  # fmt: skip
        return before.innocent or before.plain


def _bound(items: OrderedDict[K, V], most: int) -> None:
    while len(items) > most:
        items.popitem(last=False)
