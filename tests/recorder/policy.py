"""A policy of the cluster's owner: a validating webhook on changes of workloads, which answers as a test says."""

from __future__ import annotations

import itertools
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from testbed import webhook
from testbed.errors import ApiError
from testbed.stack import Stack
from tests.recorder.space import Space

_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
_numbers = itertools.count(1)

ALLOWED: dict[str, Any] = {"allowed": True}


def denial(code: int, retry_after: int | None = None) -> dict[str, Any]:
    details = {} if retry_after is None else {"details": {"retryAfterSeconds": retry_after}}
    return {"allowed": False, "status": {"code": code, "message": "denied by the test", **details}}


class Policy:
    """A context manager: the API server asks it before any workload of these namespaces is changed (failurePolicy
    Fail). ``decide``: from the workload's name to an answer; ``seconds``: before each answer; ``asked``: the names so
    far. With ``listens`` False nobody is there to ask."""

    def __init__(self, plane: Stack, directory: Path, *spaces: Space, listens: bool = True) -> None:
        self._plane, self._spaces = plane, spaces
        self._name = f"policy-{next(_numbers)}"
        self._files = webhook.write_certificate(directory / self._name)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.policy = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files.cert, self._files.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._listens, self._registered = listens, False
        self.decide: Callable[[str], dict[str, Any]] = lambda name: ALLOWED
        self.seconds = 0.0
        self.asked: list[str] = []

    def __enter__(self) -> Self:
        if self._listens:
            self._thread.start()
        else:
            self._server.server_close()
        self._plane.api.post(_CONFIGURATIONS, self._configuration())
        self._registered = True
        for space in self._spaces:
            space.workload("probe", enabled=False)
            self._plane.wait(lambda s=space: self._is_asked(s), "the API server to ask the policy")  # type: ignore[misc]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.withdraw()
        if self._listens:
            self._server.shutdown()
            self._thread.join(10)
            self._server.server_close()

    def withdraw(self) -> None:
        """The API server asks it no longer, some milliseconds after this."""
        if self._registered:
            self._plane.api.delete(f"{_CONFIGURATIONS}/{self._name}")
            self._registered = False

    def _is_asked(self, space: Space) -> bool:
        before = len(self.asked)
        try:
            space.change({"metadata": {"annotations": {"seen": str(time.monotonic())}}}, "probe")
        except ApiError as error:
            return error.status == 500
        return len(self.asked) > before

    def _configuration(self) -> dict[str, Any]:
        rule = {"apiGroups": ["runtime.agentcube.volcano.sh"], "apiVersions": ["*"], "operations": ["UPDATE"],
                "resources": ["agentruntimes", "codeinterpreters"]}  # fmt: skip
        names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": [each.name for each in self._spaces]}
        url = f"https://127.0.0.1:{self._server.server_address[1]}/validate"
        hook = {
            "name": f"{self._name}.example.com",
            "clientConfig": {"url": url, "caBundle": b64encode(self._files.ca.read_bytes()).decode()},
            "rules": [rule],
            "namespaceSelector": {"matchExpressions": [names]},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 10,
            "admissionReviewVersions": ["v1"],
        }
        return {"metadata": {"name": self._name}, "webhooks": [hook]}


class _Server(ThreadingHTTPServer):
    policy: Policy
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The API server hangs up when it has waited long enough."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = review["request"]["name"]
        policy = self.server.policy
        policy.asked.append(name)
        if name != "probe":
            time.sleep(policy.seconds)
        answer = {"uid": review["request"]["uid"], **(ALLOWED if name == "probe" else policy.decide(name))}
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
