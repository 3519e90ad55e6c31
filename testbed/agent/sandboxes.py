"""The sandbox controller: a Sandbox has a pod of its name, and a pod whose Sandbox is gone goes too.

In life the second half is kube-controller-manager's garbage collector. Called by one thread, like the kubelets.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from lastnode.contract import SANDBOX_KIND, SANDBOX_LABEL
from lastnode.kube.store import ObjectKey
from testbed.agent import requests
from testbed.agent.nodes import timestamp
from testbed.agent.requests import Request
from testbed.agent.timers import Moment
from testbed.agent.wire import SeenPod, SeenSandbox

READY: Final = ("DependenciesReady", "its pod is Ready")
NOT_READY: Final = ("DependenciesNotReady", "its pod is not Ready")

log = logging.getLogger(__name__)


class Sandboxes:
    """Sandboxes and pods as seen go in, requests come out through ``send``.

    ``mirror``: whether a pod's readiness is written to its Sandbox: one write more a session.
    """

    def __init__(self, send: Callable[[Request], None], mirror: bool = True) -> None:
        self._send = send
        self._mirror = mirror
        self._sandboxes: dict[ObjectKey, SeenSandbox] = {}
        self._pods: dict[ObjectKey, SeenPod] = {}
        self._creating: dict[ObjectKey, tuple[str, int]] = {}  # key -> UID and generation that was tried
        self._deleting: set[str] = set()  # UIDs of pods
        self._said_ready: dict[ObjectKey, tuple[str, bool]] = {}  # key -> UID and what was written last
        self._complete = False

    def listed(self, now: Moment) -> None:
        """All Sandboxes and pods have been seen: only now absence means anything."""
        self._complete = True
        for key in self._sandboxes.keys() | self._pods.keys():
            self._reconcile(key, now)

    def sandbox_changed(self, before: SeenSandbox | None, after: SeenSandbox | None, now: Moment) -> None:
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
            self._write_ready(sandbox, False, ("ReconcilerError", reason), now)

    def _forget(self, key: ObjectKey) -> None:
        self._sandboxes.pop(key, None)
        self._creating.pop(key, None)
        self._said_ready.pop(key, None)

    def _reconcile(self, key: ObjectKey, now: Moment) -> None:
        if not self._complete:
            return
        sandbox, pod = self._sandboxes.get(key), self._pods.get(key)
        if pod is not None:
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

    def _tell(self, sandbox: SeenSandbox, pod: SeenPod | None, now: Moment) -> None:
        mine = pod is not None and pod.owner_uid == sandbox.uid
        ready = mine and pod is not None and pod.ready_at is not None and not pod.deleting and not pod.over
        last = self._said_ready.get(sandbox.key, (sandbox.uid, sandbox.ready))
        if last != (sandbox.uid, ready):
            self._write_ready(sandbox, ready, READY if ready else NOT_READY, now)

    def _write_ready(self, sandbox: SeenSandbox, ready: bool, why: tuple[str, str], now: Moment) -> None:
        self._said_ready[sandbox.key] = (sandbox.uid, ready)
        condition = {
            "type": "Ready",
            "status": str(ready),
            "reason": why[0],
            "message": why[1],
            "observedGeneration": sandbox.generation,
            "lastTransitionTime": timestamp(now.wall),
        }
        path = f"/apis/{sandbox.api_version}/namespaces/{sandbox.namespace}/sandboxes/{sandbox.name}/status"
        self._send(requests.patch(path, sandbox.uid, {"status": {"conditions": [condition]}}))


def pod_object(sandbox: SeenSandbox) -> dict[str, Any]:
    """The pod of a Sandbox: its template, plus the name that agentcube looks for and the owner."""
    template = msgspec.json.decode(sandbox.template)
    metadata = template.get("metadata") or {}
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
            "labels": {SANDBOX_LABEL: sandbox.name} | (metadata.get("labels") or {}),
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner],
        },
        "spec": template.get("spec") or {},
    }
