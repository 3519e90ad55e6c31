"""Tells the owner of a workload that its session moved, and why: an Event, where ``kubectl describe`` shows it.

Best effort: a request that fails is counted and not tried again, and a workload that moves all the time is not told
more often than once a minute.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cachetools import TTLCache

from lastnode.contract import MOVED_REASON
from lastnode.kinds import Kind
from lastnode.kube.api import Api
from lastnode.kube.discovery import find
from lastnode.kube.errors import Conflict, KubeError, NotFound, Refused
from lastnode.objects import Workload
from lastnode.outcome import SessionRecord
from recorder.budget import Budget
from recorder.metrics import SessionMetrics, Told

# kube-apiserver's own limit for Events is far above; this is what a person can read, and a storm must not become.
WORKLOAD_SECONDS: Final = 60.0
BURST: Final = 50
PER_SECOND: Final = 1.0
_WORKLOADS_KEPT: Final = 10_000
_NAMESPACES_KEPT: Final = 10_000
REQUEST_SECONDS: Final = 5.0
_NAME_KEPT: Final = 200  # of 253 characters; the rest is for the pod's UID
_COMPONENT: Final = "lastnode-recorder"

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Events:
    """Not to be shared between threads. ``kinds``: by resource. ``clock``: monotonic seconds; ``now``: time of day."""

    api: Api
    kinds: Mapping[str, Kind]
    metrics: SessionMetrics
    _: KW_ONLY
    instance: str
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._lately: TTLCache[str, bool] = TTLCache(_WORKLOADS_KEPT, WORKLOAD_SECONDS, timer=self.clock)
        self._budget = Budget(BURST, PER_SECOND, self.clock)
        self._complained = False
        self._silent: TTLCache[str, bool] = TTLCache(_NAMESPACES_KEPT, WORKLOAD_SECONDS, timer=self.clock)

    def tell(self, workload: Workload, record: SessionRecord) -> None:
        """``record`` is of a session that moved."""
        self.metrics.event(self._tell(workload, record))

    def _tell(self, workload: Workload, record: SessionRecord) -> Told:
        if workload.namespace in self._silent or workload.uid in self._lately or not self._budget.take():
            return Told.SUPPRESSED
        self._lately[workload.uid] = True
        try:
            version = find(self.api, workload.resource).version
            kind = self.kinds[workload.resource]
            body = event_body(kind, workload, record, api_version=version, instance=self.instance, now=self.now())
            path = f"/api/v1/namespaces/{workload.namespace}/events"
            self.api.request("POST", path, body=body, seconds=REQUEST_SECONDS)
        except Conflict:
            return Told.SUPPRESSED  # another replica has told it
        except (Refused, NotFound) as error:
            log.log(
                logging.DEBUG if self._complained else logging.WARNING,
                "Events of moved sessions cannot be created, said once: %s", error,
                extra={"namespace": workload.namespace, "workload": workload.name, "reason": type(error).__name__},
            )  # fmt: skip
            self._complained = True
            return Told.REFUSED
        except KubeError as error:
            self._silent[workload.namespace] = True  # a policy there may be slow, and outcomes wait for each answer
            log.debug("no Event for %s: %s", workload.key, error)
            return Told.FAILED
        return Told.CREATED


def event_body(
    kind: Kind, workload: Workload, record: SessionRecord, *, api_version: str, instance: str, now: datetime
) -> dict[str, Any]:
    """The v1 Event. ``kubectl describe`` finds it by the workload's UID; ``related`` is the session's pod."""
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    reason = str(record.reason)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{workload.name[:_NAME_KEPT].rstrip('-.')}.{record.pod_uid}",  # one a session, whoever tells it
            "namespace": workload.namespace,
            "annotations": {kind.annotation(MOVED_REASON): reason},
        },
        "involvedObject": _reference(workload.kind, workload.name, workload.namespace, workload.uid, api_version),
        "related": _reference("Pod", record.pod, record.namespace, record.pod_uid, "v1"),
        "type": "Normal",
        "reason": "SessionMoved",
        "action": "Scheduling",
        "message": message(record),
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": instance,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def message(record: SessionRecord) -> str:
    """One line for a person."""
    why = f"{record.reason}: {record.reason.meaning}" if record.reason else "for no known reason"
    return f"session {record.pod} ran on {record.node} and not on {record.last_node}: {why}"


def _reference(kind: str, name: str, namespace: str, uid: str, api_version: str) -> dict[str, str]:
    return {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name, "uid": uid}
