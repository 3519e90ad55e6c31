"""A forward proxy that notes every byte which clients send it, and tunnels to one place whatever they ask for."""

from __future__ import annotations

import contextlib
import select
import socket
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

_CHUNK = 64 * 1024


class ForwardProxy:
    """A context manager. ``target``: where every CONNECT leads; a request in the open is answered with 502.

    heard: what each client has sent, one entry a connection
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.heard: list[bytearray] = []
        self._server = _Server(("127.0.0.1", 0), _Client)
        self._server.proxy = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    proxy: ForwardProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that broke off is no event."""


class _Client(StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        heard = bytearray()
        self.server.proxy.heard.append(heard)
        for line in self.rfile:
            heard += line
            if not line.strip():
                break
        if not heard.startswith(b"CONNECT "):
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self.server.proxy.target)) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with contextlib.suppress(OSError):
                self._tunnel(there, heard)

    def _tunnel(self, there: socket.socket, heard: bytearray) -> None:
        other = {self.connection: there, there: self.connection}
        while True:
            for readable in select.select([*other], [], [])[0]:
                if not (data := readable.recv(_CHUNK)):
                    return
                heard += data if readable is self.connection else b""
                other[readable].sendall(data)
