"""What was answered about each session's pod, the newest ten thousand: for whoever asks later why it ran elsewhere."""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Final, NamedTuple

import msgspec

from lastnode.journal import Decision, Decisions

# About 300 bytes each. The recorder asks milliseconds after the pod was bound, a person within minutes.
KEPT: Final = 10_000


class _Kept(NamedTuple):
    result: str
    node: str
    at: float


class DecisionLog:
    """Pod UID -> the last answer about it. Safe to share between threads. ``clock``: seconds since the epoch."""

    def __init__(self, size: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._clock = clock
        self._since = clock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()

    def note(self, pod_uid: str, result: str, node: str = "") -> None:
        """The pod was asked about again: only the last answer counts."""
        with self._lock:
            self._kept.pop(pod_uid, None)
            self._kept[pod_uid] = _Kept(result, node, self._clock())
            if len(self._kept) > self._size:
                _, oldest = self._kept.popitem(last=False)
                self._since = oldest.at

    def page(self, pod_uid: str = "") -> bytes:
        """:class:`lastnode.journal.Decisions` as JSON: of one pod, or all that are kept, oldest first."""
        with self._lock:
            kept = list(self._kept.items()) if not pod_uid else [(pod_uid, self._kept.get(pod_uid))]
            since = self._since
        decisions = [
            Decision(pod_uid=uid, result=one.result, node=one.node, at=_moment(one.at)) for uid, one in kept if one
        ]
        return msgspec.json.encode(Decisions(since=_moment(since), decisions=decisions))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
