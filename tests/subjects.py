"""Workloads of every kind on a cluster, and pods that lead to them. The test is whoever would make and run those."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from lastnode import contract
from lastnode.daemon.rows import table
from testbed.stack import Stack
from testbed.workloads import SANDBOX_VERSION, Object
from tests.extender.cluster import create, path_of, sandbox, session_pod
from tests.rbac import ROWS
from tests.recorder.space import TEMPLATE, WORKLOADS

KINDS: Final = {kind.resource: kind for kind in table(ROWS)}
AGENT_RUNTIMES, CODE_INTERPRETERS, SANDBOXES, STATEFUL_SETS, CRON_JOBS = KINDS
_ENDING: Final = {"spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}
_AGENTCUBE: Final = WORKLOADS.removeprefix("/apis/")
# apiVersion, kind and spec.
_BODIES: Final[Mapping[str, tuple[str, str, Object]]] = {
    AGENT_RUNTIMES: (_AGENTCUBE, "AgentRuntime", {"podTemplate": TEMPLATE}),
    CODE_INTERPRETERS: (_AGENTCUBE, "CodeInterpreter", {"template": TEMPLATE}),
    SANDBOXES: (SANDBOX_VERSION, "Sandbox", {"podTemplate": TEMPLATE}),
    STATEFUL_SETS: (
        "apps/v1",
        "StatefulSet",
        {
            "selector": {"matchLabels": {"app": "trainer"}},
            "template": {"metadata": {"labels": {"app": "trainer"}}, **TEMPLATE},
        },
    ),
    CRON_JOBS: ("batch/v1", "CronJob", {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": _ENDING}}}),
}


class Subject:
    """One workload, which has opted in unless it is told otherwise; in a cluster that knows spec.nodeStickiness or not.

    ``object``: as the API server took it.
    """

    def __init__(
        self, stack: Stack, resource: str, namespace: str = "default", name: str = "w", *, opted_in: bool = True
    ) -> None:
        self.stack, self.kind = stack, KINDS[resource]
        version, kind, spec = _BODIES[resource]
        said = {self.kind.annotation(contract.STICKINESS): contract.STICKINESS_ENABLED} if opted_in else {}
        metadata = {"name": name, "namespace": namespace, "annotations": said}
        self.object = create(stack, {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
        self.path = path_of(self.object)

    def pod(self, name: str, spec: Mapping[str, Any] | None = None) -> Object:
        """A session's pod, to be created; what stands between it and the workload is."""
        pod = session_pod(self.object["metadata"]["namespace"], name, owner=self._controller(name), spec=spec)
        pod["metadata"]["labels"] = self.kind.way.pods.example(name)
        return pod

    def change(self, patch: Object) -> None:
        self.stack.api.patch(self.path, patch)

    def says(self, name: str) -> str | None:
        """Its annotation PREFIX/name."""
        annotations = self.stack.api.get(self.path)["metadata"].get("annotations") or {}
        found: str | None = annotations.get(self.kind.annotation(name))
        return found

    def remember(self, *entries: Mapping[str, Any]) -> None:
        """As the recorder would have written it, newest first."""
        memory = {contract.LAST_NODE: entries[0]["node"], contract.RECENT_NODES: json.dumps(entries)}
        self.change({"metadata": {"annotations": {self.kind.annotation(key): said for key, said in memory.items()}}})

    def nodes(self) -> list[str]:
        """What it remembers, newest first."""
        return [entry["node"] for entry in json.loads(self.says(contract.RECENT_NODES) or "[]")]

    def remembers(self, node: str) -> None:
        """Wait until that is its last node."""
        self.stack.wait(lambda: self.says(contract.LAST_NODE) == node, f"{node} on {self.path}")

    def _controller(self, name: str) -> Object:
        """Of the pod of that name."""
        namespace, way = self.object["metadata"]["namespace"], self.kind.way
        if not way.through:
            return self.object
        if way.named_by:
            labels = {way.named_by: self.object["metadata"]["name"]}
            return create(self.stack, sandbox(name, namespace, labels, SANDBOX_VERSION))
        job = session_pod(namespace, name, owner=self.object)["metadata"] | {"labels": {}}
        return create(
            self.stack, {"apiVersion": "batch/v1", "kind": "Job", "metadata": job, "spec": {"template": _ENDING}}
        )


def needing(stack: Stack, collection: str, namespace: str, name: str = "w") -> Subject:
    """A workload whose sessions mean nothing to who does not see that resource."""
    through = [resource for resource, kind in KINDS.items() if kind.way.through == collection]
    resource = collection if collection in KINDS else [*through, AGENT_RUNTIMES][0]
    return Subject(stack, resource, namespace, name)
