"""gunicorn, set up as kube-scheduler needs it. The only module that imports gunicorn.

One worker, so that there is one view and one registry; threads, because a worker without keeps no connection alive and
is blocked by a single client that sends nothing; and no preloading, because threads do not survive the fork.

Slow clients and many of them: one that sends nothing costs nothing (the kernel keeps it), one whose request is not
over in time is hung up on, and there are far more threads than clients of a healthy cluster.
"""

import contextlib
import os
import resource
import select
import signal
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.workers.gthread import ThreadWorker

from extender.tls import Files
from lastnode.daemon.http import Deadlines
from lastnode.daemon.threads import Flag

# Connections at a time; kube-scheduler keeps one or two, an API server about as many as pods are created at once.
CONNECTIONS: Final = 512
# Started when they are needed: mutate requests may wait for their Sandbox (mutate.py), slow clients hold one each.
THREADS: Final = 128
# Of the threads, so many are kept free for who comes next: while more are taken, those that are so longest have only
# HURRY_SECONDS. By then kube-scheduler has given up, and kube-apiserver with the webhook's usual time-out.
SPARE_SHARE: Final = 1 / 8
HURRY_SECONDS: Final = 1.0
# Files that are open beside connections: watches, listener, log, what is imported late.
_OTHER_FILES: Final = 32
# Of a whole request, from the handshake to the answer. kube-scheduler writes it at once and has given up long before:
# see httpTimeout in scheduler-config/; an API server waits 2 s for its webhook.
REQUEST_SECONDS: Final = 5.0
# Go's transport drops an idle connection after 90 s. The server has to be the later one: a POST that meets a
# connection closed by the server is not sent again, and one preference is lost.
KEEP_ALIVE_SECONDS: Final = 120
# A client that connects and says nothing is not even accepted for about so long (Linux).
SILENT_SECONDS: Final = 60
GRACEFUL_SECONDS: Final = 8
# Of a request: kube-scheduler and kube-apiserver send a line of under 100 bytes and about six header fields.
REQUEST_LINE_BYTES: Final = 1024
HEADER_FIELDS: Final = 64
HEADER_FIELD_BYTES: Final = 4096
# The worker's heartbeat file: in memory where there is such a place, so that a slow disk does not look like a dead
# worker, and a read-only root is no obstacle.
MEMORY_DIR: Final = Path("/dev/shm")
# How long a thread stays with a connection that it has answered: kube-scheduler with pods in its queue asks again after
# 4 to 30 ms, and finding a thread anew is a third of the time of an answer (p50 at 5,000 names 0.36 ms with, 0.49
# without). Of pods a second nothing is to be seen: 1.02 times as many without (median of 20 rounds at 1,000 nodes on a
# quiet machine, from 0.66 to 1.26; benchmarks/scheduling/serving.py). It needs no private name of gunicorn.
STAY_SECONDS: Final = 0.05
# How many threads may do so at a time; the others are there for new connections.
STAYING: Final = 4


class Program(Protocol):
    """What runs in the worker. ``context``: for the next connection, where TLS is served."""

    app: Any

    def context(self) -> ssl.SSLContext: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


