"""Records the golden requests anew, in ten seconds: ``python -m tests.extender.golden.record [DIRECTORY]``.

What a real kube-scheduler sends to an extender, byte for byte: ``NAME.json`` is the body, ``NAME.http`` the request
line and headers; the names say what is in them. ``whole-nodes…`` has ``nodeCacheCapable: false``, all others send
names. ``test_golden.py`` records again and compares, so that the files cannot drift.

Starts a control plane, a stand-in that records and answers [], and two real kube-schedulers that ask it: one with
nodeCacheCapable, as scheduler-config/extender.yaml has it, and one without.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from extender import prefer_node
from lastnode.contract import SESSION_LABEL, WORKLOAD_NAME_LABEL
from testbed.errors import ApiError
from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import create, make_nodes, pod_spec, sandbox, scheduled, session_pod
from tests.extender.golden import DIRECTORY, NAMESPACE, NODES, WANTED, WORKLOAD
from tests.extender.standin import Recorded, StandIn, says
from tests.waiting import eventually

NAMES, WHOLE = "names", "whole"  # the two schedulers; the second sends whole nodes
MANY = 500
Make = Callable[[Stack], Object]


def pod(name: str, scheduler: str = NAMES, spec: Object | None = None) -> Object:
    """A session's pod for that scheduler."""
    whole = {**pod_spec(), **(spec or {}), "schedulerName": scheduler}
    return session_pod(NAMESPACE, name, workload=WORKLOAD, spec=whole)


def no_session(name: str, scheduler: str = NAMES) -> Object:
    made = pod(name, scheduler)
    del made["metadata"]["labels"][SESSION_LABEL]
    return made


def of_a_sandbox(stack: Stack, name: str) -> Object:
    """Its labels do not say whose it is: its Sandbox does."""
    owner = create(stack, sandbox(name, NAMESPACE, {WORKLOAD_NAME_LABEL: WORKLOAD}))
    return session_pod(NAMESPACE, name, owner=owner, spec={**pod_spec(), "schedulerName": NAMES})


def affinity() -> Object:
    """A user's own, of every sort, and none of it ours."""
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["zone-a", "zone-b", "zone-c"]}
    linux = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}
    near = {"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "kubernetes.io/hostname"}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [linux]}]},
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 40, "preference": {"matchExpressions": [zone]}},
                {"weight": 1, "preference": {"matchFields": [
                    {"key": "metadata.name", "operator": "NotIn", "values": [NODES[0]]}]}},
            ],
        },
        "podAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": near}]
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": near}]
        },
    }  # fmt: skip


