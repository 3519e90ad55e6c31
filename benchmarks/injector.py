"""prefer_node and prefer_last_node on a realistic pod spec, beside copy.deepcopy of the same spec."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.measure import median_seconds, table
from extender import prefer_last_node, prefer_node
from lastnode import contract
from testbed.workloads import agent_runtime

CALLS = 2000


def run() -> str:
    """A table: microseconds of a call, and that as a part of deepcopy."""
    spec, workload = pod_spec(), remembering_workload()
    calls = {
        "copy.deepcopy(spec)": lambda: copy.deepcopy(spec),
        "prefer_node(spec, …)": lambda: prefer_node(spec, "node-7"),
        "prefer_last_node(spec, workload), 8 entries": lambda: prefer_last_node(spec, workload),
    }
    seconds = {name: median_seconds(call, calls=CALLS) for name, call in calls.items()}
    peer = seconds["copy.deepcopy(spec)"]
    rows = [(f"`{name}`", f"{value * 1e6:.1f}", f"{value / peer:.2f}") for name, value in seconds.items()]
    return table(["call", "µs", "of deepcopy"], rows)


def pod_spec() -> dict[str, Any]:
    """Two containers with environment, probes and volumes, and an affinity of the user's own."""
    container = {
        "name": "agent",
        "image": "registry.example/agent:1",
        "env": [{"name": f"VARIABLE_{n}", "value": f"value {n}"} for n in range(12)],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "400m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "volumeMounts": [{"name": "work", "mountPath": "/work"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "In", "values": ["agents"]}]}]}
    return {
        "containers": [container, {**container, "name": "sidecar"}],
        "volumes": [{"name": "work", "emptyDir": {}}],
        "tolerations": [{"key": "agents", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
    }


def remembering_workload() -> dict[str, Any]:
    """An opted-in AgentRuntime with a full memory, eight entries of the last hours."""
    now = datetime.now(UTC)
    entries = [
        {
            "node": f"node-{n}",
            "hostname": f"node-{n}",
            "nodeUID": f"00000000-0000-4000-8000-00000000000{n}",
            "readyAt": (now - timedelta(hours=n)).isoformat(timespec="seconds"),
            "podUID": f"00000000-0000-4000-9000-00000000000{n}",
        }
        for n in range(contract.DEFAULT_RECENT_NODES)
    ]
    workload = agent_runtime("w", sticky=True)
    workload["metadata"]["annotations"] = {
        contract.LAST_NODE_ANNOTATION: "node-0",
        contract.RECENT_NODES_ANNOTATION: json.dumps(entries),
    }
    return workload
