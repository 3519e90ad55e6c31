"""An extender that is down or hangs costs the preference, never the scheduling of a pod."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from deploy.local.stack import Stack
from tests.extender.cluster import make_nodes, place, pod_spec, remove, session_pod


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("state", ["down", "silent"])
def test_a_session_is_scheduled_without_the_extender(
    stack: Stack, namespace: str, silent_port: int, state: str
) -> None:
    """With the shipped time-out, and several feasible nodes, so that the extender is asked."""
    nodes = make_nodes(stack, [f"{namespace}-a", f"{namespace}-b"], namespace)
    config = stack.scheduler_config("extender.yaml")
    port = silent_port if state == "silent" else stack.cp.free_port()
    config["extenders"][0]["urlPrefix"] = f"http://127.0.0.1:{port}"
    config["profiles"] = [{"schedulerName": namespace}]
    scheduler = stack.cp.start_scheduler(f"{state}-extender", config, verbosity=5)
    try:
        pod = session_pod(namespace, spec=pod_spec(namespace, schedulerName=namespace))
        assert place(stack, pod) in nodes
        assert "Failed to run extender's priority function" in scheduler.log.read_text()
        remove(stack, pod)
    finally:
        scheduler.stop()
        for node in nodes:
            stack.api.delete(f"/api/v1/nodes/{node}")
