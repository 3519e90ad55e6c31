"""The API server: requests and bytes. Beside fetch and transport, the only module that imports urllib3.

The official client reads kubeconfigs, refreshes tokens and builds the connection pool. Its typed models are not
used: a typed list of 20,000 pods costs 55 times the CPU and 130 times the memory of partial decoding.
"""

import contextlib
import json
import os
import select
import time
from collections import deque
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from lastnode.kube import access, transport
from lastnode.kube.access import Access, Credentials
from lastnode.kube.errors import ApiError, Oversized, Silent, Unreachable, api_error, one_line

# Everything but a watch is answered within this, or counts as unreachable: kube-apiserver's own limit is 60 s.
REQUEST_TIMEOUT = 30.0
CONNECT_TIMEOUT = 5.0
# A server's wish for a longer pause is not believed: kube-apiserver asks for seconds, and who waits for an hour after a
# proxy's mistake is as good as dead.
RETRY_AFTER_CAP = 60.0
_CHUNK_BYTES = 64 * 1024


class Accept(NamedTuple):
    """The form in which objects shall come: one of them (also each in a watch), and a list."""

    an_object: str
    a_list: str


JSON: Final = Accept("application/json", "application/json")
# Without spec and status. JSON after the comma is for a server that does not know this form: it sends all of it.
_PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
METADATA: Final = Accept(_PARTIAL.format(""), _PARTIAL.format("List"))


def load(
    kubeconfig: str | None,
    user_agent: str,
    connections: int = 16,
    context: str | None = None,
    environ: Mapping[str, str] = os.environ,
    patience: float = 0.0,
) -> "Api":
    """Connect as :func:`lastnode.kube.access.load` finds it; ``environ``: where proxies are named.

    ``patience``: for so many seconds a request does as the server says that asks for it later, as kubectl does; by
    default that is the caller's business. Nothing is sent yet.

    :raises ConfigError: no usable credentials or proxy, in one line.
    """
    found = access.load(kubeconfig, context)
    found.configuration.connection_pool_maxsize = connections
    return Api(found, user_agent, environ, patience)


