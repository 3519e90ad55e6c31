"""A TCP proxy on loopback that breaks connections on demand; TLS passes through it as bytes."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

import yaml

_CHUNK = 64 * 1024
_POLL = 0.05


class TcpProxy:
    """A context manager. Set the attributes at any time, from any thread; they concern what happens from then on.

    stalled:  nothing is passed on, in either direction, and nothing is closed: the silence of a dead peer
    mute:     of a new connection only the server's first flight comes through: its TLS handshake succeeds, and then
              no request is ever answered
    refusing: new connections are closed at once
    delay:    seconds before a new connection is passed on, or closed when it is refused
    connections, unanswered: how many were opened so far, and how many answers `mute` has swallowed
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_POLL)
        self._closing = Event()
        self._lock = Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[Thread] = []
        self.stalled = False
        self.mute = False
        self.refusing = False
        self.delay = 0.0
        self.connections = 0
        self.unanswered = 0
        self.opened_at: list[float] = []  # monotonic seconds

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.set()
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Close every connection that is open now."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def kubeconfig(self, of: Path, to: Path) -> Path:
        """A copy of a kubeconfig that leads through this proxy."""
        document = yaml.safe_load(of.read_text(encoding="utf-8"))
        for cluster in document["clusters"]:
            cluster["cluster"]["server"] = f"https://127.0.0.1:{self.port}"
        to.write_text(yaml.safe_dump(document), encoding="utf-8")
        return to

    def _run(self, function: object, *args: object) -> None:
        thread = Thread(target=function, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.connections += 1
            self.opened_at.append(time.monotonic())
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        self._closing.wait(self.delay)
        with client, contextlib.suppress(OSError):
            if self.refusing or self._closing.is_set():
                return
            with socket.create_connection(self._target) as server:
                with self._lock:
                    self._sockets |= {client, server}
                back = Thread(target=self._pump, args=(server, client, self.mute), daemon=True)
                back.start()
                self._pump(client, server)
                back.join()
                with self._lock:
                    self._sockets -= {client, server}

    def _pump(self, source: socket.socket, target: socket.socket, mute: bool = False) -> None:
        first = True
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if mute and not first:
                    with self._lock:
                        self.unanswered += 1
                    continue
                first = False
                while self.stalled and not self._closing.is_set():
                    self._closing.wait(_POLL)
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
