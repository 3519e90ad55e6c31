"""The API server: credentials, connections and bytes. Beside fetch, the only module that imports urllib3.

The official client reads kubeconfigs, refreshes tokens and builds the connection pool. Its typed models are not
used: a typed list of 20,000 pods costs 55 times the CPU and 130 times the memory of partial decoding.
"""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode

import msgspec
import urllib3
from kubernetes import client, config
from urllib3.exceptions import HTTPError, ReadTimeoutError

from lastnode.kube.errors import ConfigError, Silent, Unreachable, api_error

# Everything but a watch is answered within this, or counts as unreachable: kube-apiserver's own limit is 60 s.
REQUEST_TIMEOUT = 30.0
CONNECT_TIMEOUT = 5.0
# A server's wish for a longer pause is not believed: kube-apiserver asks for seconds, and who waits for an hour after a
# proxy's mistake is as good as dead.
RETRY_AFTER_CAP = 60.0
# The client's own refreshing looks a minute to five ahead, and costs as much as half of a request each time.
CREDENTIALS_SECONDS = 5.0
_CHUNK_BYTES = 64 * 1024


class Accept(NamedTuple):
    """The form in which objects shall come: one of them (also each in a watch), and a list."""

    an_object: str
    a_list: str


JSON: Final = Accept("application/json", "application/json")
# Without spec and status. JSON after the comma is for a server that does not know this form: it sends all of it.
_PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1,application/json"
METADATA: Final = Accept(_PARTIAL.format(""), _PARTIAL.format("List"))


def load(kubeconfig: str | None, user_agent: str, connections: int = 16, context: str | None = None) -> "Api":
    """Connect with a kubeconfig file, else in-cluster, else the usual kubeconfig. Nothing is sent yet.

    ``context``: which of the kubeconfig's, default its current one; in-cluster there are none, so it is not tried then.

    :raises ConfigError: no usable credentials, in one line.
    """
    configuration = client.Configuration()
    configuration.keep_alive = True
    configuration.connection_pool_maxsize = connections
    try:
        if kubeconfig or context:
            _load_file(configuration, kubeconfig, context)
        else:
            _load_default(configuration)
        return Api(configuration, user_agent)
    except Exception as error:  # those of the client's own parser have no common base class
        where = kubeconfig or "in-cluster or the usual kubeconfig"
        raise ConfigError(f"no credentials for a cluster ({where}): {one_line(error)}") from error


def _load_default(configuration: client.Configuration) -> None:
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        _load_file(configuration, None, None)


def _load_file(configuration: client.Configuration, path: str | None, context: str | None) -> None:
    config.load_kube_config(path, context, client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]


def contexts(kubeconfig: str | None) -> tuple[dict[str, str], str]:
    """The namespace that each context of the kubeconfig names (empty where it names none), and which is current.

    Nothing where there is no kubeconfig that can be read: whoever connects hears why.
    """
    with contextlib.suppress(Exception):  # as in load()
        found, current = config.list_kube_config_contexts(kubeconfig)  # type: ignore[no-untyped-call]
        return {one["name"]: one["context"].get("namespace") or "" for one in found}, current["name"]
    return {}, ""


def own_namespace(file: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")) -> str:
    """The namespace of the pod that this runs in; ``default`` outside a cluster."""
    try:
        return file.read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


class Api:
    """Requests to one API server. Safe to share between threads."""

    def __init__(self, configuration: client.Configuration, user_agent: str) -> None:
        self._configuration = configuration
        self._pool: urllib3.PoolManager = client.ApiClient(configuration).rest_client.pool_manager
        self._user_agent = user_agent
        self._credentials = _Credentials(configuration)
        self.host: str = configuration.host

    def close(self) -> None:
        self._pool.clear()

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json") -> bytes:
        """The body of a successful GET.

        :raises ApiError: the server refused (by class: see errors).
        :raises Unreachable: there was no answer.
        """
        return self.request("GET", path, query=query, accept=accept)

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
        seconds: float = REQUEST_TIMEOUT,
    ) -> bytes:
        """One request and its whole answer, which may take ``seconds``. Raises like :meth:`get`."""
        headers = {"Content-Type": content_type} if body is not None else {}
        timeout = urllib3.Timeout(connect=min(CONNECT_TIMEOUT, seconds), read=seconds)
        payload = None if body is None else msgspec.json.encode(body)
        response = self._open(method, _url(path, query), headers | {"Accept": accept}, timeout, payload)
        try:
            data = bytes(response.data)
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
            return self._pool.request(
                method,
                self.host + path,
                headers={**headers, **self._credentials.headers(), "User-Agent": self._user_agent},
                timeout=timeout,
                body=body,
                retries=False,
                preload_content=False,
            )
        except (HTTPError, HTTPException, OSError) as error:
            raise Unreachable(f"{self.host}: {one_line(error)}") from error


class _Credentials:
    """The header that says who we are, asked for again every few seconds."""

    def __init__(self, configuration: client.Configuration, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._known: tuple[float, dict[str, str]] = (-math.inf, {})  # until when, and what: replaced as one

    def headers(self) -> dict[str, str]:
        """:raises Unreachable: a credential plugin failed."""
        until, headers = self._known
        if self._clock() < until:
            return headers
        try:
            # Asking is what refreshes a token that the kubelet or a credential plugin renews.
            token = self._configuration.auth_settings().get("BearerToken")
        except Exception as error:  # credential plugins may raise anything
            raise Unreachable(f"credentials: {one_line(error)}") from error
        headers = {"Authorization": token["value"]} if token and token["value"] else {}
        self._known = (self._clock() + CREDENTIALS_SECONDS, headers)
        return headers


class Stream:
    """An open watch. Iterate over its lines in one thread; ``abort`` from any other ends the iteration."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response

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
                yield from lines
        except ReadTimeoutError as error:
            raise Silent("nothing came for longer than the silence limit") from error
        except (HTTPError, HTTPException, OSError, AttributeError, ValueError) as error:
            # urllib3 reads from a None file object when another thread aborts: AttributeError, ValueError.
            raise Unreachable(one_line(error)) from error

    def abort(self) -> None:
        """Wake the reader: a plain close would leave it in its read until the silence limit."""
        with contextlib.suppress(ValueError, RuntimeError, OSError):  # already read to its end
            self._response.shutdown()


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


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
