"""The only code that writes: takes workloads from the queue, decides, patches, and retries what may heal.

Nothing pending is lost by a failure: it stays pending until it is written, or until its workload is gone, replaced or
not sticky any more.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Any

from lastnode.contract import DEFAULT_RECENT_NODES
from lastnode.kube.api import METADATA, Api
from lastnode.kube.discovery import NotServed, collection_path, object_path
from lastnode.kube.election import Leadership
from lastnode.kube.errors import Conflict, KubeError, NotFound, Refused
from lastnode.kube.queue import Backoff, WorkQueue
from lastnode.memory import Memory, patch_body, render
from lastnode.objects import Workload, WorkloadKey
from lastnode.reading import read_patched, read_workload
from lastnode.view import MemoryCache, View
from recorder.life import Pending, Write, decide
from recorder.metrics import RecordMetrics
from recorder.sessions import Sessions

# Sessions of one workload that become Ready together meet in 409s: a short, spread delay sorts them out.
_CONFLICT_FIRST = 0.02
_CONFLICT_CAP = 2.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Writer:
    """``work`` runs in as many threads as shall write at once; the queue keeps one workload in one of them.

    ``recent_nodes``: how many entries a memory keeps.
    """

    api: Api
    view: View
    sessions: Sessions
    queue: WorkQueue[WorkloadKey]
    cache: MemoryCache
    metrics: RecordMetrics
    _: KW_ONLY
    leadership: Leadership
    nodes_known: Callable[[], bool]
    recent_nodes: int = DEFAULT_RECENT_NODES
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._collections: dict[str, str] = {}  # resource -> path
        self._conflicts: dict[WorkloadKey, Backoff] = {}
        self._refused: set[str] = set()  # what was already complained about
        self._pause = _Pause()
        self._begun: dict[WorkloadKey, float] = {}  # what is being written, and when that began (monotonic seconds)
        self._stopping = Event()

    def work(self) -> None:
        """Write until :meth:`stop`; failures are retried through the queue, never raised."""
        while (key := self.queue.take()) is not None:
            try:
                self._write(key)
            finally:
                self._begun.pop(key, None)
                self.queue.done(key)

    def moved_at(self) -> float:
        """Monotonic seconds: when the write that takes longest began; now where none is under way."""
        return min(list(self._begun.values()), default=time.monotonic())

    def stop(self) -> None:
        """Let every :meth:`work` return after the write it is in."""
        self._stopping.set()
        self.queue.close()

    def _write(self, key: WorkloadKey) -> None:
        if self._pause.wait(self._stopping):
            return
        self._begun[key] = time.monotonic()
        pending = self.sessions.pending(key)
        if pending is None:
            return
        try:
            self._apply(key, pending)
        except Conflict:
            self.metrics.write(Write.CONFLICT)
            self._retry_on_fresh_state(key)
        except Refused as error:
            self._give_up(key, error)
        except NotFound as error:
            if isinstance(error, NotServed):  # a server that starts says so too: its watch finds out what is true
                self._retry_later(key, error)
            else:
                self._settle(key, pending, Write.GONE)
        except KubeError as error:
            self._retry_later(key, error)

    def _apply(self, key: WorkloadKey, pending: Pending) -> None:
        """One decision and at most one request."""
        workload = self.view.workload(key)
        known = self.cache.recall(workload) if workload else ()
        nodes = self.view.nodes_by_name if self.nodes_known() else None
        now = datetime.fromtimestamp(self.clock(), UTC)
        decision = decide(workload, known, pending, nodes, now, self.recent_nodes)
        if isinstance(decision, Write):
            self._settle(key, pending, decision)
        elif workload is not None:
            self._write_memory(workload, decision, pending)

    def _write_memory(self, workload: Workload, memory: Memory, pending: Pending) -> None:
        key, kind = workload.workload_key, self.view.kinds[workload.resource]
        with self.leadership.writing() as allowed:
            if not allowed:
                return  # it stays pending: for when the lease is won, or until the other replica's write is seen
            answer = self._patch(key, patch_body(workload, render(memory, kind.prefix)))
            self._pause.end()
            written = read_patched(kind, workload, answer)
        # Before the view has it: what the view tells is then nothing that is still pending.
        self._settle(key, pending, Write.WRITTEN)
        self.view.workloads[key.resource].adopt(written)
        self._say(workload, pending)

    def _settle(self, key: WorkloadKey, pending: Pending, result: Write) -> None:
        self.metrics.write(result)
        self._conflicts.pop(key, None)
        ours = result is Write.WRITTEN or self.leadership.held
        if not self.sessions.settle(key, pending, ours=ours):
            self.queue.add(key)

    def _retry_on_fresh_state(self, key: WorkloadKey) -> None:
        """The version we knew is old: read the object itself, for its watch event may be a while away."""
        backoff = self._conflicts.setdefault(key, Backoff(_CONFLICT_FIRST, _CONFLICT_CAP, random.uniform))
        try:
            fresh = read_workload(self.view.kinds[key.resource], self.api.get(self._object(key)))
            self.view.workloads[key.resource].adopt(fresh)
        except KubeError as error:
            # Gone (404) too: the next attempt finds out what became of it, and says so.
            log.log(
                logging.WARNING if isinstance(error, Refused) else logging.DEBUG,
                "%s: not read after a conflict: %s", key, error, extra=_fields(key, error),
            )  # fmt: skip
        self.queue.add(key, backoff.next())

    def _retry_later(self, key: WorkloadKey, error: KubeError) -> None:
        """The server is away, overloaded or broken: that concerns every write, so all of them wait."""
        self.metrics.write(Write.RETRIED)
        delay = self._pause.begin(getattr(error, "retry_after", None))
        if not self._stopping.is_set():
            log.warning("%s: not written: %s; again in %.1f s", key, error, delay, extra=_fields(key, error))
        self.queue.add(key, delay)

    def _give_up(self, key: WorkloadKey, error: Refused) -> None:
        """403 or 422: the same request will be refused again. It stays pending, and the next session tries anew."""
        self.metrics.write(Write.REFUSED)
        self.sessions.give_up(key)
        complaint = f"{error.status} {key.resource}"
        if complaint not in self._refused:
            self._refused.add(complaint)
            log.error("%s: refused; tried again with its next session: %s", key, error, extra=_fields(key, error))

    def _patch(self, key: WorkloadKey, body: Mapping[str, Any]) -> bytes:
        path = self._object(key)
        try:
            return self.api.merge_patch(path, body, METADATA.an_object)
        except NotFound:
            # Either the object is gone, or its resource is served in another version since it was last asked about.
            self._collections.pop(key.resource, None)
            if (elsewhere := self._object(key)) == path:
                raise
            return self.api.merge_patch(elsewhere, body, METADATA.an_object)

    def _object(self, key: WorkloadKey) -> str:
        collection = self._collections.get(key.resource)
        if collection is None:
            collection = self._collections[key.resource] = collection_path(self.api, key.resource)
        return object_path(collection, key.namespace, key.name)

    def _say(self, workload: Workload, pending: Pending) -> None:
        if not pending.memory:
            log.info("a crashed session's node taken back", extra=_fields(workload.workload_key))
            return
        newest = pending.memory[0]
        if newest.ready_at is not None:
            ready = newest.ready_at.timestamp()
            self.metrics.lag(max(0.0, self.clock() - ready))
        log.info(
            "last node written", extra=_fields(workload.workload_key) | {"node": newest.node, "podUID": newest.pod_uid}
        )


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
