"""An API server that says "too old" to every watch when told to: python -m benchmarks.relists URL CERTS.

It passes everything on to the real one at URL; a process of its own, so that it takes no time from those who measure.
GET /-/expire ends all watches with the 410 that a real API server sends when its history is too short; GET /-/lists
tells for each full list when its first page was asked for and when the watch after it began (CLOCK_MONOTONIC).
Without TLS on either port its client would save the work that it has elsewhere, so it serves with the API server's
own certificate, from the folder CERTS.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PIECE = 1 << 18
_GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
_TOO_OLD = json.dumps({"type": "ERROR", "object": {**_GONE, "message": "too old resource version"}}).encode() + b"\n"


@dataclass
class _State:
    host: str
    port: int
    trust: ssl.SSLContext
    lock: Lock = field(default_factory=Lock)
    watches: set[socket.socket] = field(default_factory=set)
    begun: dict[str, float] = field(default_factory=dict)
    lists: list[tuple[str, float, float]] = field(default_factory=list)

    def asked(self, path: str, query: dict[str, list[str]]) -> None:
        with self.lock:
            if "watch" in query:
                if path in self.begun:
                    self.lists.append((path, self.begun.pop(path), time.monotonic()))
            elif "limit" in query and "continue" not in query:
                self.begun[path] = time.monotonic()

    def expire(self) -> None:
        with self.lock:
            for watch in self.watches:
                with contextlib.suppress(OSError):
                    watch.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: _State
    _upstream: HTTPConnection | None = None

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        if address.path == "/-/expire":
            self.state.expire()
            self._answer([])
        elif address.path == "/-/lists":
            self._answer(self.state.lists)
        else:
            query = parse_qs(address.query)
            self.state.asked(address.path, query)
            self._pass_on("watch" in query)

    def log_message(self, *_: Any) -> None: ...

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        super().finish()

    def _answer(self, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _pass_on(self, watch: bool) -> None:
        if self._upstream is None:
            self._upstream = HTTPSConnection(self.state.host, self.state.port, context=self.state.trust)
        self._upstream.request("GET", self.path, headers=dict(self.headers.items()))
        answer = self._upstream.getresponse()
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Encoding", "Content-Length", "Transfer-Encoding"):
            if value := answer.headers.get(name):
                self.send_header(name, value)
        self.end_headers()
        if watch and answer.status == 200:
            self._follow(answer)
        else:
            self._copy(answer)

    def _copy(self, answer: HTTPResponse) -> None:
        while piece := answer.read1(_PIECE):
            self._write(piece, answer.chunked)
        if answer.chunked:
            self.wfile.write(b"0\r\n\r\n")
        answer.close()  # read1() has not noticed the end of one with a length

    def _follow(self, answer: HTTPResponse) -> None:
        assert self._upstream is not None
        connection = self._upstream.sock
        with self.state.lock:
            self.state.watches.add(connection)
        with contextlib.suppress(OSError, ValueError, HTTPException):
            while piece := answer.read1(_PIECE):
                self._write(piece, True)
        with self.state.lock:
            self.state.watches.discard(connection)
        self.close_connection = True
        self._write(_TOO_OLD, True)
        self.wfile.write(b"0\r\n\r\n")

    def _write(self, piece: bytes, chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        self.wfile.flush()


def main(url: str, certs: Path, port: int) -> None:
    address = urlsplit(url)
    trust = ssl.create_default_context(cafile=str(certs / "apiserver.crt"))
    state = _State(address.hostname or "", address.port or 443, trust)
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"state": state}))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "apiserver.crt", certs / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
