"""One GET of any URL: of programs of ours, which need no credentials and may be many behind one name.

Never through a proxy: it would know neither loopback nor a cluster's own addresses.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPException

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Url, parse_url

from lastnode.kube.api import raise_for
from lastnode.kube.errors import Unreachable, one_line
from lastnode.kube.transport import trust


def fetch(url: str, *, seconds: float, ca: str | None = None, address: str | None = None) -> bytes:
    """The body of a successful GET, all of it within ``seconds``; no redirect is followed.

    ``ca``: PEM file that https is verified with, default: the system's. ``address``: which of the addresses that the
    URL's name has is asked, default: the first that takes the connection.

    :raises ApiError: the answer is no success.
    :raises Unreachable: there was none.
    """
    try:
        place = parse_url(url)
        with contextlib.closing(_connection(place, seconds, ca, address)) as there:
            there.connect()
            with _ends(there.sock, seconds):
                there.request("GET", place.request_uri, headers={"Host": place.netloc or ""})
                response = there.getresponse()
                data = bytes(response.data)
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        raise Unreachable(f"{url}: {one_line(error)}") from error
    raise_for(response, data)
    return data


def _connection(place: Url, seconds: float, ca: str | None, address: str | None) -> HTTPConnection:
    name = (place.host or "").strip("[]")
    if place.scheme != "https":
        return HTTPConnection(address or name, place.port, timeout=seconds)
    return HTTPSConnection(address or name, place.port, timeout=seconds, ssl_context=trust(ca), server_hostname=name)


@contextlib.contextmanager
def _ends(there: socket.socket, seconds: float) -> Iterator[None]:
    # A time-out is that of each single wait: who sends a byte a second would never run into it.
    end = threading.Timer(seconds, lambda: socket.socket.shutdown(there, socket.SHUT_RDWR))
    end.start()
    try:
        yield
    finally:
        end.cancel()
