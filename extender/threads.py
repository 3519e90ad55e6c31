"""gunicorn's threaded worker, without the waits in which a few clients that stop in the middle could hold all of it."""

import contextlib
import socket
import struct
from typing import Any, Final

from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker  # type: ignore[attr-defined]

# kube-scheduler writes a whole request at once and has given up long before: see httpTimeout in scheduler-config/.
RECEIVE_SECONDS: Final = 2


class PromptWorker(ThreadWorker):
    """A new connection gets a thread once it has sent something, and keeps it only while more is coming."""

    def handle(self, conn: TConn) -> Any:
        """Runs in one of the threads. Falsy: the connection is closed by the main thread."""
        # The kernel's limit, because gunicorn makes the socket blocking again, which undoes settimeout().
        limit = struct.pack("ll", RECEIVE_SECONDS, 0)
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        if not conn.initialized and not conn.wait_for_data(0):
            return _DEFER  # back to the poller, which waits for any number of them
        kept = super().handle(conn)
        if not kept:
            # Else the main thread would wait, for 2 s each, until the client has closed its side too.
            with contextlib.suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RD)
        return kept
