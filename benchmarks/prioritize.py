"""POST /prioritize over one kept-alive connection to the real program, as kube-scheduler calls it."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from benchmarks.injector import pod_spec
from benchmarks.measure import percentiles, table
from deploy.local.stack import Stack
from deploy.local.workloads import agent_runtime
from recorder import contract

REQUESTS = 2000
_WORKLOADS = "/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/default/agentruntimes"


def run() -> str:
    """A table: p50 and p99 in milliseconds by what is asked, /livez of the same program as the peer."""
    with Stack.start() as stack:
        _remember(stack, "node-7")
        stack.start_extender()
        rows = []
        for title, method, path, body in _requests():
            p50, p99 = percentiles(_time(stack.extender_url, method, path, body))
            rows.append((title, f"{p50:.2f}", f"{p99:.2f}"))
    return table(["request", "p50 ms", "p99 ms"], rows)


def _requests() -> list[tuple[str, str, str, bytes]]:
    session, other = _pod(session=True), _pod(session=False)
    return [
        ("GET /livez (the peer: Flask and gunicorn alone)", "GET", "/livez", b""),
        ("session with memory, 500 names", "POST", "/prioritize", _args(session, 500)),
        ("session with memory, 5,000 names", "POST", "/prioritize", _args(session, 5000)),
        ("nobody's session, 500 names", "POST", "/prioritize", _args(other, 500)),
        ("nobody's session, 5,000 names", "POST", "/prioritize", _args(other, 5000)),
    ]


def _time(url: str, method: str, path: str, body: bytes) -> list[float]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    seconds = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse().read()
        seconds.append(time.perf_counter() - started)
    connection.close()
    if b"session-id" in body and b"node-7" not in answer:
        raise RuntimeError(f"the answer was not the preferred node: {answer!r}")
    return seconds[REQUESTS // 10 :]


def _remember(stack: Stack, node: str) -> None:
    stack.api.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    stack.api.patch(f"/api/v1/nodes/{node}/status", ready)
    workload = agent_runtime("w", sticky=True)
    workload["metadata"]["annotations"] = {contract.LAST_NODE_ANNOTATION: node}
    stack.api.post(_WORKLOADS, workload)


def _pod(*, session: bool) -> dict[str, Any]:
    labels = {contract.SESSION_LABEL: "s", contract.WORKLOAD_NAME_LABEL: "w"} if session else {"app": "other"}
    return {"metadata": {"name": "p", "namespace": "default", "labels": labels}, "spec": pod_spec(), "status": {}}


def _args(pod: dict[str, Any], names: int) -> bytes:
    offered = [f"node-{n}" for n in range(names)]
    return json.dumps({"Pod": pod, "Nodes": None, "NodeNames": offered}, separators=(",", ":")).encode()
