"""The only code that writes: takes workloads from the queue, decides, patches, and retries what may heal.

Nothing pending is lost by a failure: it stays pending until it is written, or until its workload is gone, replaced or
not sticky any more.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, Final

from lastnode.contract import DEFAULT_RECENT_NODES
from lastnode.kube.api import METADATA, Api
from lastnode.kube.discovery import NotServed, collection_path, object_path
from lastnode.kube.election import Leadership
from lastnode.kube.errors import Conflict, KubeError, NotFound, Refused, Undecodable, Unreachable
from lastnode.kube.queue import NOTHING_DONE, Backoff, Done, WorkQueue
from lastnode.kube.turns import SLOW_SECONDS
from lastnode.kube.unforeseen import Unforeseen
from lastnode.memory import Memory, patch_body, render
from lastnode.objects import Workload, WorkloadKey
from lastnode.reading import read_patched
from lastnode.view import MemoryCache, View
from recorder.life import Pending, Write, decide
from recorder.metrics import RecordMetrics
from recorder.sessions import Sessions

# Sessions of one workload that become Ready together meet in 409s: a short, spread delay sorts them out.
_CONFLICT_FIRST: Final = 0.02
_CONFLICT_CAP: Final = 2.0
# A workload is written at once, and then about once so many seconds, however many sessions it has.
REST_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Writer:
    """``run`` goes on in as many threads as shall write at once; the queue keeps one workload in one of them.

    ``recent_nodes``: how many entries a memory keeps. ``redate``: seconds, see :func:`life.decide`.
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
    redate: float = 0.0
    unforeseen: Unforeseen = Unforeseen()  # noqa: RUF009 (it only logs)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._collections: dict[str, str] = {}  # resource -> path
        self._conflicts: dict[WorkloadKey, Backoff] = {}
        self._failures: dict[WorkloadKey, Backoff] = {}
        self._outage = Backoff()  # of all writers together
        self._refused: set[str] = set()  # what was already complained about
        self._stopping = Event()

    def run(self) -> None:
        """Write until :meth:`stop`; failures are retried through the queue, never raised."""
        self.queue.work(self._safely)

    def moved_at(self) -> float:
        """Monotonic seconds: when the write that takes longest began; now where none is under way."""
        return self.queue.moved_at()

    def stop(self) -> None:
        """Let every :meth:`run` return after the write it is in."""
        self._stopping.set()
        self.queue.close()

    def _safely(self, key: WorkloadKey) -> Done:
        try:
            return self._write(key)
        except Exception as error:
            self.unforeseen("writers", error)
            return self._retry_later(key, error)

    def _write(self, key: WorkloadKey) -> Done:
        pending = self.sessions.pending(key)
        if pending is None:
            self._forget(key)
            return NOTHING_DONE
        try:
            return self._apply(key, pending)
        except Conflict:
            self.metrics.write(Write.CONFLICT)
            return self._retry_on_fresh_state(key)
        except Refused as error:
            return self._give_up(key, error)
        except NotFound as error:
            if isinstance(error, NotServed):  # a server that starts says so too: its watch finds out what is true
                return self._retry_later(key, error)
            return self._settle(key, pending, Write.GONE)
        except Unreachable as error:
            return self._wait_for_the_server(key, error)
        except KubeError as error:
            return self._retry_later(key, error)

    def _apply(self, key: WorkloadKey, pending: Pending) -> Done:
        """One decision and at most one request."""
        workload = self.view.workload(key)
        known = self.cache.recall(workload) if workload else ()
        nodes = self.view.nodes_by_name if self.nodes_known() else None
        now = datetime.fromtimestamp(self.clock(), UTC)
        decision = decide(workload, known, pending, nodes, now, self.recent_nodes, timedelta(seconds=self.redate))
        if isinstance(decision, Write):
            return self._settle(key, pending, decision)
        return NOTHING_DONE if workload is None else self._write_memory(workload, decision, pending)

    def _write_memory(self, workload: Workload, memory: Memory, pending: Pending) -> Done:
        key, kind = workload.workload_key, self.view.kinds[workload.resource]
        with self.leadership.writing() as allowed:
            if not allowed:
                # It stays pending: for when the lease is won, or until the other replica's write is seen.
                return NOTHING_DONE
            answer = self._patch(key, patch_body(workload, render(memory, kind.prefix)))
            self._outage.reset()
            written = read_patched(kind, workload, answer)
        # Before the view has it: what the view tells is then nothing that is still pending.
        done = self._settle(key, pending, Write.WRITTEN)
        self.view.workloads[key.resource].adopt(written)
        self._say(workload, pending)
        return done._replace(well=True, rest=REST_SECONDS)

    def _settle(self, key: WorkloadKey, pending: Pending, result: Write) -> Done:
        self.metrics.write(result)
        self._forget(key)
        ours = result is Write.WRITTEN or self.leadership.held
        said = result is not Write.UNCHANGED
        return Done(again=not self.sessions.settle(key, pending, ours=ours, said=said))

    def _forget(self, key: WorkloadKey) -> None:
        self._conflicts.pop(key, None)
        self._failures.pop(key, None)

    def _retry_on_fresh_state(self, key: WorkloadKey) -> Done:
        """The version we knew is old: read the object itself, for its watch event may be a while away."""
        backoff = self._conflicts.setdefault(key, Backoff(_CONFLICT_FIRST, _CONFLICT_CAP, random.uniform))
        try:
            fresh = self.view.read(key.resource, self.api.get(self._object(key)))
            self.view.workloads[key.resource].adopt(fresh)
        except Undecodable as error:
            return self._give_up(key, error)
        except KubeError as error:
            # Gone (404) too: the next attempt finds out what became of it, and says so.
            log.log(
                logging.WARNING if isinstance(error, Refused) else logging.DEBUG,
                "%s: not read after a conflict: %s", key, error, extra=_fields(key, error),
            )  # fmt: skip
        return Done(rest=backoff.next(), again=True)

    def _retry_later(self, key: WorkloadKey, error: Exception) -> Done:
        """The server is overloaded or broken, or a webhook is: whom that concerns is not known, so this one waits."""
        self.metrics.write(Write.RETRIED)
        rest = self._failures.setdefault(key, Backoff()).next(getattr(error, "retry_after", None))
        self._say_later(key, error, rest)
        return Done(well=False, rest=rest, again=True)

    def _wait_for_the_server(self, key: WorkloadKey, error: Unreachable) -> Done:
        """Nobody answers. At once: that concerns every write, so all of them wait. After a while: a webhook may have
        used up the time, which concerns whom it is asked about."""
        if self.queue.seconds(key) > SLOW_SECONDS:
            return self._retry_later(key, error)
        self.metrics.write(Write.RETRIED)
        left = self.queue.pause(self._outage)
        self._say_later(key, error, left)
        return Done(rest=left, again=True)

    def _say_later(self, key: WorkloadKey, error: Exception, seconds: float) -> None:
        if not self._stopping.is_set():
            log.warning("%s: not written: %s; again in %.1f s", key, error, seconds, extra=_fields(key, error))

    def _give_up(self, key: WorkloadKey, error: Refused | Undecodable) -> Done:
        """The same request will be refused again. It stays pending, and its next session or change tries anew; the
        more often in vain, the later."""
        self.metrics.write(Write.REFUSED)
        self.sessions.give_up(key)
        complaint = f"{getattr(error, 'status', 'unreadable')} {key.resource}"
        if complaint not in self._refused:
            self._refused.add(complaint)
            log.error("%s: refused; tried again with its next session: %s", key, error, extra=_fields(key, error))
        return Done(rest=self._failures.setdefault(key, Backoff()).next())

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


def _fields(key: WorkloadKey, error: Exception | None = None) -> dict[str, str]:
    fields = {"namespace": key.namespace, "workload": key.name, "resource": key.resource}
    return fields | ({"reason": type(error).__name__} if error else {})
