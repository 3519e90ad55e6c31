"""The only code that writes: takes workloads from the queue, decides, patches, and retries what may heal.

Nothing pending is lost by a failure: it stays pending until it is written, or until its workload is gone, replaced or
not sticky any more.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from threading import Event, Lock
from typing import Any, Protocol

from lastnode import reading
from lastnode.kube.api import METADATA, Api
from lastnode.kube.backoff import Backoff
from lastnode.kube.discovery import NotServed, collection_path, object_path
from lastnode.kube.election import Leadership
from lastnode.kube.errors import Conflict, KubeError, NotFound, Refused
from lastnode.kube.queue import WorkQueue
from lastnode.kube.records import ObjectKey
from lastnode.objects import Workload, WorkloadKey
from lastnode.view import MemoryCache, View
from recorder.decision import Pending, Skip, decide, patch_body
from recorder.placements import Placements

# Sessions of one workload that become Ready together meet in 409s: a short, spread delay sorts them out.
_CONFLICT_FIRST = 0.02
_CONFLICT_CAP = 2.0

log = logging.getLogger(__name__)


class Tally(Protocol):
    """Who counts writes; ``result`` is one of RESULTS."""

    def write(self, result: str) -> None: ...

    def lag(self, seconds: float) -> None: ...


# written, retried, conflict, refused and every Skip.
RESULTS = ("written", "conflict", "retried", "refused", *Skip)


class Writer:
    """``work`` runs in as many threads as shall write at once; the queue keeps one workload in one of them.

    ``settled`` is told each workload on which nothing is pending any more, and whether that was this replica's work.
    """

    def __init__(
        self,
        api: Api,
        view: View,
        placements: Placements,
        queue: WorkQueue[WorkloadKey],
        cache: MemoryCache,
        tally: Tally,
        *,
        leadership: Leadership,
        nodes_known: Callable[[], bool],
        settled: Callable[[WorkloadKey, bool], None] = lambda *_: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._view = view
        self._placements = placements
        self._queue = queue
        self._cache = cache
        self._tally = tally
        self._leadership = leadership
        self._nodes_known = nodes_known
        self._settled = settled
        self._clock = clock
        self._collections: dict[str, str] = {}  # resource -> path
        self._conflicts: dict[WorkloadKey, Backoff] = {}
        self._refused: set[str] = set()  # what was already complained about
        self._pause = _Pause()
        self._begun: dict[WorkloadKey, float] = {}  # what is being written, and when that began (monotonic seconds)
        self._stopping = Event()

    def work(self) -> None:
        """Write until :meth:`stop`; failures are retried through the queue, never raised."""
        while (key := self._queue.take()) is not None:
            try:
                self._write(key)
            finally:
                self._begun.pop(key, None)
                self._queue.done(key)

    def moved_at(self) -> float:
        """Monotonic seconds: when the write that takes longest began; now where none is under way."""
        return min(list(self._begun.values()), default=time.monotonic())

    def stop(self) -> None:
        """Let every :meth:`work` return after the write it is in."""
        self._stopping.set()
        self._queue.close()

    def _write(self, key: WorkloadKey) -> None:
        if self._pause.wait(self._stopping):
            return
        self._begun[key] = time.monotonic()
        pending = self._placements.pending(key)
        if pending is None:
            return
        workload = self._view.workloads[key.resource].get(ObjectKey(key.namespace, key.name))
        try:
            self._settle(key, pending, self._apply(workload, pending))
            self._pause.end()
        except _Standby:
            return  # it stays pending: for when the lease is won, or until the other replica's write is seen
        except Conflict:
            self._count("conflict")
            self._retry_on_fresh_state(key)
        except Refused as error:
            self._give_up(key, pending, error)
        except NotFound as error:
            if isinstance(error, NotServed):  # a server that starts says so too: its watch finds out what is true
                self._retry_later(key, error)
            else:
                self._settle(key, pending, Skip.GONE)
        except KubeError as error:
            self._retry_later(key, error)

    def _apply(self, workload: Workload | None, pending: Pending) -> Skip | None:
        """One decision and at most one request. None when it was written."""
        known = self._cache.recall(workload) if workload else ()
        nodes = self._view.nodes_by_name if self._nodes_known() else None
        decision = decide(workload, known, pending, nodes)
        if isinstance(decision, Skip) or workload is None:
            return Skip(decision) if isinstance(decision, Skip) else Skip.GONE
        with self._leadership.writing() as allowed:
            if not allowed:
                raise _Standby
            answer = self._patch(workload.workload_key, patch_body(workload, decision))
        self._view.workloads[workload.resource].adopt(reading.patched(workload, answer))
        self._say(workload, pending)
        return None

    def _settle(self, key: WorkloadKey, pending: Pending, skipped: Skip | None) -> None:
        self._count(skipped or "written")
        self._conflicts.pop(key, None)
        if self._placements.settle(key, pending):
            self._settled(key, skipped is None or bool(self._leadership.held))
        else:
            self._queue.add(key)

    def _retry_on_fresh_state(self, key: WorkloadKey) -> None:
        """The version we knew is old: read the object itself, for its watch event may be a while away."""
        backoff = self._conflicts.setdefault(key, Backoff(_CONFLICT_FIRST, _CONFLICT_CAP, random.uniform))
        try:
            fresh = reading.workload(key.resource, self._api.get(self._object(key)))
            self._view.workloads[key.resource].adopt(fresh)
        except KubeError as error:
            # Gone (404) too: the next attempt finds out what became of it, and says so.
            log.log(
                logging.WARNING if isinstance(error, Refused) else logging.DEBUG,
                "%s: not read after a conflict: %s", key, error, extra=_fields(key, error),
            )  # fmt: skip
        self._queue.add(key, backoff.next())

    def _retry_later(self, key: WorkloadKey, error: KubeError) -> None:
        """The server is away, overloaded or broken: that concerns every write, so all of them wait."""
        self._count("retried")
        delay = self._pause.begin(getattr(error, "retry_after", None))
        if not self._stopping.is_set():
            log.warning("%s: not written: %s; again in %.1f s", key, error, delay, extra=_fields(key, error))
        self._queue.add(key, delay)

    def _give_up(self, key: WorkloadKey, pending: Pending, error: Refused) -> None:
        """403 or 422: the same request will be refused again. It stays pending, and the next session tries anew."""
        self._count("refused")
        self._settled(key, True)  # what its sessions came to is known all the same
        complaint = f"{error.status} {key.resource}"
        if complaint not in self._refused:
            self._refused.add(complaint)
            log.error("%s: refused; tried again with its next session: %s", key, error, extra=_fields(key, error))

    def _patch(self, key: WorkloadKey, body: Mapping[str, Any]) -> bytes:
        path = self._object(key)
        try:
            return self._api.merge_patch(path, body, METADATA.an_object)
        except NotFound:
            # Either the object is gone, or its resource is served in another version since it was last asked about.
            self._collections.pop(key.resource, None)
            if (elsewhere := self._object(key)) == path:
                raise
            return self._api.merge_patch(elsewhere, body, METADATA.an_object)

    def _object(self, key: WorkloadKey) -> str:
        collection = self._collections.get(key.resource)
        if collection is None:
            collection = self._collections[key.resource] = collection_path(self._api, key.resource)
        return object_path(collection, key.namespace, key.name)

    def _count(self, result: str) -> None:
        self._tally.write(result)

    def _say(self, workload: Workload, pending: Pending) -> None:
        if not pending.memory:
            log.info("a crashed session's node taken back", extra=_fields(workload.workload_key))
            return
        newest = pending.memory[0]
        if newest.ready_at is not None:
            ready = newest.ready_at.timestamp()
            self._tally.lag(max(0.0, self._clock() - ready))
        log.info(
            "last node written", extra=_fields(workload.workload_key) | {"node": newest.node, "podUID": newest.pod_uid}
        )


class _Standby(Exception):
    """Another replica holds the lease."""


class _Pause:
    """One pause for all writers while the server cannot take writes: few requests, however many workloads wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._backoff = Backoff()
        self._until = 0.0
        self._lock = Lock()

    def begin(self, retry_after: float | None) -> float:
        """A write failed: nobody writes for the returned number of seconds."""
        with self._lock:
            remaining = self._until - self._clock()
            if remaining > 0:
                return remaining  # a write that was under way when the pause began
            delay = self._backoff.next(retry_after)
            self._until = self._clock() + delay
            return delay

    def end(self) -> None:
        """A write worked."""
        with self._lock:
            self._backoff.reset()

    def wait(self, stopping: Event) -> bool:
        """Wait the pause out. True when it is time to stop instead."""
        return stopping.wait(max(0.0, self._until - self._clock()))


def _fields(key: WorkloadKey, error: KubeError | None = None) -> dict[str, str]:
    fields = {"namespace": key.namespace, "workload": key.name, "resource": key.resource}
    return fields | ({"reason": type(error).__name__} if error else {})
