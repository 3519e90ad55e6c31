"""Pages that grow with the cluster: however many clients ask for one and do not read it, they cost as much as a few."""

import time
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Final

from lastnode.daemon.http import TEXT, answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# What each client may have for itself: more than all that a program shows without a label by namespace.
SMALL_BYTES: Final = 256 * 1024
# For so long a larger page is the same for all.
SHARED_SECONDS: Final = 1.0
AT_ONCE: Final = 4
# Of a place among those: a page of 3.5 MB is written in far less to whoever reads it.
_PATIENCE_SECONDS: Final = 1.0


class Shared:
    """A page that one thread at a time makes; a large one is given to all who ask within ``SHARED_SECONDS``."""

    def __init__(self, kind: str, make: Callable[[], bytes], clock: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._make = make
        self._clock = clock
        self._made: tuple[float, bytes] = (0.0, b"")  # until when it is given, and what
        self._lock = Lock()

    def __call__(self, _environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        return answer(start_response, HTTPStatus.OK, self._kind, self._body())

    def _body(self) -> bytes:
        with self._lock:
            until, body = self._made
            if not body or self._clock() >= until:
                body = self._make()
                self._made = (self._clock() + SHARED_SECONDS, body if len(body) > SMALL_BYTES else b"")
            return body


class Few:
    """``app``, of whose answers at most ``most`` are on their way at a time; who comes later waits for ``patience``
    seconds, then is told to come again (503)."""

    def __init__(self, app: "WSGIApplication", most: int = AT_ONCE, patience: float = _PATIENCE_SECONDS) -> None:
        self._app = app
        self._patience = patience
        self._free = Semaphore(most)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not self._free.acquire(timeout=self._patience):
            busy = b"others are reading it: try again\n"
            return answer(start_response, HTTPStatus.SERVICE_UNAVAILABLE, TEXT, busy, Retry_After="1")
        try:
            return _Answer(self._app(environ, start_response), self._free.release)
        except BaseException:
            self._free.release()
            raise


class _Answer:
    """Chunks, and what is done once they are written or cannot be: the server closes it in any case (PEP 3333)."""

    def __init__(self, chunks: Iterable[bytes], done: Callable[[], object]) -> None:
        self._chunks = chunks
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        done, self._done = self._done, lambda: None
        done()
