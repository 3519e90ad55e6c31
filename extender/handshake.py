"""gunicorn's worker for TLS: a handshake that is not complete yet waits in the poller, not in one of the threads.

gunicorn shakes hands in a thread and waits for the client there: as many clients as there are threads, each of which
sends the first bytes of a handshake and no more, would keep everybody else out.
"""

import contextlib
import logging
import socket
import ssl
from typing import Any

from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.gthread import _DEFER, TConn  # type: ignore[attr-defined]

from extender.threads import PromptWorker
from extender.tls import Context

log = logging.getLogger(__name__)


class HandshakeWorker(PromptWorker):
    """A connection gets a thread for as long as there is something of it to be read."""

    def handle(self, conn: TConn) -> Any:
        """Runs in one of the threads. Falsy: the connection is closed by the main thread."""
        if conn.initialized:
            return super().handle(conn)
        if not conn.wait_for_data(0):
            return _DEFER
        conn.data_ready = False  # what there is belongs to the handshake; the request has to be waited for again
        try:
            if not isinstance(conn.sock, ssl.SSLSocket):
                conn.sock.getpeername()  # fails for a client that has gone, where wrapping would lose the socket
                conn.sock = ssl_wrap_socket(conn.sock, self.cfg)
            conn.sock.setblocking(False)
            conn.sock.do_handshake()  # nothing happens when it is complete
        except ssl.SSLWantReadError:
            return _DEFER
        except OSError as error:  # what TLS refuses is one as well
            return _failed(conn, error)
        return super().handle(conn)


def _failed(conn: TConn, error: OSError) -> bool:
    log.debug("no handshake with %s: %s", conn.client, error)
    if isinstance(conn.sock, ssl.SSLSocket) and isinstance(conn.sock.context, Context):
        conn.sock.context.handshake_failed()
    with contextlib.suppress(OSError):
        conn.sock.shutdown(socket.SHUT_RD)  # as in PromptWorker: the main thread shall not wait for this client
    return False
