"""Events as an API server sends them, of a few sessions: what changes are made to. Pure."""

from __future__ import annotations

import json
from typing import Any

from lastnode.contract import (
    HOSTNAME_LABEL,
    LAST_NODE_ANNOTATION,
    RECENT_NODES_ANNOTATION,
    SESSION_LABEL,
    STICKINESS_ANNOTATION,
    WORKLOAD_KIND_LABEL,
    WORKLOAD_NAME_LABEL,
)
from testbed.workloads import SANDBOX_VERSION, WORKLOAD_VERSION

AGENTS, INTERPRETERS = (f"{plural}.runtime.agentcube.volcano.sh" for plural in ("agentruntimes", "codeinterpreters"))
SANDBOXES = "sandboxes.agents.x-k8s.io"
MADE, READY, FAILED = "2026-11-23T09:00:00Z", "2026-11-23T09:00:05Z", "2026-11-23T09:00:09Z"


def _object(kind: str, name: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "n", "uid": f"uid-{name}", "resourceVersion": "7", "creationTimestamp": MADE,
                "labels": {}, "annotations": {}}  # fmt: skip
    return {"apiVersion": version, "kind": kind, "metadata": metadata | more.pop("metadata", {}), **more}


def _node(name: str) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": MADE}
    metadata = {"labels": {HOSTNAME_LABEL: name}, "namespace": ""}
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule", "timeAdded": MADE}
    spec = {"unschedulable": False, "taints": [taint]}
    return _object("Node", name, metadata=metadata, spec=spec, status={"conditions": [ready]})


def _workload(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    entry = {"node": "a", "hostname": "a", "nodeUID": "uid-a", "readyAt": "2026-11-22T10:00:00Z", "podUID": "former"}
    memory = {LAST_NODE_ANNOTATION: "a", RECENT_NODES_ANNOTATION: json.dumps([entry])}
    metadata = {"annotations": {STICKINESS_ANNOTATION: "enabled", **memory}}
    return _object(kind, name, WORKLOAD_VERSION, metadata=metadata, spec={"podTemplate": {}, **spec})


def _sandbox(name: str, workload: str) -> dict[str, Any]:
    labels = {WORKLOAD_NAME_LABEL: workload, WORKLOAD_KIND_LABEL: "AgentRuntime"}
    return _object("Sandbox", name, SANDBOX_VERSION, metadata={"labels": labels})


def _pod(name: str, node: str, status: dict[str, Any], **labels: str) -> dict[str, Any]:
    owner = {"apiVersion": SANDBOX_VERSION, "kind": "Sandbox", "name": name, "uid": f"uid-{name}", "controller": True}
    metadata = {"labels": {SESSION_LABEL: name, **labels}, "ownerReferences": [owner]}
    return _object("Pod", name, metadata=metadata, spec={"nodeName": node}, status=status)


def _status(ready: str, ended: str = "") -> dict[str, Any]:
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": MADE},
        {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": ready or MADE},
    ]
    end = {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": READY, "finishedAt": ended}}
    states = {"state": end, "lastState": end} if ended else {"state": {"running": {"startedAt": MADE}}}
    container = {"name": "c", "restartCount": 1, **states}
    return {"phase": "Running", "conditions": conditions, "containerStatuses": [container]}


STORY: list[tuple[str, dict[str, Any]]] = [
    ("nodes", _node("a")),
    ("nodes", _node("b")),
    (AGENTS, _workload("AgentRuntime", "w", nodeStickiness={"enabled": True})),
    (INTERPRETERS, _workload("CodeInterpreter", "c", warmPoolSize=0)),
    (SANDBOXES, _sandbox("s", "w")),
    ("pods", _pod("s", "", {"phase": "Pending"})),
    ("pods", _pod("s", "b", _status(""))),
    ("pods", _pod("s", "b", _status(READY))),
    ("pods", _pod("s", "b", _status("", FAILED))),
    ("pods", _pod("t", "a", _status(READY, FAILED), **{WORKLOAD_NAME_LABEL: "c"})),
]
