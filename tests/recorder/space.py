"""A namespace of one test, in the terms of the recorder: workloads, Sandboxes, pods that become Ready when told.

No scheduler and no node agent: pods are made on a node, and their status is written by hand, so that a test decides
when each of them became Ready.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from lastnode import contract
from testbed.stack import Stack

# Some hours ago: ready times in these tests never meet the present.
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
WORKLOADS = "/apis/runtime.agentcube.volcano.sh/v1alpha1"
SANDBOXES = "/apis/agents.x-k8s.io"
AGENT, INTERPRETER = "AgentRuntime", "CodeInterpreter"
OPTED_IN = {contract.STICKINESS_ANNOTATION: contract.STICKINESS_ENABLED}
TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "registry.example/c:1"}]}}

Object = dict[str, Any]

_numbers = itertools.count(1)


def moment(second: float) -> str:
    """``second`` seconds after START as the API writes it."""
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Space:
    """``name`` is the namespace. Every test has its own, and its nodes have names of their own as well."""

    def __init__(self, stack: Stack, sandbox_version: str = "v1beta1") -> None:
        self.stack = stack
        self.api = stack.api
        self.sandbox_version = sandbox_version
        self.name = f"t{next(_numbers)}"
        self.api.post("/api/v1/namespaces", {"metadata": {"name": self.name}})

    def node(self, name: str, hostname: str | None = "") -> str:
        """A Ready node ``NAMESPACE-name``; ``hostname``: its label, empty for its name, None for no label."""
        full = f"{self.name}-{name}"
        labels = {} if hostname is None else {contract.HOSTNAME_LABEL: hostname or full}
        self.api.post("/api/v1/nodes", {"metadata": {"name": full, "labels": labels}})
        status = {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": moment(-60)}]}
        self.api.patch(f"/api/v1/nodes/{full}/status", {"status": status})
        return full

    def node_uid(self, name: str) -> str:
        return str(self.api.get(f"/api/v1/nodes/{name}")["metadata"]["uid"])

    def delete_node(self, name: str) -> None:
        self.api.delete(f"/api/v1/nodes/{name}")

    def workload(
        self,
        name: str = "w",
        kind: str = AGENT,
        *,
        enabled: bool | None = True,
        annotations: dict[str, str] | None = None,
        warm_pool: int | None = None,
    ) -> Object:
        """Create one; ``enabled``: spec.nodeStickiness.enabled, None leaves it out."""
        spec: Object = {"podTemplate" if kind == AGENT else "template": TEMPLATE}
        if enabled is not None:
            spec["nodeStickiness"] = {"enabled": enabled}
        if warm_pool is not None:
            spec["warmPoolSize"] = warm_pool
        metadata = {"name": name, "annotations": annotations or {}}
        body = {"apiVersion": WORKLOADS.removeprefix("/apis/"), "kind": kind, "metadata": metadata, "spec": spec}
        created: Object = self.api.post(self._workloads(kind), body)
        return created

    def read(self, name: str = "w", kind: str = AGENT) -> Object:
        found: Object = self.api.get(f"{self._workloads(kind)}/{name}")
        return found

    def change(self, patch: Object, name: str = "w", kind: str = AGENT) -> Object:
        changed: Object = self.api.patch(f"{self._workloads(kind)}/{name}", patch)
        return changed

    def delete(self, name: str = "w", kind: str = AGENT) -> None:
        self.api.delete(f"{self._workloads(kind)}/{name}")

    def sandbox(self, name: str, workload: str | None = "w", kind: str | None = None) -> Object:
        """A Sandbox that names its workload (and its kind, where given) by labels."""
        labels = _labels(workload, kind)
        body = {
            "apiVersion": f"agents.x-k8s.io/{self.sandbox_version}",
            "kind": "Sandbox",
            "metadata": {"name": name, "labels": labels},
            "spec": {"podTemplate": TEMPLATE},
        }
        created: Object = self.api.post(self._sandboxes(), body)
        return created

    def label_sandbox(self, name: str, workload: str) -> None:
        self.api.patch(f"{self._sandboxes()}/{name}", {"metadata": {"labels": _labels(workload, None)}})

    def delete_sandbox(self, name: str) -> None:
        self.api.delete(f"{self._sandboxes()}/{name}")

    def pod(
        self, name: str, node: str, *, sandbox: Object | None = None, workload: str | None = None,
        kind: str | None = None, session: bool = True,
    ) -> Object:  # fmt: skip
        """A session's pod on ``node``, Pending; owned by ``sandbox``, or naming its workload itself."""
        metadata: Object = {"name": name, "labels": _labels(workload, kind)}
        if session:
            metadata["labels"][contract.SESSION_LABEL] = f"session-{name}"
        if sandbox is not None:
            owner = {"apiVersion": sandbox["apiVersion"], "kind": "Sandbox", "controller": True}
            named = {key: sandbox["metadata"][key] for key in ("name", "uid")}
            metadata["ownerReferences"] = [owner | named]
        created: Object = self.api.post(
            self._pods(), {"metadata": metadata, "spec": TEMPLATE["spec"] | {"nodeName": node}}
        )
        return created

    def status(self, pod: Object, phase: str, ready_at: float | None = None, **more: Any) -> None:
        """Write a pod's phase, and its Ready condition: True since ``ready_at`` seconds after START, else False."""
        ready = {"type": "Ready", "status": "False" if ready_at is None else "True"}
        ready["lastTransitionTime"] = moment(-1 if ready_at is None else ready_at)
        status = {"phase": phase, "conditions": [ready], **more}
        self.api.patch(f"{self._pods()}/{pod['metadata']['name']}/status", {"status": status})

    def delete_pod(self, pod: Object, grace: int = 0) -> None:
        """With a grace the pod stays, being deleted: there is no kubelet to end it."""
        self.api.request("DELETE", f"{self._pods()}/{pod['metadata']['name']}", {"gracePeriodSeconds": grace})

    def session(self, name: str, node: str, ready_at: float, workload: str = "w", kind: str | None = None) -> Object:
        """A whole session as agentcube makes it: Sandbox, pod, Ready."""
        pod = self.pod(name, node, sandbox=self.sandbox(name, workload, kind))
        self.status(pod, "Running", ready_at)
        return pod

    def last_node(self, name: str = "w", kind: str = AGENT) -> str | None:
        return _annotations(self.read(name, kind)).get(contract.LAST_NODE_ANNOTATION)

    def recent(self, name: str = "w", kind: str = AGENT) -> list[Object]:
        """What recent-nodes holds, decoded; no annotation is an empty list."""
        entries: list[Object] = json.loads(
            _annotations(self.read(name, kind)).get(contract.RECENT_NODES_ANNOTATION, "[]")
        )
        return entries

    def untouched(self, name: str = "w", kind: str = AGENT) -> bool:
        """Whether neither of the two annotations is there."""
        return not {contract.LAST_NODE_ANNOTATION, contract.RECENT_NODES_ANNOTATION} & set(
            _annotations(self.read(name, kind))
        )

    def second_after(self, obj: Object) -> None:
        """Wait until what is created gets a later time than ``obj`` has: creation times are whole seconds."""
        created = obj["metadata"]["creationTimestamp"]

        def passed() -> bool:
            clock = self.workload("clock", enabled=False)
            self.delete("clock")
            return bool(clock["metadata"]["creationTimestamp"] > created)

        self.stack.wait(passed, "the next second")

    def written(self, node: str, name: str = "w", kind: str = AGENT) -> None:
        """Wait until ``node`` is the last node of the workload."""
        self.stack.wait(lambda: self.last_node(name, kind) == node, f"{node} on {kind} {self.name}/{name}")

    def settled(self) -> None:
        """Wait until the recorder has dealt with every pod event so far: what is not written now never will be.

        Events of one watch come in order, so a session made now is written after all earlier ones were considered;
        and what was considered counts as pending until its write has ended.
        """
        self.settled_but(0)

    def settled_but(self, pending: int) -> None:
        """The same, where so many workloads cannot be written now and stay pending."""
        name = f"probe-{next(_numbers)}"
        node = self.node(name)
        self.workload(name, enabled=None, annotations=OPTED_IN)
        self.status(self.pod(name, node, workload=name, kind=AGENT), "Running", 1)
        self.written(node, name)
        self.stack.wait(
            lambda: self.metric("lastnode_record_pending_workloads") == pending, f"{pending} workloads to be pending"
        )

    def metric(self, name: str) -> float:
        """A sample of the recorder's /metrics; one that is not there is 0."""
        return self.stack.metrics(self.stack.recorder_url).get(name, 0.0)

    def _workloads(self, kind: str) -> str:
        return f"{WORKLOADS}/namespaces/{self.name}/{kind.lower()}s"

    def _sandboxes(self) -> str:
        return f"{SANDBOXES}/{self.sandbox_version}/namespaces/{self.name}/sandboxes"

    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.name}/pods"


def _labels(workload: str | None, kind: str | None) -> dict[str, str]:
    labels = {}
    if workload is not None:
        labels[contract.WORKLOAD_NAME_LABEL] = workload
    if kind is not None:
        labels[contract.WORKLOAD_KIND_LABEL] = kind
    return labels


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}
