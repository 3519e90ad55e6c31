"""What the tests here put on the cluster and send over the wire."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from lastnode.contract import (
    LAST_NODE_ANNOTATION,
    RECENT_NODES_ANNOTATION,
    SESSION_LABEL,
    WORKLOAD_KIND_LABEL,
    WORKLOAD_NAME_LABEL,
)
from testbed.agent.nodes import NodeShape, node_object
from testbed.component import Component
from testbed.errors import ApiError
from testbed.stack import Stack
from testbed.workloads import SANDBOX_VERSION, Object, agent_runtime
from tests.waiting import eventually

POOL_LABEL = "example.com/pool"


def start_scheduler(stack: Stack, verbosity: int = 2) -> Component:
    """kube-scheduler with our extender, which it waits for: on a busy machine no time-out shall decide a test."""
    config = stack.scheduler_config("extender.yaml")
    config["extenders"][0]["httpTimeout"] = "20s"
    return stack.cp.start_scheduler("kube-scheduler", config, verbosity)


# Nodes


def make_nodes(stack: Stack, names: Iterable[str], pool: str = "", hostname: str | None = None) -> dict[str, Object]:
    """Ready nodes without anybody behind them, name -> object: enough for all that only schedules."""

    def make(numbered: tuple[int, str]) -> Object:
        index, name = numbered
        node = node_object(name, NodeShape(), datetime.now(UTC), index)
        node["metadata"]["labels"] |= {POOL_LABEL: pool} if pool else {}
        node["metadata"]["labels"]["kubernetes.io/hostname"] = hostname or name
        made: Object = stack.api.post("/api/v1/nodes", node)
        return made

    with ThreadPoolExecutor(8) as threads:
        return {node["metadata"]["name"]: node for node in threads.map(make, enumerate(names))}


def set_ready(stack: Stack, node: str, ready: bool) -> None:
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    stack.api.patch(f"/api/v1/nodes/{node}/status", {"status": status}, "application/strategic-merge-patch+json")


def relabel(stack: Stack, node: str, hostname: str | None) -> None:
    """Give the node another kubernetes.io/hostname label, or none."""
    stack.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {"kubernetes.io/hostname": hostname}}})


# Workloads and what they remember


def entry(node: Mapping[str, Any], age: timedelta = timedelta(minutes=1)) -> Object:
    """One entry of recent-nodes for a node object."""
    metadata = node["metadata"]
    return {
        "node": metadata["name"],
        "hostname": metadata["labels"]["kubernetes.io/hostname"],
        "nodeUID": metadata["uid"],
        "readyAt": (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "podUID": "8d0f2f6e-0000-4000-8000-000000000000",
    }


def remembering(workload: Object, *entries: Mapping[str, Any]) -> Object:
    """The workload with the annotations that the recorder would have left; entries newest first."""
    memory = {LAST_NODE_ANNOTATION: entries[0]["node"], RECENT_NODES_ANNOTATION: json.dumps(entries)}
    workload["metadata"].setdefault("annotations", {}).update(memory)
    return workload


def sticky_runtime(name: str, namespace: str, *entries: Mapping[str, Any]) -> Object:
    """An AgentRuntime that opted in, with that memory."""
    workload = agent_runtime(name, namespace=namespace, sticky=True)
    return remembering(workload, *entries) if entries else workload


def create(stack: Stack, obj: Mapping[str, Any]) -> Object:
    """Create a workload, a Sandbox or a pod."""
    made: Object = stack.api.post(collection(obj), obj)
    return made


def collection(obj: Mapping[str, Any]) -> str:
    version, kind = obj["apiVersion"], obj["kind"]
    plural = "sandboxes" if kind == "Sandbox" else f"{kind.lower()}s"
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{obj['metadata']['namespace']}/{plural}"


def path_of(obj: Mapping[str, Any]) -> str:
    return f"{collection(obj)}/{obj['metadata']['name']}"


def sandbox(name: str, namespace: str, labels: Mapping[str, str], version: str = SANDBOX_VERSION) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    template = {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}
    return {"apiVersion": version, "kind": "Sandbox", "metadata": metadata, "spec": {"podTemplate": template}}


# Pods


def session_pod(
    namespace: str,
    name: str = "session",
    *,
    workload: str | None = None,
    kind: str | None = None,
    owner: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
) -> Object:
    """A session's pod that says itself whose it is (``workload``), or leaves that to its Sandbox (``owner``)."""
    said = {WORKLOAD_NAME_LABEL: workload, WORKLOAD_KIND_LABEL: kind}
    labels = {SESSION_LABEL: name} | {key: value for key, value in said.items() if value}
    metadata: Object = {"name": name, "namespace": namespace, "labels": labels}
    if owner:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
            }
        ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": dict(spec or pod_spec())}


