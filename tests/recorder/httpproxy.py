"""An HTTP proxy in front of the API server that answers in its place where a test says so, and counts what is asked.

It speaks plain HTTP to the recorder, so that it sees requests and not bytes, and TLS to the API server.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import yaml

from testbed.controlplane import ControlPlane

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}
_CHUNK = 64 * 1024


class Asked(NamedTuple):
    """A request; ``at``: monotonic seconds."""

    method: str
    path: str  # with its query
    at: float

    @property
    def is_watch(self) -> bool:
        return "watch=" in self.path


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


Fault = Callable[[Asked], Answer | None]


def refusal(code: int, reason: str = "", retry_after: int | None = None) -> Answer:
    """A Status as the API server writes it."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
    later = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Answer(code, json.dumps(body | {"message": f"{code} by the test"}).encode(), later)


def error_event(code: int, reason: str) -> Answer:
    """A watch that says one thing: that it is over, and why."""
    return Answer(200, b'{"type":"ERROR","object":%s}\n' % refusal(code, reason).body, {})


class HttpProxy:
    """A context manager. ``fault`` may be set at any time; None passes everything on.

    asked: every request so far; at_once, most_at_once: how many writes are (were) on their way together
    """

    def __init__(self, cp: ControlPlane) -> None:
        self._cp = cp
        self._server: _Server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self.fault: Fault | None = None
        self.asked: list[Asked] = []
        self.at_once = self.most_at_once = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self.cut()
        self._server.server_close()

    def cut(self) -> None:
        """Close every connection that is open now."""
        with self._lock:
            open_now = list(self._open)
        for each in open_now:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, to: Path) -> Path:
        """The administrator's kubeconfig, but through this proxy."""
        document = yaml.safe_load(self._cp.kubeconfig.read_text(encoding="utf-8"))
        port = self._server.server_address[1]
        for cluster in document["clusters"]:
            cluster["cluster"] = {"server": f"http://127.0.0.1:{port}"}
        to.write_text(yaml.safe_dump(document), encoding="utf-8")
        return to

    def writes(self, part: str) -> list[Asked]:
        """The PATCHes so far of objects whose path contains ``part``."""
        return [asked for asked in list(self.asked) if asked.method == "PATCH" and part in asked.path]

    def upstream(self) -> HTTPSConnection:
        trust = ssl.create_default_context(cafile=str(self._cp.ca_file))
        return HTTPSConnection("127.0.0.1", urlsplit(self._cp.url).port, context=trust, timeout=600)

    def begin(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)
            if asked.method == "PATCH":
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)

    def end(self, asked: Asked) -> None:
        with self._lock:
            self.at_once -= asked.method == "PATCH"

    def opened(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._open |= set(sockets)

    def closed(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._open -= set(sockets)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    proxy: HttpProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was cut is what tests do here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.proxy.opened(self.connection)

    def finish(self) -> None:
        self.server.proxy.closed(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the recorder's log says more."""

    def _serve(self) -> None:
        asked = Asked(self.command, self.path, time.monotonic())
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server.proxy
        proxy.begin(asked)
        try:
            answer = proxy.fault(asked) if proxy.fault else None
            if answer is None:
                self._pass_on(asked, body)
            else:
                self._say(answer)
        except (OSError, HTTPException):
            self.close_connection = True
        finally:
            proxy.end(asked)

    do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = _serve

    def _say(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _pass_on(self, asked: Asked, body: bytes) -> None:
        with contextlib.closing(self.server.proxy.upstream()) as upstream:
            upstream.connect()
            self.server.proxy.opened(upstream.sock)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
                upstream.request(asked.method, asked.path, body or None, headers)
                response = upstream.getresponse()
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                while chunk := response.read1(_CHUNK):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")
            finally:
                self.server.proxy.closed(upstream.sock)