def with_volumes(stack: Stack, name: str) -> Object:
    """Among others a claim that is bound already: kube-scheduler would not place the pod otherwise."""
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {
        "name": name, "namespace": NAMESPACE, "annotations": {"pv.kubernetes.io/bind-completed": "yes"}}}  # fmt: skip
    size = {"storage": "1Gi"}
    mode = ["ReadWriteOnce"]
    claim["spec"] = {"accessModes": mode, "resources": {"requests": size}, "storageClassName": "", "volumeName": name}
    bound = stack.api.post(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", claim)
    reference = {"kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": name, "uid": bound["metadata"]["uid"]}
    spec = {"accessModes": mode, "capacity": size, "hostPath": {"path": "/srv/cache"}, "claimRef": reference}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
    stack.api.post("/api/v1/persistentvolumes", volume)
    path = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{name}/status"
    stack.api.patch(path, {"status": {"phase": "Bound", "accessModes": mode, "capacity": size}})
    volumes = [
        {"name": "data", "persistentVolumeClaim": {"claimName": name}},
        {"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "a.yaml", "path": "a.yaml"}]}},
        {"name": "token", "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600, "audience": "agents"}},
            {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}},
    ]  # fmt: skip
    container = pod_spec()["containers"][0]
    container["volumeMounts"] = [{"name": each["name"], "mountPath": f"/mnt/{each['name']}"} for each in volumes]
    return pod(name, spec={"volumes": volumes, "containers": [container], "serviceAccountName": "agent"})


def many_containers(name: str) -> Object:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 5}
    tools = [
        {
            "name": f"tool-{number}", "image": f"registry.example/tools/tool-{number}:1.{number}",
            "command": ["/bin/tool"], "args": ["--number", str(number)], "readinessProbe": probe,
            "env": [{"name": "NUMBER", "value": str(number)},
                    {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"containerPort": 9000 + number, "name": f"p{number}"}],
        }
        for number in range(10)
    ]  # fmt: skip
    first = [{"name": "fetch", "image": "registry.example/fetch:1"},
             {"name": "proxy", "image": "registry.example/proxy:1", "restartPolicy": "Always"}]  # fmt: skip
    return pod(name, spec={"containers": [*pod_spec()["containers"], *tools], "initContainers": first})


def prioritised(stack: Stack, name: str) -> Object:
    group = "/apis/scheduling.k8s.io/v1/priorityclasses"
    stack.api.post(group, {"metadata": {"name": "urgent"}, "value": 100000, "preemptionPolicy": "Never"})
    tolerated = [{"key": "sandbox", "operator": "Exists", "effect": "NoSchedule"}]
    made = pod(name, spec={"priorityClassName": "urgent", "tolerations": tolerated})
    eventually(lambda: admitted(stack, made), "the API server's admission to hear of the priority class")
    return made


def admitted(stack: Stack, made: Object) -> bool:
    """Whether the API server would take the pod: admission reads classes from a watch, which may lag behind."""
    try:
        stack.api.post(f"/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All", made)
    except ApiError as error:
        if error.status != 403:
            raise
        return False
    return True


def odd_characters(name: str) -> Object:
    """Go writes <, > and & as escapes, and U+2028 too; the rest as UTF-8."""
    made = pod(name)
    made["metadata"]["annotations"] = {
        "example.com/note": 'a "b" <c> & \\ \t ünïcode 漢字 🙂 \u2028 NodeNames: ["golden-1"]'
    }
    return made


CASES: dict[str, Callable[[Stack, str], Object]] = {
    "session": lambda stack, name: pod(name),
    "session-of-a-sandbox": of_a_sandbox,
    "no-session": lambda stack, name: no_session(name),
    "own-affinity": lambda stack, name: pod(name, spec={"affinity": affinity()}),
    "injected-term": lambda stack, name: pod(name, spec=prefer_node(pod_spec(affinity=affinity()), WANTED)),
    "volumes": with_volumes,
    "many-containers": lambda stack, name: many_containers(name),
    "priority": prioritised,
    "odd-characters": lambda stack, name: odd_characters(name),
    "whole-nodes": lambda stack, name: pod(name, WHOLE),
    "whole-nodes-own-affinity": lambda stack, name: pod(name, WHOLE, {"affinity": affinity()}),
    "whole-nodes-no-session": lambda stack, name: no_session(name, WHOLE),
    # The last, because the nodes are made for it.
    "five-hundred-names": lambda stack, name: pod(name),
}


def record(directory: Path, cases: Iterable[str] = CASES) -> None:
    """Write NAME.json (the body) and NAME.http (request line and headers) of each case into ``directory``."""
    with Stack.start() as stack, StandIn(says(b"[]", headers=["Content-Type: application/json"])) as stand_in:
        stack.extender_url = stand_in.url
        stack.api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        make_nodes(stack, NODES)
        for scheduler in (NAMES, WHOLE):
            start(stack, scheduler)
            wait_until_offered(stack, stand_in, scheduler, len(NODES))
        for case in cases:
            if case == "five-hundred-names":
                make_nodes(stack, [f"golden-{number}" for number in range(len(NODES) + 1, MANY + 1)])
                wait_until_offered(stack, stand_in, NAMES, MANY)
            save(directory / case, requested(stack, stand_in, CASES[case](stack, case)))


def start(stack: Stack, scheduler: str) -> None:
    config = stack.scheduler_config("extender.yaml")
    config["extenders"][0] |= {"nodeCacheCapable": scheduler == NAMES, "httpTimeout": "20s"}
    config["profiles"] = [{"schedulerName": scheduler, "percentageOfNodesToScore": 100}]
    stack.cp.start_scheduler(f"kube-scheduler-{scheduler}", config)


def wait_until_offered(stack: Stack, stand_in: StandIn, scheduler: str, nodes: int) -> None:
    """Have pods placed until the scheduler has heard of so many nodes."""
    numbers = itertools.count(1)

    def all_offered() -> bool:
        asked = json.loads(
            requested(stack, stand_in, no_session(f"{scheduler}-{nodes}-{next(numbers)}", scheduler)).body
        )
        return len(asked["NodeNames"] or asked["Nodes"]["items"]) == nodes

    eventually(all_offered, f"{scheduler} to offer {nodes} nodes")


def requested(stack: Stack, stand_in: StandIn, made: Object) -> Recorded:
    """What kube-scheduler asks when it places the pod."""
    create(stack, made)
    scheduled(stack, made)
    return next(request for request in stand_in.requests if name_of(request) == made["metadata"]["name"])


def name_of(request: Recorded) -> str:
    name: str = json.loads(request.body)["Pod"]["metadata"]["name"]
    return name


def save(stem: Path, request: Recorded) -> None:
    stem.with_suffix(".json").write_bytes(request.body)
    stem.with_suffix(".http").write_bytes(request.head)


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)
