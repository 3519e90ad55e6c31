"""What every program serves over HTTP: probes, metrics and other pages; and how it hangs up on slow clients.

:class:`Pages` is a WSGI application, :class:`PageServer` serves one where there is no other server.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from lastnode.daemon import health
from lastnode.kube.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
# A probe or a scrape sends a few hundred bytes at once and reads its answer at once.
CLIENT_SECONDS: Final = 10.0
# Each holds a thread; probes, Prometheus and a few people are far fewer at a time.
CLIENTS: Final = 128
# Of a request line and all header fields: the standard library itself would take 100 fields of 64 KB.
_HEAD_BYTES: Final = 16 * 1024
_LOOK_SECONDS: Final = 0.25


class Pages:
    """GET of ``/livez``, ``/healthz`` and ``/readyz`` (with ``?verbose``: check by check) and of ``pages``, by path;
    ``others`` answers every other path."""

    def __init__(
        self,
        live: health.Checks,
        ready: health.Checks,
        pages: Mapping[str, "WSGIApplication"],
        others: "WSGIApplication | None" = None,
    ) -> None:
        self._probes = {"/livez": live, "/healthz": live, "/readyz": ready}
        self._pages = pages
        self._others = others or _not_found

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path not in self._probes and path not in self._pages:
            return self._others(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return answer(start_response, HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"only to be read\n")
        if page := self._pages.get(path):
            return page(environ, start_response)
        report = health.report(path.strip("/"), self._probes[path], asked(environ, "verbose") is not None)
        return answer(start_response, HTTPStatus(report.status), TEXT, report.text.encode())


def _not_found(_environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    return answer(start_response, HTTPStatus.NOT_FOUND, TEXT, b"not found\n")


def asked(environ: "WSGIEnvironment", name: str) -> str | None:
    """The first value of a name in the query; None where it is not there."""
    return next(iter(parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).get(name, ())), None)


def answer(
    start_response: "StartResponse", status: HTTPStatus, kind: str, body: bytes, **headers: str
) -> Iterable[bytes]:
    """A whole WSGI answer. ``headers``: further ones, with _ in the place of -."""
    more = [(name.replace("_", "-"), value) for name, value in headers.items()]
    length = ("Content-Length", str(len(body)))
    start_response(f"{status.value} {status.phrase}", [("Content-Type", kind), length, *more])
    return (body,)


class Deadlines:
    """Hangs up on each client whose request, from its first byte to the answer's last one, takes longer than
    ``seconds``: whatever it does meanwhile, and wherever the thread that serves it waits. Where more than ``most`` are
    on their way, those that are it longest have only ``hurry`` seconds: so who is quick is answered at any time."""

    def __init__(
        self, seconds: float, most: int, hurry: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._hurry = hurry
        self._clock = clock
        # Since when, and of whom: in the order in which they began.
        self._running: dict[Hashable, tuple[float, Callable[[], socket.socket]]] = {}
        self._lock = Lock()
        self._stopping = Event()

    def begin(self, connection: Hashable, socket_of: Callable[[], socket.socket]) -> None:
        """A request begins; one that had begun goes on. ``socket_of``: asked when it is late (TLS wraps sockets)."""
        with self._lock:
            self._running.setdefault(connection, (self._clock(), socket_of))
            crowded = len(self._running) > self._most
        if crowded:
            self.look()

    def end(self, connection: Hashable) -> None:
        with self._lock:
            self._running.pop(connection, None)

    def run(self) -> None:
        """Until :meth:`stop`."""
        while not self._stopping.wait(_LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        self._stopping.set()

    def look(self) -> None:
        """Hang up on those that are late: the thread that reads from one, or writes to it, finds it at its end."""
        now = self._clock()
        with self._lock:
            for connection, (since, socket_of) in list(self._running.items()):
                if now - since < (self._hurry if len(self._running) > self._most else self._seconds):
                    break
                del self._running[connection]
                with contextlib.suppress(OSError):
                    # Not the method of a TLS socket, which would forget its keys while another thread writes.
                    socket.socket.shutdown(socket_of(), socket.SHUT_RDWR)


def served_at(bind: tuple[str, int], dual: Callable[[], bool] = socket.has_dualstack_ipv6) -> tuple[str, int]:
    """Where to listen for ``bind``: ``::`` means all addresses of both families, and on a machine without IPv6 those
    of IPv4."""
    host, port = bind
    return ("0.0.0.0" if host == "::" and not dual() else host), port


def written(bind: tuple[str, int]) -> str:
    """``HOST:PORT``, as flags and URLs have it."""
    host, port = bind
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class PageServer(ThreadingMixIn, WSGIServer):
    """Serves ``app``, a thread for each client. Binding happens here, serving in :meth:`run`."""

    daemon_threads = True
    # Without it a restart within a minute would find its own port taken.
    allow_reuse_address = True
    # Who does not find a place here is only tried again by its system after a second.
    request_queue_size = CLIENTS

    def __init__(self, bind: tuple[str, int], app: "WSGIApplication") -> None:
        bind = served_at(bind)
        self.address_family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        self.deadlines = Deadlines(CLIENT_SECONDS, CLIENTS)
        try:
            super().__init__(bind, _Handler)
        except OSError as error:
            raise ConfigError(f"--bind {written(bind)} cannot be used: {error.strerror or error}") from error
        self.set_app(app)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def run(self) -> None:
        self.serve_forever(poll_interval=0.1)
        self.server_close()

    def stop(self) -> None:
        self.shutdown()

    def service_actions(self) -> None:
        """Called at each turn of the server's loop."""
        self.deadlines.look()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.deadlines.begin(request, lambda: request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.deadlines.end(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that broke off is no event."""


class _Head:
    """The lines of a request, until so many bytes were read."""

    def __init__(self, file: BinaryIO, left: int = _HEAD_BYTES) -> None:
        self._file = file
        self._left = left

    def readline(self, size: int) -> bytes:
        line = self._file.readline(min(size, self._left))
        self._left -= len(line)
        return line

    def close(self) -> None:
        self._file.close()


class _Handler(WSGIRequestHandler):
    def setup(self) -> None:
        super().setup()
        self.rfile = _Head(self.rfile)  # type: ignore[assignment, arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Probes come every few seconds; their lines would bury the others."""
