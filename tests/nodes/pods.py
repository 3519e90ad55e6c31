"""Pods for one node or another, and what became of them."""

from __future__ import annotations

import itertools
from typing import Any

from testbed import Api
from testbed.stack import is_ready
from tests.waiting import eventually

PODS = "/api/v1/namespaces/default/pods"
_numbers = itertools.count(1)

Object = dict[str, Any]


def create(api: Api, node: str, image: str = "pause", **spec: Any) -> str:
    """A pod of one container on that node; returns its name."""
    name = f"pod-{next(_numbers)}"
    body = {"nodeName": node, "containers": [{"name": "c", "image": f"registry.example/{image}:1"}], **spec}
    api.post(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body})
    return name


def read(api: Api, name: str) -> Object:
    return api.get(f"{PODS}/{name}")


def names(api: Api) -> set[str]:
    return {pod["metadata"]["name"] for pod in api.get(PODS)["items"]}


def ready(api: Api, name: str) -> Object:
    """The pod once it is Ready."""
    return eventually(lambda: pod if is_ready(pod := read(api, name)) else None, f"{name} to be Ready")
