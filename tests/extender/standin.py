"""A server that stands where kube-scheduler looks for the extender: it records, passes on, or misbehaves.

It speaks HTTP with its own hands, because most of what it has to say no well-made server would.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Sequence
from threading import Event, Lock, Semaphore, Thread
from types import TracebackType
from typing import NamedTuple, Self

_POLL = 0.05


class Recorded(NamedTuple):
    """One request exactly as it came: ``head`` up to the empty line, which is left out."""

    head: bytes
    body: bytes


class Exchange(NamedTuple):
    """A request that waits for what a behaviour has to say. ``closing``: set when the stand-in ends."""

    request: Recorded
    connection: socket.socket
    closing: Event


# Whether the connection is kept for the next request.
Behaviour = Callable[[Exchange], bool]


class StandIn:
    """A context manager. ``behaviour`` may be set at any time and concerns the requests that come from then on."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[Recorded] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(_POLL)
        self._closing = Event()
        self._lock = Lock()
        self._connections: set[socket.socket] = set()
        self._threads: list[Thread] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.set()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _run(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
        with connection, contextlib.suppress(OSError):
            while not self._closing.is_set() and (request := receive(connection)):
                self.requests.append(request)
                if not self.behaviour(Exchange(request, connection, self._closing)):
                    break
        with self._lock:
            self._connections.discard(connection)


def receive(connection: socket.socket) -> Recorded | None:
    """The next request on the connection; None once the client has closed it."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    while len(body) < content_length(head):
        if not (chunk := connection.recv(65536)):
            return None
        body += chunk
    return Recorded(head, body)


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


# Behaviours


def says(body: bytes, status: str = "200 OK", headers: Sequence[str] = (), length: int | None = None) -> Behaviour:
    """A whole answer; ``length`` is what it claims to be long."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def behave(exchange: Exchange) -> bool:
        exchange.connection.sendall(whole)
        return length is None

    return behave


def raw(data: bytes) -> Behaviour:
    """These bytes and the end of the connection."""

    def behave(exchange: Exchange) -> bool:
        exchange.connection.sendall(data)
        return False

    return behave


def endless(start: bytes, again: bytes) -> Behaviour:
    """``start``, and then ``again`` until the client has had enough."""

    def behave(exchange: Exchange) -> bool:
        exchange.connection.sendall(start)
        while not exchange.closing.is_set():
            exchange.connection.sendall(again)
        return False

    return behave


def stalls(start: bytes = b"") -> Behaviour:
    """``start``, and then nothing until the client has gone."""

    def behave(exchange: Exchange) -> bool:
        exchange.connection.sendall(start)
        while exchange.connection.recv(65536):
            pass
        return False

    return behave


def late(seconds: float, then: Behaviour) -> Behaviour:
    """What ``then`` does, but not before so many seconds."""

    def behave(exchange: Exchange) -> bool:
        return not exchange.closing.wait(seconds) and then(exchange)

    return behave


def passes_on(port: int) -> Behaviour:
    """The answer of the real extender on that port of loopback, on a connection of its own."""

    def behave(exchange: Exchange) -> bool:
        head, body = exchange.request
        with socket.create_connection(("127.0.0.1", port), timeout=30) as extender:
            extender.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            answer = b"".join(iter(lambda: extender.recv(65536), b""))
        exchange.connection.sendall(answer)
        return False

    return behave


class Crowd:
    """A context manager: so many clients that connect and say nothing."""

    def __init__(self, host: str, port: int, clients: int) -> None:
        self._address = (host, port)
        self._clients = clients
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for _ in range(self._clients):
            self._open.enter_context(socket.create_connection(self._address, timeout=30))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._open.close()


class Drip:
    """A context manager: so many clients that each send a byte a second of a request, and come back when they are
    hung up on. ``trust``: through TLS."""

    def __init__(self, host: str, port: int, clients: int, trust: ssl.SSLContext | None = None) -> None:
        self._address = (host, port)
        self._clients = clients
        self._trust = trust
        self._done = Event()
        self._threads = [Thread(target=self._drip, daemon=True) for _ in range(clients)]
        self.sending = Semaphore(0)  # released by each client once it has sent a first byte

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        for _ in range(self._clients):
            assert self.sending.acquire(timeout=60)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)

    def _drip(self) -> None:
        while not self._done.wait(_POLL):
            with contextlib.suppress(OSError), self._connect() as connection:
                for number, byte in enumerate(b"POST /prioritize HTTP/1.1\r\nX-Slow: " + b"x" * 1000):
                    connection.sendall(bytes([byte]))
                    if number == 0:
                        self.sending.release()
                    if self._done.wait(1):
                        return

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(self._address, timeout=30)
        return self._trust.wrap_socket(plain, server_hostname=self._address[0]) if self._trust else plain
