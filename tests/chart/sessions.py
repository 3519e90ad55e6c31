"""Sessions of one workload on nodes without anybody behind them: the test is the kubelet too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from lastnode import contract
from testbed.stack import Stack
from tests.extender.cluster import create, path_of, pod_spec, remove, scheduled
from tests.subjects import AGENT_RUNTIMES, Subject

BALLAST = {"requests": {"cpu": "6", "memory": "20Gi"}}  # of 8 and 32Gi

Object = dict[str, Any]


class Session(NamedTuple):
    """A session's pod as it was created, and the node that it was bound to."""

    pod: Object
    node: str


class Workload:
    """In a released cluster, whose schema has no spec.nodeStickiness, one opts in by annotation."""

    def __init__(
        self, stack: Stack, name: str, resource: str = AGENT_RUNTIMES, *, opted_in: bool = True, **pod: Any
    ) -> None:
        self.stack = stack
        self.name = name
        self._subject = Subject(stack, resource, name=name, opted_in=opted_in)
        self.remembers = self._subject.remembers
        self._pod = pod
        self._count = 0

    def pod(self) -> Object:
        """Create the next session's pod, and what leads from it to the workload; the pod as the API server took it."""
        self._count += 1
        return create(self.stack, self._subject.pod(f"{self.name}-{self._count}", pod_spec(**self._pod)))

    def session(self) -> Session:
        """A whole session: created, scheduled, Ready."""
        pod = self.pod()
        node = scheduled(self.stack, pod)
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": moment}
        self.stack.api.patch(f"{path_of(pod)}/status", {"status": {"phase": "Running", "conditions": [ready]}})
        return Session(pod, node)


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
