"""Sessions of one workload on nodes without anybody behind them: the test is agentcube and the kubelet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from lastnode import contract
from testbed.stack import Stack
from tests.extender.cluster import create, path_of, pod_spec, remove, sandbox, scheduled, session_pod
from tests.recorder.space import OPTED_IN, TEMPLATE, WORKLOADS

BALLAST = {"requests": {"cpu": "6", "memory": "20Gi"}}  # of 8 and 32Gi

Object = dict[str, Any]


class Session(NamedTuple):
    """A session's pod as it was created, and the node that it was bound to."""

    pod: Object
    node: str


class Workload:
    """An AgentRuntime in a released cluster, whose schema has no spec.nodeStickiness: it opts in by annotation."""

    def __init__(self, stack: Stack, name: str, *, opted_in: bool = True, **pod: Any) -> None:
        self.stack = stack
        self.name = name
        self._pod = pod
        self._count = 0
        metadata = {"name": name, "annotations": OPTED_IN if opted_in else {}}
        body = {"apiVersion": WORKLOADS.removeprefix("/apis/"), "kind": "AgentRuntime", "metadata": metadata}
        self._path = f"{WORKLOADS}/namespaces/default/agentruntimes"
        stack.api.post(self._path, body | {"spec": {"podTemplate": TEMPLATE}})

    def pod(self) -> Object:
        """Create the next session's Sandbox and pod, as agentcube does; the pod as the API server took it."""
        self._count += 1
        name = f"{self.name}-{self._count}"
        owner = create(self.stack, sandbox(name, "default", {contract.WORKLOAD_NAME_LABEL: self.name}))
        return create(self.stack, session_pod("default", name, owner=owner, spec=pod_spec(**self._pod)))

    def session(self) -> Session:
        """A whole session: created, scheduled, Ready."""
        pod = self.pod()
        node = scheduled(self.stack, pod)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": moment}
        self.stack.api.patch(f"{path_of(pod)}/status", {"status": {"phase": "Running", "conditions": [ready]}})
        return Session(pod, node)

    def remembers(self, node: str) -> None:
        """Wait until the recorder has written that."""
        path = f"{self._path}/{self.name}"

        def written() -> bool:
            annotations = self.stack.api.get(path)["metadata"].get("annotations", {})
            return bool(annotations.get(contract.LAST_NODE_ANNOTATION) == node)

        self.stack.wait(written, f"{node} on {self.name}")


def returns(workload: Workload, memory: bool = True) -> bool:
    """Whether the workload's next session comes back to a node that speaks against itself: it is nearly full, and the
    others are empty, so that kube-scheduler left alone would take another one."""
    stack = workload.stack
    first = workload.session()
    if memory:
        workload.remembers(first.node)
    remove(stack, first.pod)
    container = {"name": "c", "image": "ballast:1", "resources": BALLAST}
    spec = {"nodeName": first.node, "containers": [container]}
    metadata = {"name": f"ballast-{workload.name}", "namespace": "default"}
    ballast = create(stack, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    second = workload.session()
    remove(stack, second.pod)
    remove(stack, ballast)
    return second.node == first.node


def preferred(pod: Object) -> list[str]:
    """The nodes that a pod's spec prefers by hostname with weight 100."""
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return [
        value
        for term in terms
        if term["weight"] == 100
        for expression in term["preference"].get("matchExpressions", ())
        if expression["key"] == contract.HOSTNAME_LABEL
        for value in expression["values"]
    ]
