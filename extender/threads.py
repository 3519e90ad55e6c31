"""gunicorn's threaded worker, without the waits in which a few clients that stop in the middle could hold all of it."""

import contextlib
import errno
import select
import socket
import struct
import threading
from typing import Any, Final

from gunicorn.http import wsgi
from gunicorn.http.message import Request
from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker  # type: ignore[attr-defined]

# kube-scheduler writes a whole request at once and has given up long before: see httpTimeout in scheduler-config/.
RECEIVE_SECONDS: Final = 2
# What accept() says when the process, or the machine, cannot open one more file; gunicorn's worker would end at that.
_NO_MORE_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# How many idle connections are given up at once then: some room must be left for the watches, which reconnect too.
_GIVEN_UP_AT_ONCE: Final = 16
_BREATH_SECONDS: Final = 0.1
# How long a thread stays with a connection that it has answered: kube-scheduler with pods in its queue asks again after
# 4 to 30 ms, and finding a thread anew (two more switches between threads) is a third of the time of an answer.
_STAY_SECONDS: Final = 0.05
# How many threads may do so at a time; the others are there for new connections.
_STAYING: Final = 4


class PromptWorker(ThreadWorker):
    """A new connection gets a thread once it has sent something, and keeps it only while more is coming."""

    _crowded = False  # there was no file left for a connection that waits to be accepted

    def init_process(self) -> None:
        """Runs in the worker, after the fork; returns when it ends."""
        self._staying = threading.Semaphore(_STAYING)
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Runs in the main thread."""
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _NO_MORE_FILES:
                raise
            self._crowded = True

    def murder_pending(self) -> None:
        """Runs in the main thread, at least once a second."""
        super().murder_pending()
        if self._crowded or self.nr_conns >= self.worker_connections:
            self._crowded = False
            self._make_room()

    def _make_room(self) -> None:
        """Close idle connections: first those that never sent anything, then those unused longest.

        Else a crowd that only connects could keep kube-scheduler out until the keep-alive time is over. Not called
        while events are handled: one of them may belong to a connection that would be closed here.
        """
        if not self.pending_conns and not self.keepalived_conns:
            self.set_accept_enabled(False)  # until something has ended; the main loop enables it again
            self.wait_for_and_dispatch_events(_BREATH_SECONDS)
        for _ in range(_GIVEN_UP_AT_ONCE):
            idle = self.pending_conns or self.keepalived_conns
            if not idle:
                return
            conn = idle.popleft()
            self.poller.unregister(conn.sock)
            self.nr_conns -= 1
            conn.close()

    def handle(self, conn: TConn) -> Any:
        """Runs in one of the threads. Falsy: the connection is closed by the main thread."""
        if not conn.initialized:
            # The kernel's limit, because gunicorn makes the socket blocking again, which undoes settimeout().
            limit = struct.pack("ll", RECEIVE_SECONDS, 0)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            if not conn.data_ready and not _has_sent(conn.sock):
                return _DEFER  # back to the poller, which waits for any number of them
        conn.data_ready = True
        kept = super().handle(conn)
        while kept is True and self._asks_again(conn):
            kept = super().handle(conn)
        if not kept:
            # Else the main thread would wait, for 2 s each, until the client has closed its side too.
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)
        return kept

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Runs in one of the threads, instead of gunicorn's own, for an app whose answers are short and in one piece:
        whether the connection is kept. There are no hooks and no access log to call."""
        resp, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, _OneSend)
        environ["wsgi.multithread"] = True
        if not self.alive or len(self.keepalived_conns) >= self.max_keepalived:
            resp.force_close()
        pieces = self.wsgi(environ, resp.start_response)  # type: ignore[arg-type]  # the stubs know no exc_info
        try:
            for piece in pieces:
                resp.write(piece)
            resp.close()
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        return not resp.should_close()

    def _asks_again(self, conn: TConn) -> bool:
        # What was read ahead the main thread hands out again by itself; here nobody would see it.
        already = conn.parser.unreader.buf.getvalue()  # type: ignore[union-attr]
        if already or not self.alive or not self._staying.acquire(blocking=False):
            return False
        try:
            return _has_sent(conn.sock, _STAY_SECONDS)
        finally:
            self._staying.release()


class _OneSend(wsgi.Response):
    """Head and body leave together: two sends are two packets, and wake the client up twice."""

    _head = b""  # until it is sent

    def send_headers(self) -> None:
        if self.headers_sent:
            return
        if self.chunked:
            super().send_headers()
            return
        lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
        self._head = "".join(lines).encode("latin-1")
        self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            super()._emit_body(data)  # type: ignore[misc]  # missing in the stubs
            return
        head, self._head = self._head, b""
        self.sock.sendall(head + data)

    def close(self) -> None:
        super().close()
        if self._head:
            self._emit_body(b"")


def _has_sent(sock: socket.socket, seconds: float = 0) -> bool:
    """Whether there is something to read, or an end, or will be within that time. Unlike gunicorn's own look it opens
    no file to find out."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
