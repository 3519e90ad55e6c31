"""How long a scheduler has left pods unlooked at: those that name the second one wait while it is down, and no other
sign of it is where the recorder, or Prometheus, could see it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

from lastnode.kube.api import Api
from lastnode.kube.observer import Observer
from lastnode.kube.store import Record, Store
from lastnode.kube.watch import ListWatch
from lastnode.kube.wire import decode_deep
from lastnode.reading import Pod
from lastnode.status import Status, utc

_POD: Final = msgspec.json.Decoder(Pod)


class Waiting(Record, frozen=True, gc=False, kw_only=True):
    """A pod without a node. ``unseen_since``: when it was created, None once its scheduler has looked at it."""

    unseen_since: datetime | None


def read_waiting(data: bytes | msgspec.Raw) -> Waiting:
    """A scheduler binds a pod, or says in its condition PodScheduled why not; the API server does of a gated one."""
    pod = decode_deep(_POD, data)
    seen = any(condition.type == "PodScheduled" for condition in (pod.status or Status()).conditions or ())
    created_at = None if seen else utc(pod.metadata.creation_timestamp)
    return Waiting(namespace=pod.metadata.namespace, name=pod.metadata.name, unseen_since=created_at)


class Silence:
    """Of one scheduler; ``watch`` has to run. ``now``: a clock in UTC."""

    def __init__(
        self, api: Api, scheduler: str, observer: Observer, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.scheduler = scheduler
        self._now = now
        self._pods: Store[Waiting] = Store()
        fields = {"fieldSelector": f"spec.nodeName=,spec.schedulerName={scheduler}"}
        self.watch = ListWatch(api, "pods", read_waiting, self._pods, selectors=fields, observer=observer)

    def seconds(self) -> float:
        """Since the oldest unseen pod was created; 0 without one, and while the API server is lost."""
        pods = [self._pods.get(key) for key in self._pods]
        unseen = [pod.unseen_since for pod in pods if pod and pod.unseen_since]
        if not unseen or self.watch.progress.lost:
            return 0.0
        return max(0.0, (self._now() - min(unseen)).total_seconds())
