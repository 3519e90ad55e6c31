"""What happens to a last node in life: cordoned, full, deleted. Each time the session has to run elsewhere, at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testbed.agent import names
from testbed.stack import Stack, is_ready

_PODS = "/api/v1/namespaces/default/pods"


@contextmanager
def cordoned(stack: Stack, node: str) -> Iterator[None]:
    """The node takes no new pods, as after kubectl cordon."""
    _patch_node(stack, node, True)
    try:
        yield
    finally:
        _patch_node(stack, node, False)


@contextmanager
def full(stack: Stack, node: str) -> Iterator[None]:
    """Another pod holds all but a tenth of a CPU of the node."""
    free = stack.api.get(f"/api/v1/nodes/{node}")["status"]["allocatable"]["cpu"]
    name, requests = f"blocker-{node}", {"cpu": f"{int(free) * 1000 - 100}m"}
    container = {"name": "blocker", "image": "registry.example/blocker:1", "resources": {"requests": requests}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": {names.READY_AFTER: "0"}},
        "spec": {"nodeName": node, "containers": [container]},
    }
    stack.api.post(_PODS, pod)
    stack.wait(lambda: any(is_ready(pod) for pod in _called(stack, name)), "the blocking pod to run")
    try:
        yield
    finally:
        stack.api.delete(f"{_PODS}/{name}")
        stack.wait(lambda: not _called(stack, name), "the blocking pod to go")


@contextmanager
def deleted(stack: Stack, node: str) -> Iterator[None]:
    """The machine is gone for good."""
    stack.api.delete(f"/api/v1/nodes/{node}")
    yield


FAULTS = {"cordoned": cordoned, "full": full, "deleted": deleted}


def _patch_node(stack: Stack, node: str, unschedulable: bool) -> None:
    stack.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": unschedulable or None}})


def _called(stack: Stack, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.api.get(f"{_PODS}?fieldSelector=metadata.name%3D{name}")["items"]
    return found
