"""A recorder's journal on the wire: real records, encoded as the recorder does, on a port of this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from lastnode.outcome import Journal, Outcome, SessionRecord
from lastnode.reasons import Reason
from testbed.api import Api

Object = dict[str, Any]


def record(pod: str, *, ready: datetime, took: float = 2.0, **what: Any) -> SessionRecord:
    """A session that was Ready then, ``took`` seconds after its pod was made; half of them until it was scheduled."""
    created = ready - timedelta(seconds=took)
    fields: Object = {
        "namespace": "default", "pod": pod, "pod_uid": f"uid-of-{pod}", "workload": "agent", "kind": "AgentRuntime",
        "node": "here", "outcome": Outcome.FIRST, "created_at": created, "ready_at": ready,
        "scheduled_at": created + timedelta(seconds=took / 2),
    }  # fmt: skip
    return SessionRecord(**fields | what)


def moved(pod: str, reason: Reason, *, ready: datetime, took: float = 10.0, **what: Any) -> SessionRecord:
    fields: Object = {"outcome": Outcome.MOVED, "last_node": "there", "reason": reason, "asked": "extender"}
    return record(pod, ready=ready, took=took, **fields | what)


def reused(pod: str, *, ready: datetime, took: float = 2.0, **what: Any) -> SessionRecord:
    fields: Object = {"outcome": Outcome.REUSED, "last_node": "here", "asked": "term"}
    return record(pod, ready=ready, took=took, **fields | what)


def older(pod: str, *, ready: datetime, took: float = 2.0, **what: Any) -> SessionRecord:
    return reused(pod, ready=ready, took=took, **{"outcome": Outcome.OLDER, "last_node": "there"} | what)


def journal(*records: SessionRecord, since: datetime, replica: str = "r-1", dropped: int = 0) -> Journal:
    return Journal(replica=replica, leading=True, since=since, dropped=dropped, sessions=list(records))


@contextmanager
def served(what: Journal | None, host: str = "127.0.0.1") -> Iterator[int]:
    """The port on which GET /sessions answers with it; None: 404, as a recorder that does not know it."""
    server = ThreadingHTTPServer((host, 0), _handler(what))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def outward_address() -> str:
    """An address of this machine that is not its loopback: the API server refuses to proxy to that.

    No packet is sent. Raises OSError where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])


def _of(what: Journal, uids: Sequence[str]) -> Journal:
    kept = [each for each in what.sessions if not uids or each.pod_uid in uids]
    return msgspec.structs.replace(what, sessions=kept)


def _handler(what: Journal | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            found = what is not None and url.path == "/sessions"
            body = msgspec.json.encode(_of(what, parse_qs(url.query).get("pod_uid", []))) if found and what else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not of interest."""

    return Handler


def recorder_pod(api: Api, namespace: str, name: str, port: int, **spec: Any) -> None:
    """A pod labelled as the chart labels the recorder's, whose address is this machine's."""
    container = {"name": "recorder", "image": "none", "ports": [{"name": "http", "containerPort": port}]}
    labels = {"app.kubernetes.io/part-of": "lastnode", "app.kubernetes.io/component": "recorder"}
    spec = {"nodeName": "none", "containers": [container], **spec}
    pods = f"/api/v1/namespaces/{namespace}/pods"
    api.post(pods, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    address = outward_address()
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    api.patch(f"{pods}/{name}/status", {"status": status})
