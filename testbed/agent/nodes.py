"""Node objects as a kubelet would register them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lastnode.contract import HOSTNAME_LABEL
from testbed.agent import names

ZONES: Final = ("zone-a", "zone-b", "zone-c")
NOT_READY_TAINT: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
_HEALTHY: Final = (
    ("Ready", "True", "KubeletReady"),
    ("MemoryPressure", "False", "KubeletHasSufficientMemory"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID"),
)


@dataclass(frozen=True, slots=True)
class NodeShape:
    """Quantities as Kubernetes writes them. ``hostname_suffix`` is appended to the name in the hostname label."""

    cpu: str = "8"
    memory: str = "32Gi"
    pods: int = 110
    hostname_suffix: str = ""


def node_object(name: str, shape: NodeShape, wall: datetime, index: int = 0) -> dict[str, Any]:
    """A Ready node that the stand-in serves. ``index`` decides its zone and address."""
    labels = {
        HOSTNAME_LABEL: name + shape.hostname_suffix,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "local",
        "topology.kubernetes.io/zone": ZONES[index % len(ZONES)],
        names.KUBELET_LABEL: names.KUBELET_SIMULATED,
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": node_status(name, shape, wall, index),
    }


def node_status(name: str, shape: NodeShape, wall: datetime, index: int = 0) -> dict[str, Any]:
    """Everything of a node's status but its images; all of the capacity is allocatable."""
    capacity = {"cpu": shape.cpu, "memory": shape.memory, "pods": str(shape.pods), "ephemeral-storage": "1Ti"}
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [_condition(*healthy, timestamp(wall)) for healthy in _HEALTHY],
        "addresses": [
            {"type": "InternalIP", "address": address(index)},
            {"type": "Hostname", "address": name + shape.hostname_suffix},
        ],
        "nodeInfo": _NODE_INFO,
    }


def image_status(held: Sequence[tuple[str, int]], limit: int) -> list[dict[str, Any]]:
    """status.images from (name, bytes), the largest first: at most ``limit`` of them."""
    return [{"names": [name], "sizeBytes": size} for name, size in held[:limit]]


def taints_for(taints: Sequence[Mapping[str, Any]], ready: bool) -> list[dict[str, Any]] | None:
    """The taints as the node-lifecycle controller would leave them, None when they are right already."""
    others = [dict(taint) for taint in taints if taint.get("key") != NOT_READY_TAINT["key"]]
    if ready:
        return None if len(others) == len(taints) else others
    return None if len(others) < len(taints) else [*others, dict(NOT_READY_TAINT)]


def address(index: int) -> str:
    """An address of its own for each of a million nodes, in 172.16.0.0/12."""
    number = index + 1
    return f"172.{16 + (number >> 16) % 16}.{(number >> 8) % 256}.{number % 256}"


def timestamp(wall: datetime) -> str:
    """A UTC instant as Kubernetes writes it: whole seconds."""
    return wall.strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(kind: str, status: str, reason: str, at: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "simulated",
        "lastHeartbeatTime": at,
        "lastTransitionTime": at,
    }


_NODE_INFO: Final = {
    "machineID": "",
    "systemUUID": "",
    "bootID": "",
    "kernelVersion": "none",
    "osImage": "none (simulated node)",
    "containerRuntimeVersion": "none://0",
    "kubeletVersion": "v0.0.0-simulated",
    "kubeProxyVersion": "",
    "operatingSystem": "linux",
    "architecture": "amd64",
}