def pod_spec(pool: str = "", **more: Any) -> Object:
    container = {"name": "agent", "image": "agent:1", "resources": {"requests": {"cpu": "400m", "memory": "512Mi"}}}
    return {"containers": [container], **({"nodeSelector": {POOL_LABEL: pool}} if pool else {}), **more}


def scheduled(stack: Stack, pod: Mapping[str, Any], seconds: float = 30.0) -> str:
    """The node that an existing pod is bound to, once it is."""
    found: str = eventually(
        lambda: stack.api.get(path_of(pod))["spec"].get("nodeName"), f"{path_of(pod)} to be bound", seconds
    )
    return found


def place(stack: Stack, pod: Mapping[str, Any]) -> str:
    """Create the pod; returns the node that it is bound to."""
    create(stack, pod)
    return scheduled(stack, pod)


def remove(stack: Stack, pod: Mapping[str, Any]) -> None:
    """Delete a pod at once: no kubelet confirms its end here."""
    stack.api.delete(f"{path_of(pod)}?gracePeriodSeconds=0")
    eventually(lambda: _is_gone(stack, path_of(pod)), f"{path_of(pod)} to be gone")


def _is_gone(stack: Stack, path: str) -> bool:
    try:
        stack.api.get(path)
    except ApiError as error:
        return error.status == 404
    return False


# The wire


class Answer(NamedTuple):
    """``result``: the only one of lastnode_prioritize_total{result=…} that went up by one, else all that moved."""

    status: int
    body: bytes
    result: str

    @property
    def hosts(self) -> Any:
        return json.loads(self.body)


class Wire:
    """POSTs to a running extender, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)

    def request(self, method: str, path: str, body: bytes | None = None, seconds: float = 30.0) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def results(self) -> dict[str, float]:
        """lastnode_prioritize_total by result."""
        lines = self.request("GET", "/metrics")[1].decode().splitlines()
        start = 'lastnode_prioritize_total{result="'
        pairs = (line.removeprefix(start).split('"} ') for line in lines if line.startswith(start))
        return {result: float(value) for result, value in pairs}

    def post(self, body: bytes) -> Answer:
        """POST /prioritize, and what it was counted as. Only for tests that ask alone."""
        before = self.results()
        status, answer = self.request("POST", "/prioritize", body)
        after = self.results()
        moved = [name if after[name] - before[name] == 1 else f"{name}+{after[name] - before[name]}"
                 for name in after if after[name] != before[name]]  # fmt: skip
        return Answer(status, answer, " ".join(moved))

    def ask(self, pod: Mapping[str, Any], nodes: Sequence[str]) -> Answer:
        return self.post(extender_args(pod, nodes))

    def expect(self, result: str, pod: Mapping[str, Any], nodes: Sequence[str], seconds: float = 15.0) -> Answer:
        """Ask until it is answered with ``result``: what was just written is seen by the watch a moment later."""
        last: list[Answer] = []

        def reached() -> Answer | None:
            last[:] = [self.ask(pod, nodes)]
            return last[0] if last[0].result == result else None

        try:
            return eventually(reached, result, seconds)
        except AssertionError as error:
            raise AssertionError(f"expected {result!r}, got {last}") from error

    def expect_node(self, node: str, pod: Mapping[str, Any], nodes: Sequence[str], seconds: float = 15) -> None:
        """Ask until ``node`` is the one preferred most."""
        eventually(lambda: self.ask(pod, nodes).hosts[:1] == favoured(node), f"{node} to be preferred", seconds)


def extender_args(pod: Mapping[str, Any], nodes: Sequence[str]) -> bytes:
    """What kube-scheduler sends with nodeCacheCapable."""
    return json.dumps({"Pod": pod, "Nodes": None, "NodeNames": list(nodes)}).encode()


def favoured(node: str, *older: str) -> list[Object]:
    """The answer that prefers ``node``, and some older ones less."""
    return [{"Host": node, "Score": 10}, *({"Host": name, "Score": 1} for name in older)]
