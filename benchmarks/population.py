"""Fills an API server with workloads, their Sandboxes and their sessions' pods, of the sizes that clusters have.

No scheduler and no kubelet take part: a pod is created bound to its node, and its status is patched as a kubelet
would. Only one session of each sort goes through the API server, though: 20,000 of them would take many minutes. The
others are copies in etcd of what the API server stored, with names and UIDs of their own; what is measured is how the
API server serves them, and that is as real as ever.
"""

from __future__ import annotations

import json
import uuid
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import urllib3

from benchmarks.injector import pod_spec
from lastnode import contract, memory, reading
from lastnode.contract import AGENTCUBE_PREFIX
from lastnode.kinds import BUILT_IN, Ways
from lastnode.kube.api import METADATA, Api
from lastnode.memory import Entry
from testbed.workloads import SANDBOX_VERSION, Object, agent_runtime, sandbox_for

WORKLOADS: Final = "/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/default/agentruntimes"
SANDBOXES: Final = f"/apis/{SANDBOX_VERSION}/namespaces/default/sandboxes"
PODS: Final = "/api/v1/namespaces/default/pods"
NODES: Final = "/api/v1/nodes"
_OPERATIONS: Final = 120  # etcd takes 128, and 1.5 MB, in one transaction
_MEMBERS_A_TRANSACTION: Final = _OPERATIONS // 3
_POD_KEYS: Final = b"/registry/pods/default/"
_WORKLOAD_KEYS: Final = "/registry/runtime.agentcube.volcano.sh/agentruntimes/default/"
SESSION_ID: Final = "3f9a1c52"


class Member(NamedTuple):
    """One workload with one session; ``node`` may be one that does not exist (yet)."""

    workload: str
    node: str
    ready: bool

    @property
    def pod(self) -> str:
        return f"{self.workload}-{SESSION_ID}"


class _Stored(NamedTuple):
    """What the API server made of one member: its objects' UIDs, and their values in etcd in the order of _keys."""

    member: Member
    uids: list[str]
    values: list[bytes]


