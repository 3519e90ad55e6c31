"""Tells kube-scheduler which node to try first: the nomination of pending sessions that have a node to come back to.

kube-scheduler filters the node of status.nominatedNodeName alone and, where the pod fits, looks at no other; else it
goes through all nodes, as without. The field cannot be set when a pod is created, so it comes in time only where pods
wait in a queue, and stands beside what the pods say themselves, never instead of it.
Sources: evaluateNominatedNode in pkg/scheduler/schedule_one.go of Kubernetes 1.37.2, and KEP-5278.
"""

import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, Final
from zlib import crc32

import msgspec
from cachetools import TTLCache

from lastnode.kinds import Ways
from lastnode.kube.api import METADATA, Api
from lastnode.kube.discovery import collection_path, object_path
from lastnode.kube.election import Leadership
from lastnode.kube.errors import Conflict, KubeError, NotFound, Refused
from lastnode.kube.observer import NOBODY, Observer
from lastnode.kube.queue import NOTHING_DONE, Done, WorkQueue
from lastnode.kube.store import ObjectKey, Record, Store
from lastnode.kube.watch import ListWatch
from lastnode.kube.wire import decode_deep
from lastnode.objects import Session, Workload
from lastnode.ranking import WEIGHTS, Preference, rank
from lastnode.reading import read_session
from lastnode.status import EARLIEST, Part
from lastnode.view import MemoryCache, View
from recorder.metrics import Nomination

# A nomination is one request: so many at a time are several hundred a second.
NOMINATORS: Final = 4
# What a session leads to may be seen a moment after its pod. Later it is tried, or of no interest.
_PATIENCE: Final = timedelta(seconds=10)
_AGAIN_SECONDS: Final = 0.2
_RETRY_SECONDS: Final = 1.0
# For the journal: of sessions that take longer to become Ready it is not known any more.
MOST_TOLD: Final = 20_000
TOLD_SECONDS: Final = 3600.0

log = logging.getLogger(__name__)


class _Condition(Part):
    type: str = ""
    reason: str = ""


class _Status(Part):
    conditions: list[_Condition] | None = None
    nominated_node_name: str | None = None


class _Spec(Part):
    scheduling_gates: list[msgspec.Raw] | None = None


class _Metadata(Part):
    resource_version: str = ""


class _Pod(Part):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None

    @property
    def untried(self) -> bool:
        """Whether kube-scheduler may take it, has not looked at it yet, and nobody has nominated it. A scheduler that
        finds no node says so in PodScheduled, and then takes the nomination back; of a gated pod the API server does.
        """
        status = self.status or _Status()
        tried = any(c.type == "PodScheduled" and c.reason != "SchedulingGated" for c in status.conditions or ())
        gated = bool(self.spec and self.spec.scheduling_gates)
        return not (tried or gated or status.nominated_node_name)


_POD: Final = msgspec.json.Decoder(_Pod)


class Queued(Record, frozen=True, gc=False, kw_only=True):
    """A session's pod without a node."""

    session: Session
    untried: bool


def read_queued(ways: Ways, watch: int, data: bytes | msgspec.Raw) -> Queued:
    session, pod = read_session(ways, data, watch), decode_deep(_POD, data)
    return Queued(
        namespace=session.namespace, name=session.name, uid=session.uid,
        resource_version=pod.metadata.resource_version, session=session, untried=pod.untried and not session.over,
    )  # fmt: skip


def first_of(preference: Preference, uid: str) -> str:
    """Its strongest node, empty without any; of several the one that the pod's UID says, so that sessions which run at
    the same time spread as they do without."""
    strongest = [one.node for one in preference.nodes if one.weight == preference.nodes[0].weight]
    return strongest[crc32(uid.encode()) % len(strongest)] if strongest else ""


