"""Real nodes, used as a cluster's are."""

from __future__ import annotations

import os

import pytest

from testbed import ApiError
from testbed.nodes.realnodes import RealNodes
from testbed.stack import Stack
from testbed.versions import chosen
from tests.nodes import pods
from tests.waiting import eventually


def test_a_node_joins_pulls_an_image_from_the_registry_runs_a_pod_and_lets_it_go(
    stack: Stack, nodes: RealNodes
) -> None:
    nodes.registry.push("joins", [nodes.program()])
    name = pods.create(stack.api, nodes.names[0], "joins")
    status = pods.ready(stack.api, name)["status"]
    assert status["containerStatuses"][0]["imageID"].startswith("registry.example/joins@sha256:")
    events = f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={name}"
    expected = {"Pulling", "Pulled", "Created", "Started"}
    # A kubelet sends its Events on their own, some after the status that they tell of.
    eventually(lambda: expected <= {each["reason"] for each in stack.api.get(events)["items"]}, f"Events {expected}")
    assert "busybox sleep" in nodes.on(nodes.names[0], "ps", "ax")
    assert "busybox sleep" not in nodes.on(nodes.names[1], "ps", "ax")
    stack.api.delete(f"{pods.PODS}/{name}")
    eventually(lambda: name not in pods.names(stack.api), "the pod is gone")


def test_a_kubelet_may_do_what_a_kubelet_may_and_nothing_else(stack: Stack, nodes: RealNodes) -> None:
    kubelet = stack.cp.api(f"system:node:{nodes.names[0]}")
    info = kubelet.get(f"/api/v1/nodes/{nodes.names[0]}")["status"]["nodeInfo"]
    assert info["kubeletVersion"] == f"v{chosen(os.environ)}"
    for path in (f"/api/v1/nodes/{nodes.names[1]}", "/api/v1/secrets"):
        with pytest.raises(ApiError, match="forbidden"):
            kubelet.get(path)
