"""Fills an API server with workloads, their Sandboxes and their sessions' pods, of the sizes that clusters have.

No scheduler and no kubelet take part: a pod is created bound to its node, and its status is patched as a kubelet
would. Everything goes over a few kept-alive connections at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from benchmarks.injector import pod_spec
from deploy.local.workloads import Object, agent_runtime, sandbox_for
from recorder import contract, memory, wire
from recorder.api import Api
from recorder.memory import Entry

WORKLOADS: Final = "/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/default/agentruntimes"
SANDBOXES: Final = "/apis/agents.x-k8s.io/v1alpha1/namespaces/default/sandboxes"
PODS: Final = "/api/v1/namespaces/default/pods"
NODES: Final = "/api/v1/nodes"
CONNECTIONS: Final = 16
SESSION_ID: Final = "3f9a1c52"


class Member(NamedTuple):
    """One workload with one session; ``node`` may be one that does not exist (yet)."""

    workload: str
    node: str
    ready: bool

    @property
    def pod(self) -> str:
        return f"{self.workload}-{SESSION_ID}"


def add_node(api: Api, name: str) -> None:
    """A Ready node."""
    labels = {contract.HOSTNAME_LABEL: name}
    api.request("POST", NODES, body={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _text(datetime.now(UTC))}
    api.merge_patch(f"{NODES}/{name}/status", {"status": {"conditions": [ready]}})


def fill(api: Api, members: Iterable[Member], history: Iterable[str]) -> None:
    """Create every member, each workload with a memory of ``history``: nodes of some hours ago, newest first.

    :raises ApiError, Unreachable: as the first request that failed.
    """
    entries = old_memory(api, history)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for _ in pool.map(lambda member: _create(api, member, entries), members):
            pass


def old_memory(api: Api, nodes: Iterable[str]) -> memory.Memory:
    """Entries of these nodes, an hour between them, the first one hour ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    return tuple(
        Entry(
            node=name,
            hostname=name,
            node_uid=wire.node(api.get(f"{NODES}/{name}")).uid,
            ready_at=now - timedelta(hours=number),
            pod_uid=f"00000000-0000-4000-9000-{number:012d}",
        )
        for number, name in enumerate(nodes, 1)
    )


def make_ready(api: Api, pod: str) -> None:
    """What a kubelet says when the session's containers run."""
    api.merge_patch(f"{PODS}/{pod}/status", {"status": _status()})


def _create(api: Api, member: Member, entries: memory.Memory) -> None:
    workload = agent_runtime(member.workload, sticky=True)
    workload["metadata"]["annotations"] = memory.render(entries)
    workload["spec"]["podTemplate"]["spec"] = _spec()
    api.request("POST", WORKLOADS, body=workload)
    sandbox = sandbox_for(workload, SESSION_ID)
    uid = wire.sandbox(api.request("POST", SANDBOXES, body=sandbox)).uid
    api.request("POST", PODS, body=_pod(sandbox, uid, member.node))
    if member.ready:
        make_ready(api, member.pod)


def _pod(sandbox: Object, uid: str, node: str) -> Object:
    template = sandbox["spec"]["podTemplate"]
    owner = {"apiVersion": sandbox["apiVersion"], "kind": sandbox["kind"], "controller": True, "uid": uid}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": sandbox["metadata"]["name"],
            "namespace": sandbox["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "annotations": {"runtime.agentcube.io/last-activity-time": _text(datetime.now(UTC))},
            "ownerReferences": [owner | {"name": sandbox["metadata"]["name"]}],
        },
        "spec": template["spec"] | {"nodeName": node},
    }


def _spec() -> dict[str, Any]:
    """Two containers, and the token volume that the ServiceAccount admission would add on a whole cluster."""
    spec = pod_spec() | {"serviceAccountName": "default"}
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    authority = {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}
    spec["volumes"].append({"name": "kube-api-access", "projected": {"sources": [token, authority]}})
    return spec


def _status() -> dict[str, Any]:
    now = _text(datetime.now(UTC))
    kinds = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled", "Ready")
    image = "registry.example/agent:1"
    container = {
        "image": image,
        "imageID": f"{image}@sha256:{'4f' * 32}",
        "containerID": f"containerd://{'9c' * 32}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds],
        "podIP": "10.1.2.3",
        "podIPs": [{"ip": "10.1.2.3"}],
        "hostIP": "192.0.2.1",
        "startTime": now,
        "qosClass": "Burstable",
        "containerStatuses": [container | {"name": name} for name in ("agent", "sidecar")],
    }


def mean_bytes(api: Api, collection: str, sample: int = 100) -> float:
    """Size of an object of that collection in JSON, as the API server sends it."""
    items = json.loads(api.get(collection, {"limit": str(sample)}))["items"]
    return sum(len(json.dumps(item, separators=(",", ":"))) for item in items) / max(1, len(items))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
