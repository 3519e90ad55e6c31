"""Makes sure that what comes back does so because it wants to."""

from __future__ import annotations

from testbed.stack import Stack


def make_least_liked(stack: Stack, namespace: str, node: str) -> None:
    """Load a node, with room for sessions left, so that kube-scheduler takes any other one if nobody prefers it."""
    container = {"name": "c", "image": "c:1", "resources": {"requests": {"cpu": "6"}}}
    pod = {"metadata": {"generateName": "load-"}, "spec": {"nodeName": node, "containers": [container]}}
    stack.api.post(f"/api/v1/namespaces/{namespace}/pods", pod)
