"""What was answered about which pod, for who asks why a session moved: anybody can send requests, so nobody's may push
out those of others."""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from lastnode.outcome import Decision, Decisions

# Decisions of about 300 bytes each. The recorder asks milliseconds after the pod was bound, a person within minutes.
KEPT: Final = 10_000
# When there are too many, so large a part of all goes at once.
_DROPPED_SHARE: Final = 1 / 100
# The API server's have 36 characters; a forged one must not fill the memory.
_LONGEST_UID: Final = 64
# Of so many namespaces at most it is known separately since when nothing was given up.
_NAMESPACES: Final = 1000


class DecisionLog:
    """The last answer about each pod, by the namespace of its workload: when there are more than ``size``, the
    namespace that has most of them gives its oldest ones up. Safe to share between threads. ``clock``: Unix time."""

    def __init__(self, size: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._clock = clock
        self._started = self._now()
        # Namespace -> pod UID -> decision, oldest first; and since when nothing of a namespace was given up.
        self._kept: defaultdict[str, OrderedDict[str, Decision]] = defaultdict(OrderedDict)
        self._since: dict[str, datetime] = {}
        self._count = 0
        self._lock = Lock()

    def note(self, namespace: str, pod_uid: str, result: str, node: str = "") -> None:
        """The pod was asked about again: only the last answer counts. ``namespace``: of its workload; empty where none
        is known, or none that takes part."""
        if not 0 < len(pod_uid) <= _LONGEST_UID:
            return
        decision = Decision(pod_uid=pod_uid, result=result, node=node, at=self._now())
        with self._lock:
            share = self._kept[namespace]
            self._count += pod_uid not in share
            share[pod_uid] = decision
            share.move_to_end(pod_uid)
            if self._count > self._size:
                self._drop()

    def of(self, pod_uid: str, namespace: str = "") -> Decisions:
        """What is known of one pod, and since when what is not known was not decided: of pods in ``namespace``, or in
        any. What was answered without a workload counts for no namespace: anybody could push it out."""
        with self._lock:
            found = [share[pod_uid] for share in self._kept.values() if pod_uid in share]
            lost = self._since.get(namespace) if namespace else max(self._since.values(), default=None)
            return Decisions(since=lost or self._started, decisions=sorted(found, key=lambda one: one.at)[-1:])

    def _drop(self) -> None:
        namespace, share = max(self._kept.items(), key=lambda item: len(item[1]))
        for _ in range(min(len(share), 1 + int(self._size * _DROPPED_SHARE))):
            _, oldest = share.popitem(last=False)
            self._since[namespace] = oldest.at
            self._count -= 1
        if not share:
            del self._kept[namespace]
        if len(self._since) > _NAMESPACES:
            self._started = max(self._since.values())
            self._since.clear()

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