def add_node(api: Api, name: str) -> None:
    """A Ready node."""
    labels = {contract.HOSTNAME_LABEL: name}
    api.request("POST", NODES, body={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": _text(datetime.now(UTC))}
    api.merge_patch(f"{NODES}/{name}/status", {"status": {"conditions": [ready]}})


def add_nodes(api: Api, etcd: str, names: Sequence[str]) -> None:
    """Ready nodes with equally long names: the first goes through the API server, the others are copies in etcd."""
    add_node(api, names[0])
    uid = reading.read_node(api.get(f"{NODES}/{names[0]}")).uid
    add_copies(etcd, "/registry/minions/", names[0], uid, names[1:])


def add_workloads(api: Api, etcd: str, names: Sequence[str], entries: memory.Memory) -> None:
    """The same of workloads, which remember ``entries`` and have no session."""
    uid = reading.read_controller((), api.request("POST", WORKLOADS, body=_workload(names[0], entries))).uid
    add_copies(etcd, _WORKLOAD_KEYS, names[0], uid, names[1:])


def add_copies(etcd: str, prefix: str, first: str, uid: str, names: Sequence[str]) -> None:
    """Copies in etcd of the object ``first``, which has that UID, under equally long names."""
    with urllib3.PoolManager(retries=False) as http:
        stored = _value(http, etcd, f"{prefix}{first}".encode())
        for start in range(0, len(names), _OPERATIONS):
            puts = [
                _put(f"{prefix}{name}".encode(), _replaced(stored, {first: name, uid: str(uuid.uuid4())}))
                for name in names[start : start + _OPERATIONS]
            ]
            _ask(http, f"{etcd}/v3/kv/txn", {"success": puts})


def fill(api: Api, etcd: str, members: Iterable[Member], history: Iterable[str]) -> None:
    """Create every member, each workload with a memory of ``history``: nodes of some hours ago, newest first.

    ``etcd``: its address. Names of workloads must be equally long, and so must those of nodes: the stored forms, of
    which pods' is binary, are copied with nothing but these bytes replaced.
    """
    entries = old_memory(api, history)
    sorts: dict[bool, list[Member]] = {True: [], False: []}
    for member in members:
        sorts[member.ready].append(member)
    with urllib3.PoolManager(retries=False) as http:
        for first, *others in (sort for sort in sorts.values() if sort):
            uids = _create(api, first, entries)
            stored = _Stored(first, uids, [_value(http, etcd, key) for key in _keys(first)])
            for start in range(0, len(others), _MEMBERS_A_TRANSACTION):
                _copy(http, etcd, stored, others[start : start + _MEMBERS_A_TRANSACTION])


def _keys(member: Member) -> list[bytes]:
    sandboxes = "/registry/agents.x-k8s.io/sandboxes/default/"
    pairs = ((_WORKLOAD_KEYS, member.workload), (sandboxes, member.pod), (_POD_KEYS.decode(), member.pod))
    return [f"{prefix}{name}".encode() for prefix, name in pairs]


def _value(http: urllib3.PoolManager, etcd: str, key: bytes) -> bytes:
    answer = _ask(http, f"{etcd}/v3/kv/range", {"key": b64encode(key).decode()})
    return b64decode(answer["kvs"][0]["value"])


def _copy(http: urllib3.PoolManager, etcd: str, first: _Stored, members: Sequence[Member]) -> None:
    puts = []
    for member in members:
        new = {uid: str(uuid.uuid4()) for uid in first.uids} | {first.member.workload: member.workload}
        for key, value in zip(_keys(member), first.values, strict=True):
            # The node stands in the pod; in the workload's memory the same name would be another's.
            words = new | ({first.member.node: member.node} if key.startswith(_POD_KEYS) else {})
            puts.append(_put(key, _replaced(value, words)))
    _ask(http, f"{etcd}/v3/kv/txn", {"success": puts})


def _put(key: bytes, value: bytes) -> dict[str, Any]:
    return {"requestPut": {"key": b64encode(key).decode(), "value": b64encode(value).decode()}}


def _replaced(value: bytes, words: Mapping[str, str]) -> bytes:
    for old, new in words.items():
        if len(old) != len(new):
            raise ValueError(f"{new!r} is not as long as {old!r}")
        value = value.replace(old.encode(), new.encode())
    return value


def _ask(http: urllib3.PoolManager, url: str, body: Any) -> Any:
    answer = http.request("POST", url, json=body)
    if answer.status != 200:
        raise RuntimeError(f"{url}: {answer.status}: {answer.data[:200]!r}")
    return answer.json()


def old_memory(api: Api, nodes: Iterable[str]) -> memory.Memory:
    """Entries of these nodes, an hour between them, the first one hour ago."""
    now = datetime.now(UTC).replace(microsecond=0)
    return tuple(
        Entry(
            node=name,
            hostname=name,
            node_uid=reading.read_node(api.get(f"{NODES}/{name}")).uid,
            ready_at=now - timedelta(hours=number),
            pod_uid=f"00000000-0000-4000-9000-{number:012d}",
        )
        for number, name in enumerate(nodes, 1)
    )


def make_ready(api: Api, pod: str) -> None:
    """What a kubelet says when the session's containers run."""
    api.merge_patch(f"{PODS}/{pod}/status", {"status": _status()}, METADATA.an_object)


def _create(api: Api, member: Member, entries: memory.Memory) -> list[str]:
    workload = _workload(member.workload, entries)
    uids = [reading.read_controller((), api.request("POST", WORKLOADS, body=workload)).uid]
    sandbox = sandbox_for(workload, SESSION_ID)
    uids.append(reading.read_controller((), api.request("POST", SANDBOXES, body=sandbox)).uid)
    uids.append(
        reading.read_session(Ways(BUILT_IN), api.request("POST", PODS, body=_pod(sandbox, uids[1], member.node))).uid
    )
    if member.ready:
        make_ready(api, member.pod)
    return uids


def _workload(name: str, entries: memory.Memory) -> Object:
    workload = agent_runtime(name, sticky=True)
    workload["metadata"]["annotations"] = memory.render(entries, AGENTCUBE_PREFIX)
    workload["spec"]["podTemplate"]["spec"] = _spec()
    return workload


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
