"""gunicorn's threaded worker, without the waits in which a few clients that stop in the middle could hold all of it."""

import contextlib
import errno
import select
import socket
import struct
from typing import Any, Final

from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker  # type: ignore[attr-defined]

# kube-scheduler writes a whole request at once and has given up long before: see httpTimeout in scheduler-config/.
RECEIVE_SECONDS: Final = 2
# What accept() says when the process, or the machine, cannot open one more file; gunicorn's worker would end at that.
_NO_MORE_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# How many idle connections are given up at once then: some room must be left for the watches, which reconnect too.
_GIVEN_UP_AT_ONCE: Final = 16
_BREATH_SECONDS: Final = 0.1


class PromptWorker(ThreadWorker):
    """A new connection gets a thread once it has sent something, and keeps it only while more is coming."""

    _crowded = False  # there was no file left for a connection that waits to be accepted

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
        # The kernel's limit, because gunicorn makes the socket blocking again, which undoes settimeout().
        limit = struct.pack("ll", RECEIVE_SECONDS, 0)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        if not conn.initialized and not conn.data_ready and not _has_sent(conn.sock):
            return _DEFER  # back to the poller, which waits for any number of them
        conn.data_ready = True
        kept = super().handle(conn)
        if not kept:
            # Else the main thread would wait, for 2 s each, until the client has closed its side too.
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)
        return kept


def _has_sent(sock: socket.socket) -> bool:
    """Whether there is something to read, or an end. Unlike gunicorn's own look it opens no file to find out."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
