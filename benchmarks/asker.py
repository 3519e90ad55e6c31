"""One kept-alive connection on which POSTs are timed: bytes made beforehand, so that the server is measured."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self

_HEAD = (
    "POST /prioritize HTTP/1.1\r\nHost: 127.0.0.1:8888\r\nUser-Agent: Go-http-client/1.1\r\n"
    "Content-Length: {length}\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n"
)
_LENGTH = b"content-length:"


def post(body: bytes) -> bytes:
    """The whole request, with the head that kube-scheduler sends (tests/extender/golden)."""
    return _HEAD.format(length=len(body)).encode() + body


class Asker:
    """A context manager."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._socket.close()

    def ask(self, request: bytes) -> tuple[float, bytes]:
        """Seconds from the first byte sent to the last one received, and the answer's body."""
        started = time.perf_counter()
        self._socket.sendall(request)
        head, body, length = b"", b"", None
        while length is None or len(body) < length:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionError(f"closed after {head + body!r}")
            if length is not None:
                body += received
                continue
            head += received
            if b"\r\n\r\n" in head:
                head, _, body = head.partition(b"\r\n\r\n")
                length = int(head.lower().partition(_LENGTH)[2].split(b"\r\n", 1)[0])
        seconds = time.perf_counter() - started
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"refused: {head!r}")
        return seconds, body
