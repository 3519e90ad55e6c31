"""A cluster on which sessions move for every reason, and what is said about each of them."""

from __future__ import annotations

import itertools
import json
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lastnode.outcome import SessionRecord
from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import (
    POOL_LABEL,
    Wire,
    create,
    make_nodes,
    path_of,
    pod_spec,
    session_pod,
    sticky_runtime,
)
from tests.waiting import eventually

_numbers = itertools.count(1)


class Scene:
    """A namespace with three feasible nodes of a pool of its own; ``wanted`` is the one that "w" shall remember."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.namespace = f"t{next(_numbers)}"
        stack.api.post("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.nodes = make_nodes(stack, [f"{self.namespace}-{letter}" for letter in "abc"], pool=self.namespace)
        self.wanted, self.other, _ = self.nodes
        self.before = counters(stack)

    def pod(self, name: str = "session", **more: Any) -> Object:
        """A session of "w" that only the nodes of this scene can take."""
        return session_pod(self.namespace, name, workload="w", spec=pod_spec(self.namespace, **more))

    def run(self, pod: Mapping[str, Any], scheduler: str = "default-scheduler") -> tuple[str, SessionRecord]:
        """Create it once everybody has seen all that was done before; returns its node and what is said once Ready."""
        self.everybody_has_seen_all()
        made = create(self.stack, {**pod, "spec": {**pod["spec"], "schedulerName": scheduler}})
        node = eventually(lambda: self.stack.api.get(path_of(made))["spec"].get("nodeName"), "the pod to be bound")
        become_ready(self.stack, made)
        uid = made["metadata"]["uid"]
        record = eventually(lambda: next(iter(self.stack.journal(uid)), None), "the recorder to count the session")
        return node, record

    def counted(self) -> dict[str, float]:
        """What moved in lastnode_sessions_total since everybody had seen all."""
        after = counters(self.stack)
        return {
            name: value - self.before.get(name, 0) for name, value in after.items() if value != self.before.get(name, 0)
        }

    def events(self) -> list[Object]:
        """The Events about the workload."""
        uid = self.stack.api.get(f"{_RUNTIMES.format(self.namespace)}/w")["metadata"]["uid"]
        found = self.stack.api.get(f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=involvedObject.uid={uid}")
        return list(found["items"])

    def everybody_has_seen_all(self) -> None:
        """Wait until recorder and extender have got every event of nodes and workloads up to now: those of one watch
        come in order, so it is enough that a new node is written on a new workload, and then preferred."""
        marker = f"{self.namespace}-marker-{next(_numbers)}"
        make_nodes(self.stack, [marker])
        create(self.stack, sticky_runtime(marker, self.namespace))
        pod = session_pod(self.namespace, marker, workload=marker, spec=pod_spec(nodeName=marker))
        made = create(self.stack, pod)
        become_ready(self.stack, made)
        Wire(self.stack.extender_url).expect_node(marker, pod, [marker], seconds=30)
        eventually(lambda: self.stack.journal(made["metadata"]["uid"]), "the marker's session to be counted")
        self.before = counters(self.stack)
        self.stack.api.delete(f"/api/v1/nodes/{marker}")

    def close(self) -> None:
        for node in self.stack.api.get(f"/api/v1/nodes?labelSelector={POOL_LABEL}={self.namespace}")["items"]:
            self.stack.api.delete(f"/api/v1/nodes/{node['metadata']['name']}")


_VERSION = "runtime.agentcube.volcano.sh/v1alpha1"
_RUNTIMES = f"/apis/{_VERSION}/namespaces/{{}}/agentruntimes"


def become_ready(stack: Stack, pod: Mapping[str, Any]) -> None:
    """As a kubelet would say; what the scheduler wrote stays."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]}
    stack.api.patch(f"{path_of(pod)}/status", {"status": status}, "application/strategic-merge-patch+json")


def decisions(stack: Stack, pod_uid: str) -> list[Object]:
    with urllib.request.urlopen(f"{stack.extender_url}/decisions?pod_uid={pod_uid}", timeout=10) as answer:
        return list(json.load(answer)["decisions"])


def counters(stack: Stack) -> dict[str, float]:
    """lastnode_sessions_total by its labels."""
    samples = stack.metrics(stack.recorder_url).items()
    return {name: value for name, value in samples if name.startswith("lastnode_sessions_total")}
