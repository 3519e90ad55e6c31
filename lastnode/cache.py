"""What is kept for a while and then forgotten. The only module that imports cachetools.

Memories already parsed are kept while they can still be valid: the annotations stay the truth, this only saves work.
"""

import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from threading import Lock
from typing import Final, NamedTuple, TypeVar

from cachetools import TLRUCache, TTLCache

from lastnode import memory
from lastnode.memory import Memory
from lastnode.objects import Workload

# About 2 KB each: enough for every workload that is active at once, without holding 20,000 parsed memories for ever.
MAX_MEMORIES: Final = 4096

V = TypeVar("V")


def expiring(size: int, seconds: float, clock: Callable[[], float], of: type[V]) -> MutableMapping[str, V]:
    """A mapping that forgets each item after so many seconds, and the one used longest ago where there are more than
    ``size``. Not to be shared between threads. ``of``: what its values are."""
    return TTLCache(size, seconds, timer=clock)


class _Parsed(NamedTuple):
    resource_version: str
    memory: Memory


class MemoryCache:
    """Workload UID -> memory. An item expires when its newest entry does: ``ttl`` seconds after readyAt, 0 for never.

    Safe to share between threads (cachetools is not by itself). ``clock``: seconds since the epoch, because readyAt is
    a wall-clock time that has to mean the same after a restart.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.time, size: int = MAX_MEMORIES) -> None:
        self._ttl = ttl
        self._items: TLRUCache[str, _Parsed] = TLRUCache(size, self._expires, timer=clock)
        self._lock = Lock()

    def recall(self, workload: Workload) -> Memory:
        """What the workload's annotations say, parsed at most once a version."""
        with self._lock:
            known = self._items.get(workload.uid)
        if known is not None and known.resource_version == workload.resource_version:
            return known.memory
        parsed = memory.parse_text(workload.last_node, workload.recent_nodes)
        if parsed:
            self._keep(workload, parsed)
        return parsed

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    def _keep(self, workload: Workload, parsed: Memory) -> None:
        with self._lock:
            self._items[workload.uid] = _Parsed(workload.resource_version, parsed)

    def _expires(self, _uid: str, item: _Parsed, now: float) -> float:
        ready_at = item.memory[0].ready_at
        if not self._ttl or ready_at is None:
            return float("inf")
        return max(now, _seconds(ready_at) + self._ttl)


def _seconds(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds()


_EPOCH: Final = datetime.fromtimestamp(0, UTC)