@dataclass(eq=False)
class Nominating:
    """``run`` goes on in NOMINATORS threads. ``count``: told what became of each nomination.

    ``nodes``: in a cluster of fewer nothing is nominated; 0: nothing ever, and nothing is watched. ``ttl``: seconds
    that a memory counts. ``known``: whether every resource was listed once. ``now``: the time of day.
    """

    api: Api
    view: View
    cache: MemoryCache
    leadership: Leadership
    count: Callable[[str], None]
    _: KW_ONLY
    nodes: int
    ttl: float
    known: Callable[[], bool]
    observer: Observer = NOBODY
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._pods: Store[Queued] = Store()
        self._pods.subscribe(self._on_pod)
        self._queue: WorkQueue[ObjectKey] = WorkQueue(group=lambda key: key.namespace, workers=NOMINATORS)
        self._told: TTLCache[str, str] = TTLCache(MOST_TOLD, TOLD_SECONDS)  # pod UID -> node
        self._lock = Lock()
        self._refused = False

    def watches(self, page_size: int) -> list[ListWatch[Any]]:
        """What brings the pods: those of sessions without a node."""
        return [
            ListWatch(
                self.api, "pods", partial(read_queued, self.view.ways, index), self._pods,
                selectors={"labelSelector": str(selector), "fieldSelector": "spec.nodeName="},
                page_size=page_size, observer=self.observer, mine=partial(_brought_by, index),
            )
            for index, selector in enumerate(self.view.ways.selectors if self.nodes else ())
        ]  # fmt: skip

    def look_again(self) -> None:
        """Look at every pod that waits: another replica might have done it until now."""
        for key in self._pods:
            self._queue.add(key)

    def node_of(self, pod_uid: str) -> str:
        """Where this replica has nominated that pod to, lately; else empty."""
        with self._lock:
            return str(self._told.get(pod_uid, ""))

    def run(self) -> None:
        """Until :meth:`stop`; nothing that goes wrong with one pod is raised."""
        self._queue.work(self._safely)

    def moved_at(self) -> float:
        """Monotonic seconds: when the request that takes longest began; now where none is under way."""
        return self._queue.moved_at()

    def stop(self) -> None:
        self._queue.close()

    def _on_pod(self, _before: Queued | None, after: Queued | None) -> None:
        if after is not None and after.untried:
            self._queue.add(after.key)

    def _safely(self, key: ObjectKey) -> Done:
        try:
            return self._look_at(key)
        except Exception as error:
            self.observer.unforeseen("nominations", error)
            return NOTHING_DONE

    def _look_at(self, key: ObjectKey) -> Done:
        pod = self._pods.get(key)
        if pod is None or not pod.untried:
            return NOTHING_DONE
        if not self.known():
            return Done(rest=_RETRY_SECONDS, again=True)
        found = self.view.attribute(pod.session)
        if found.workload is None or not found.workload.sticky:
            young = self.now() - (pod.session.created_at or EARLIEST) < _PATIENCE
            return Done(rest=_AGAIN_SECONDS, again=True) if found.is_open and young else NOTHING_DONE
        node = first_of(self._preference(found.workload), pod.uid)
        if not node or len(self.view.nodes) < self.nodes:
            return NOTHING_DONE
        with self.leadership.writing() as allowed:
            return self._nominate(pod, node) if allowed else NOTHING_DONE

    def _preference(self, workload: Workload) -> Preference:
        memory = self.cache.recall(workload)
        return rank(
            memory, now=self.now(), ttl=self.ttl, nodes=self.view.nodes_by_name,
            relatives=() if memory else self.view.groups.newest(workload),
            weights=WEIGHTS.of_a_workload(workload.older_weight),
        )  # fmt: skip

    def _nominate(self, pod: Queued, node: str) -> Done:
        """One request, about the very version that was seen: whoever else has written since has the last word."""
        path = object_path(collection_path(self.api, "pods"), pod.namespace, pod.name)
        version = {"uid": pod.uid, "resourceVersion": pod.resource_version}
        body = {"metadata": version, "status": {"nominatedNodeName": node}}
        try:
            self.api.merge_patch(f"{path}/status", body, METADATA.an_object)
        except (Conflict, NotFound):
            self.count(Nomination.OVERTAKEN)
            return NOTHING_DONE
        except Refused as error:
            self._complain(pod, error)
            return Done(well=False)
        except KubeError as error:
            self.count(Nomination.FAILED)
            log.debug("%s: not nominated: %s", pod.key, error)
            return Done(well=False, rest=max(_RETRY_SECONDS, getattr(error, "retry_after", None) or 0.0), again=True)
        with self._lock:
            self._told[pod.uid] = node
        self.count(Nomination.NOMINATED)
        return Done(well=True)

    def _complain(self, pod: Queued, error: Refused) -> None:
        self.count(Nomination.REFUSED)
        if not self._refused:
            self._refused = True
            fields = {"namespace": pod.namespace, "pod": pod.name, "reason": type(error).__name__}
            log.error("%s: nomination refused, said once: %s", pod.key, error, extra=fields)


def _brought_by(watch: int, queued: Queued) -> bool:
    return queued.session.watch == watch
