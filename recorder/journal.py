"""The newest finished sessions, and who gets them: ``GET /sessions``.

What one pod's UID is known to is open to all: whoever knows it may see the pod. All sessions together name every
tenant's workloads: they are for whoever is on this machine (kubectl port-forward), or shows the token.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec

from lastnode.daemon.http import JSON, TEXT, answer, asked
from lastnode.daemon.large import Few
from lastnode.outcome import TOKEN_HEADER, SessionRecord

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Not all of 127.0.0.0/8: a service mesh's sidecar passes on what comes from elsewhere as 127.0.0.6.
LOOPBACK: Final = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_MOST_TOKEN_BYTES: Final = 4096
_CHUNK_PARTS: Final = 400
_WHOM: Final = (
    b"all sessions are only for who shows the token (--sessions-token-file), or asks from this machine, as kubectl "
    b"port-forward does; ?pod_uid=UID is open to all\n"
)


class SessionLog:
    """The newest sessions that this replica counted, one a pod, at most ``size`` records of about 350 bytes. Safe to
    share between threads. ``clock``: Unix time."""

    def __init__(self, size: int, replica: str, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._records: OrderedDict[str, bytes] = OrderedDict()  # by the pod's UID, oldest first
        self._replica = replica
        self._since = datetime.fromtimestamp(int(clock()), UTC)
        self._dropped = 0
        self._lock = Lock()

    def add(self, record: SessionRecord) -> None:
        packed = msgspec.json.encode(record)
        with self._lock:
            self._records.pop(record.pod_uid, None)
            self._records[record.pod_uid] = packed
            if len(self._records) > self._size:
                self._records.popitem(last=False)
                self._dropped += 1

    def page(self, leading: bool, pod_uid: str | None = None) -> Sequence[bytes]:
        """A :class:`lastnode.outcome.Journal` as JSON, in parts, none of which is a copy; of one pod only, where its
        UID is given."""
        with self._lock:
            dropped = self._dropped
            if pod_uid is None:
                found = [*self._records.values()]
            else:
                found = [record for record in [self._records.get(pod_uid)] if record]
        head = {"replica": self._replica, "leading": leading, "since": self._since, "dropped": dropped}
        start = msgspec.json.encode(head)[:-1] + b',"sessions":['
        commas = [b""] + [b","] * (len(found) - 1)
        return [start, *chain.from_iterable(zip(commas, found, strict=False)), b"]}"]


def sessions_page(log: SessionLog, leading: Callable[[], bool], token_file: str | None) -> "WSGIApplication":
    """``GET /sessions``. ``token_file``: read for each request, so that a Secret that was changed counts."""

    def page(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        parts = log.page(leading(), asked(environ, "pod_uid") or None)
        length = str(sum(map(len, parts)))
        start_response("200 OK", [("Content-Type", JSON), ("Content-Length", length)])
        return (b"".join(parts[start : start + _CHUNK_PARTS]) for start in range(0, len(parts), _CHUNK_PARTS))

    few = Few(page)

    def guarded(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if asked(environ, "pod_uid"):
            return page(environ, start_response)
        if environ["REMOTE_ADDR"] in LOOPBACK or _shows(environ, token_file):
            return few(environ, start_response)
        return answer(start_response, HTTPStatus.FORBIDDEN, TEXT, _WHOM)

    return guarded


def _shows(environ: "WSGIEnvironment", token_file: str | None) -> bool:
    """Whether the request has the token that the file holds now."""
    if token_file is None:
        return False
    try:
        with Path(token_file).open("rb") as file:
            wanted = file.read(_MOST_TOKEN_BYTES).strip()
    except OSError:  # not there yet, or not any more
        return False
    shown = environ.get(f"HTTP_{TOKEN_HEADER.upper().replace('-', '_')}", "").encode(errors="replace")
    return bool(wanted) and hmac.compare_digest(shown, wanted)