def own_namespace(file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")) -> str:
    """The namespace of the pod that this runs in; ``default`` outside a cluster."""
    try:
        return file.read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


class Api:
    """Requests to one API server. Safe to share between threads."""

    def __init__(self, found: Access, user_agent: str, environ: Mapping[str, str], patience: float) -> None:
        self._patience = patience
        self._pool = transport.connect(found.configuration, environ)
        self._user_agent = user_agent
        # Over TLS, or to this machine itself (a proxy of the API server that kubectl would send no token to either).
        self._credentials = Credentials(found, token=not transport.in_the_open(found.configuration))
        self.host: str = found.configuration.host

    def close(self) -> None:
        self._pool.clear()

    def get(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
        most: int | None = None,
    ) -> bytes:
        """The body of a successful GET, of at most so many bytes.

        :raises ApiError: the server refused (by class: see errors).
        :raises Unreachable: there was no answer.
        :raises Oversized: there are more bytes; no more were read.
        """
        return self.request("GET", path, query=query, accept=accept, most=most)

    def merge_patch(self, path: str, body: Mapping[str, Any], accept: str = "application/json") -> bytes:
        """The object after a JSON merge patch. Raises like :meth:`get`."""
        return self.request("PATCH", path, body=body, content_type="application/merge-patch+json", accept=accept)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        most: int | None = None,
        seconds: float = REQUEST_TIMEOUT,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> bytes:
        """One request and its whole answer, which may take ``seconds``; ``headers``: further ones. Raises like
        :meth:`get`."""
        headers = {**headers, "Accept": accept, **({"Content-Type": content_type} if body is not None else {})}
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, seconds), read=seconds)
        payload = None if body is None else msgspec.json.encode(body)
        until = time.monotonic() + self._patience
        while True:
            try:
                return self._answer(method, _url(path, query), headers, timeout, payload, most)
            except ApiError as error:
                if error.retry_after is None or time.monotonic() + error.retry_after >= until:
                    raise
                time.sleep(error.retry_after)

    def _answer(
        self, method: str, path: str, headers: Mapping[str, str], timeout: urllib3.Timeout, body: bytes | None,
        most: int | None,
    ) -> bytes:  # fmt: skip
        response = self._open(method, path, headers, timeout, body)
        try:
            data = bytes(response.data) if most is None else _at_most(response, most)
        except (HTTPError, HTTPException, OSError) as error:
            raise Unreachable(one_line(error)) from error
        finally:
            response.release_conn()
        raise_for(response, data)
        return data

    def stream(self, path: str, query: Mapping[str, str], silence: float, accept: str = "application/json") -> "Stream":
        """A watch: lines as they come. ``silence``: seconds without a byte after which it counts as dead."""
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=silence)
        response = self._open("GET", _url(path, query), {"Accept": accept}, timeout, None)
        if response.status >= 300:
            with Stream(response):
                raise_for(response, bytes(response.data))
        return Stream(response)

    def _open(
        self, method: str, path: str, headers: Mapping[str, str], timeout: urllib3.Timeout, body: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        # retries=False: what to do after a failure is the caller's decision, made once.
        try:
            return self._pool.urlopen(
                method,
                self.host + path,
                headers=self._headers(headers),
                timeout=timeout,
                body=body,
                retries=False,
                preload_content=False,
            )
        except (HTTPError, HTTPException, OSError) as error:
            raise Unreachable(f"{self.host}: {one_line(error)}") from error

    def _headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        # http.client writes Latin-1, the API server reads UTF-8, as Go writes it.
        ours = [(name, value.encode().decode("latin-1")) for name, value in self._credentials.headers()]
        whole = {**headers, "User-Agent": self._user_agent, **dict(ours)}
        if len(whole) == len(headers) + 1 + len(ours):
            return whole
        # One repeats, as Impersonate-Group may: only this kind of mapping can say so, in 20 µs more.
        repeating = urllib3.HTTPHeaderDict({**headers, "User-Agent": self._user_agent})
        for name, value in ours:
            repeating.add(name, value)
        return repeating


class Stream:
    """An open watch. Iterate over its lines in one thread; ``abort`` from any other ends the iteration."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._lines: deque[bytes] = deque()  # that came and were not read yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Closed, never returned to the pool: the rest of a watch is not worth reading.
        self._response.close()

    def __iter__(self) -> Iterator[bytes]:
        """Each line without its end. An unfinished last line is dropped: the server broke off inside it.

        :raises Silent: nothing came for the silence limit.
        :raises Unreachable: the connection broke.
        """
        pending = b""
        try:
            for chunk in self._response.stream(_CHUNK_BYTES):
                *lines, pending = (pending + chunk).split(b"\n")
                self._lines.extend(lines)
                while self._lines:
                    yield self._lines.popleft()
        except ReadTimeoutError as error:
            raise Silent("nothing came for longer than the silence limit") from error
        except (HTTPError, HTTPException, OSError, AttributeError, ValueError) as error:
            # urllib3 reads from a None file object when another thread aborts: AttributeError, ValueError.
            raise Unreachable(one_line(error)) from error

    def is_drained(self) -> bool:
        """Whether all that has come was read, as far as the socket knows; False where it cannot be asked."""
        try:
            return not self._lines and not select.select([self._response], [], [], 0)[0]
        except (ValueError, OSError):
            return False

    def abort(self) -> None:
        """Wake the reader: a plain close would leave it in its read until the silence limit."""
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # already read to its end
            self._response.shutdown()


def _at_most(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    data = response.read(most + 1)
    if len(data) > most:
        response.close()  # else the rest would be read, to use the connection again
        raise Oversized(f"an answer of more than {most} bytes")
    return data


def _url(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urlencode(query)}" if query else path


def raise_for(response: urllib3.BaseHTTPResponse, data: bytes) -> None:
    """:raises ApiError: the answer is no success."""
    if response.status < 300:
        return
    raise api_error(response.status, _message(data) or str(response.reason), _retry_after(response))


def _message(data: bytes) -> str:
    """The text of a Status object, or the start of whatever else came (a proxy's page)."""
    try:
        message = json.loads(data)["message"]
        return message if isinstance(message, str) else ""
    except (ValueError, KeyError, TypeError, RecursionError):
        return data[:200].decode(errors="replace")


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    # Only the form in seconds: kube-apiserver sends no dates.
    value = response.headers.get("Retry-After", "")
    return min(float(value), RETRY_AFTER_CAP) if value.isascii() and value.isdigit() else None
