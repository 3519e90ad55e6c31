"""The sandbox controller: a Sandbox has a pod of its name unless it is suspended, and one that is gone has none.

As agent-sandbox 0.5 and 1.0 do it; where a Sandbox is gone, it is kube-controller-manager's garbage collector in life.
Called by one thread, like the kubelets.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from lastnode.contract import SANDBOX_GROUP, SANDBOX_HASH_LABEL, SANDBOX_KIND
from lastnode.kube.store import ObjectKey
from testbed.agent import requests
from testbed.agent.nodes import timestamp
from testbed.agent.requests import Request
from testbed.agent.timers import Moment
from testbed.agent.wire import Said, SeenPod, SeenSandbox

READY: Final = ("DependenciesReady", "its pod is Ready")
NOT_READY: Final = ("DependenciesNotReady", "its pod is not Ready")
SUSPENDED: Final = ("SandboxSuspended", "it is suspended")

log = logging.getLogger(__name__)


class Sandboxes:
    """Sandboxes and pods as seen go in, requests come out through ``send``.

    ``mirror``: whether a pod's readiness and node are written to its Sandbox: one write more a session.
    """

    def __init__(self, send: Callable[[Request], None], mirror: bool = True) -> None:
        self._send = send
        self._mirror = mirror
        self._sandboxes: dict[ObjectKey, SeenSandbox] = {}
        self._pods: dict[ObjectKey, SeenPod] = {}
        self._creating: dict[ObjectKey, tuple[str, int]] = {}  # key -> UID and generation that was tried
        self._deleting: set[str] = set()  # UIDs of pods
        self._said: dict[str, Said] = {}  # UID -> what was written last
        self._complete = False

    def listed(self, now: Moment) -> None:
        """All Sandboxes and pods have been seen: only now absence means anything."""
        self._complete = True
        for key in self._sandboxes.keys() | self._pods.keys():
            self._reconcile(key, now)

    def sandbox_changed(self, before: SeenSandbox | None, after: SeenSandbox | None, now: Moment) -> None:
        if before is not None and (after is None or after.api_version != before.api_version):
            self._said.pop(before.uid, None)
        if after is not None:
            self._sandboxes[after.key] = after
            self._reconcile(after.key, now)
        elif before is not None:
            self._forget(before.key)
            self._reconcile(before.key, now)

    def pod_changed(self, before: SeenPod | None, after: SeenPod | None, now: Moment) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            self._pods.pop(before.key, None)
            self._deleting.discard(before.uid)
        if after is not None:
            self._pods[after.key] = after
            self._creating.pop(after.key, None)
        key = after.key if after else before.key if before else None
        if key is not None:
            self._reconcile(key, now)

    def refused(self, key: ObjectKey, reason: str, now: Moment) -> None:
        """The API server does not accept the pod: said in the Sandbox's status, tried again when its spec changes."""
        log.warning("sandbox %s: its pod is refused: %s", key, reason)
        sandbox = self._sandboxes.get(key)
        if sandbox is not None:
            self._write(sandbox, sandbox.said._replace(ready=False), ("ReconcilerError", reason), now)

    def _forget(self, key: ObjectKey) -> None:
        self._sandboxes.pop(key, None)
        self._creating.pop(key, None)

    def _reconcile(self, key: ObjectKey, now: Moment) -> None:
        if not self._complete:
            return
        sandbox, pod = self._sandboxes.get(key), self._pods.get(key)
        if pod is not None:
            self._label(pod, sandbox)
            self._collect(pod, sandbox)
        elif sandbox is not None and sandbox.wanted:
            self._create(sandbox)
        if sandbox is not None and self._mirror:
            self._tell(sandbox, pod, now)

    def _collect(self, pod: SeenPod, sandbox: SeenSandbox | None) -> None:
        """Delete a pod that a Sandbox owned which is gone, was replaced or wants no pod."""
        if not pod.owner_uid or pod.owner != pod.name or pod.deleting or pod.uid in self._deleting:
            return
        if sandbox is None or sandbox.uid != pod.owner_uid or not sandbox.wanted:
            self._deleting.add(pod.uid)
            self._send(requests.delete_pod(pod.namespace, pod.name, pod.uid, at_once=False))

    def _create(self, sandbox: SeenSandbox) -> None:
        attempt = (sandbox.uid, sandbox.generation)
        if self._creating.get(sandbox.key) == attempt:
            return
        self._creating[sandbox.key] = attempt
        collection = f"/api/v1/namespaces/{sandbox.namespace}/pods"
        self._send(requests.create(collection, pod_object(sandbox), sandbox.uid, origin=sandbox.key))

    def _label(self, pod: SeenPod, sandbox: SeenSandbox | None) -> None:
        """A pod whose Sandbox a claim took from its pool is the pool's no longer."""
        if sandbox is not None and pod.owner_uid == sandbox.uid and pod.extension != sandbox.extension:
            labels = {**dict.fromkeys(pod.extension), **sandbox.extension}
            path = requests.pod_path(pod.namespace, pod.name)
            self._send(requests.patch(path, pod.uid, {"metadata": {"labels": labels}}))

    def _tell(self, sandbox: SeenSandbox, pod: SeenPod | None, now: Moment) -> None:
        if pod is not None and pod.owner_uid != sandbox.uid:
            pod = None
        ready = pod is not None and pod.ready_at is not None and not pod.deleting and not pod.over
        said = Said(ready, pod.node if pod else "", sandbox.suspended and pod is None)
        last = self._said.get(sandbox.uid, sandbox.said)
        # As agent-sandbox: a node alone is not worth a write, it goes with Ready.
        if said != last and (ready or not said.node or said._replace(node=last.node) != last):
            self._write(sandbox, said, SUSPENDED if sandbox.suspended else READY if ready else NOT_READY, now)

    def _write(self, sandbox: SeenSandbox, said: Said, why: tuple[str, str], now: Moment) -> None:
        self._said[sandbox.uid] = said
        ends = "PodTerminated" if said.suspended else "PodTerminating" if sandbox.suspended else "NotSuspended"
        same = {"observedGeneration": sandbox.generation, "lastTransitionTime": timestamp(now.wall)}
        conditions = [
            {"type": kind, "status": str(status), "reason": reason, "message": message, **same}
            for kind, status, reason, message in (("Ready", said.ready, *why), ("Suspended", said.suspended, ends, ""))
        ]
        path = f"/apis/{sandbox.api_version}/namespaces/{sandbox.namespace}/sandboxes/{sandbox.name}/status"
        status = {"nodeName": said.node or None, "conditions": conditions}
        self._send(requests.patch(path, sandbox.uid, {"status": status}))


def pod_object(sandbox: SeenSandbox) -> dict[str, Any]:
    """The pod of a Sandbox: its template, plus the owner and agent-sandbox's own labels, which no template can set."""
    template = msgspec.json.decode(sandbox.template)
    metadata = template.get("metadata") or {}
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if not _is_reserved(key)}
    owner = {
        "apiVersion": sandbox.api_version,
        "kind": SANDBOX_KIND,
        "name": sandbox.name,
        "uid": sandbox.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": sandbox.name,
            "namespace": sandbox.namespace,
            "labels": {**labels, SANDBOX_HASH_LABEL: name_hash(sandbox.name), **sandbox.extension},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner],
        },
        "spec": template.get("spec") or {},
    }


def name_hash(name: str) -> str:
    """As agent-sandbox makes its labels of a name: FNV-1a of 32 bits, eight hex digits."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def _is_reserved(key: str) -> bool:
    return key.startswith((f"{SANDBOX_GROUP}/", f"extensions.{SANDBOX_GROUP}/"))