class Server(BaseApplication):
    """``make`` is called in the worker, after the fork. ``files``: serve TLS, with the program's context. ``asked``:
    whether to stop again, by a signal that came before gunicorn heeded them."""

    def __init__(self, bind: str, make: Callable[[], Program], files: Files | None, asked: Flag) -> None:
        self._bind = bind
        self._asked = asked
        self._make = make
        self._files = files
        self._program: Program | None = None
        super().__init__()

    def load_config(self) -> None:
        options = self._options()
        if self._files is not None:
            # That it serves TLS at all gunicorn sees from the files; what it serves comes from the context alone.
            options |= {"certfile": str(self._files.cert), "keyfile": str(self._files.key)}
            options["ssl_context"] = lambda _config, _default: self._program and self._program.context()
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        self._program = self._make()
        self._program.start()
        return self._program.app

    def _options(self) -> dict[str, Any]:
        connections = _connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        return {
            "bind": [self._bind],
            "workers": 1,
            "worker_class": Worker,
            "threads": min(THREADS, connections // 2),
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "worker_connections": connections,
            "limit_request_line": REQUEST_LINE_BYTES,
            "limit_request_fields": HEADER_FIELDS,
            "limit_request_field_size": HEADER_FIELD_BYTES,
            # Nobody may say on somebody else's behalf where a request is from; and gunicorn looks into the client's
            # address for each request only where somebody may.
            "forwarded_allow_ips": "",
            "preload_app": False,
            "control_socket_disable": True,
            "when_ready": self._stop_if_asked,
            "post_fork": _heed,
            "worker_exit": self._leave,
            "logger_class": _Logger,
            "worker_tmp_dir": str(MEMORY_DIR) if os.access(MEMORY_DIR, os.W_OK) else None,
        }

    def _stop_if_asked(self, _arbiter: Any) -> None:
        if self._asked.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    def _leave(self, _arbiter: Any, _worker: Any) -> None:
        if self._program is not None:
            self._program.stop()


def _heed(_arbiter: Any, worker: Any) -> None:
    # In the worker, until it has its own handlers: with those of the main process, which it inherited, what that one
    # sends, once, would be lost, and waited for during GRACEFUL_SECONDS.
    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda *_: setattr(worker, "alive", False))


class Worker(ThreadWorker):
    """gunicorn's threaded worker with a deadline for each request; and a thread stays with whom it has answered."""

    def init_process(self) -> None:
        """Runs in the worker, after the fork; returns when it ends."""
        self._staying = threading.Semaphore(STAYING)
        self._deadlines = Deadlines(REQUEST_SECONDS, int(self.cfg.threads * (1 - SPARE_SHARE)), HURRY_SECONDS)
        watching = threading.Thread(target=self._deadlines.run, name="deadlines", daemon=True)
        watching.start()
        if hasattr(socket, "TCP_DEFER_ACCEPT"):
            for listener in self.sockets:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, SILENT_SECONDS)
        try:
            super().init_process()
        finally:
            self._deadlines.stop()
            watching.join()

    def handle(self, conn: Any) -> Any:
        """Runs in one of the threads. True: the connection is kept, False: gunicorn closes it, else it waits for the
        first byte of its first request."""
        self._deadlines.begin(conn, lambda: conn.sock)
        kept = super().handle(conn)
        while kept is True and self._asks_again(conn):
            self._deadlines.begin(conn, lambda: conn.sock)
            kept = super().handle(conn)
        if kept is False:
            self._deadlines.end(conn)
            _end(conn)
        return kept

    def _asks_again(self, conn: Any) -> bool:
        self._deadlines.end(conn)
        if not self.alive or not self._staying.acquire(blocking=False):
            return False
        try:
            poll = select.poll()
            poll.register(conn.sock, select.POLLIN)
            return bool(poll.poll(STAY_SECONDS * 1000))
        finally:
            self._staying.release()


def _connections(files: int) -> int:
    """How many there may be in a process that may open so many files, that it never runs out of them."""
    return CONNECTIONS if files == resource.RLIM_INFINITY else max(8, min(CONNECTIONS, files - _OTHER_FILES))


def _end(conn: Any) -> None:
    """Let gunicorn's main thread, which closes the connection, not wait 2 s until the client has closed it too."""
    if conn.sock.fileno() < 0:
        conn.sock = socket.socket()  # closed already: gunicorn would fail at that, and count the end twice
    with contextlib.suppress(OSError):
        socket.socket.shutdown(conn.sock, socket.SHUT_RD)


class _Logger(glogging.Logger):
    """gunicorn's records go where all others go; its own handlers would print them beside, in another form."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
