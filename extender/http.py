"""The HTTP face: routes, and nothing that decides anything. The only module that imports Flask."""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from http import HTTPStatus
from threading import Semaphore
from typing import TYPE_CHECKING, Final

import msgspec
from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from extender.decisions import DecisionLog
from extender.mutate import Mutator
from extender.prioritize import Prioritizer
from extender.settings import VERBS
from lastnode.daemon import health
from lastnode.daemon.http import JSON, TEXT, Pages, answer, asked
from lastnode.kube.errors import Undecodable
from lastnode.reasons import Result

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# 5,000 names and a large pod are 0.1 MB. Whole Node objects (nodeCacheCapable: false) of a large cluster are beyond
# it, and are answered without a preference, as documented in scheduler-config/.
MAX_BODY_BYTES: Final = 8 * 1024 * 1024
# More than kube-scheduler and kube-apiserver send; of larger bodies only so many may be in memory at a time, whoever
# sends them.
SMALL_BODY_BYTES: Final = 512 * 1024
LARGE_AT_ONCE: Final = 4
# How much more is read only to be thrown away: a client that still writes when its connection is closed sees a
# broken pipe, not the answer.
_MAX_DISCARDED_BYTES: Final = 64 * 1024 * 1024
_DISCARDED_AT_ONCE: Final = 64 * 1024
# The kubelet's probes, Prometheus and the recorder have no certificate.
OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics", "/decisions"})

log = logging.getLogger(__name__)


def create_app(
    prioritizer: Prioritizer,
    live: health.Checks,
    ready: health.Checks,
    metrics: "WSGIApplication",
    mutator: Mutator | None = None,
) -> Flask:
    """The WSGI application: POST /prioritize, /mutate with ``mutator``; beside them probes, /metrics, /decisions."""
    app = Flask("lastnode", static_folder=None)
    verbs = {f"/{verb.name}": Verb(verb) for verb in (prioritizer, mutator) if verb is not None}
    for path, verb in verbs.items():
        app.add_url_rule(
            path, path, lambda verb=verb: (verb(request.environ), {"Content-Type": JSON}), methods=["POST"]
        )
    pages = {"/metrics": metrics, "/decisions": decisions_page(prioritizer.decisions)}
    routes = Pages(live, ready, pages, others=app.wsgi_app)
    app.wsgi_app = directly(verbs, routes)  # type: ignore[method-assign, assignment]
    return app


def decisions_page(log: DecisionLog) -> "WSGIApplication":
    """``GET /decisions?pod_uid=UID&namespace=NAMESPACE``: a pod's UID is what one has to know; nothing is told of any
    other."""

    def page(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not (uid := asked(environ, "pod_uid")):
            return answer(start_response, HTTPStatus.BAD_REQUEST, TEXT, b"of which pod? ?pod_uid=UID\n")
        found = log.of(uid, asked(environ, "namespace") or "")
        return answer(start_response, HTTPStatus.OK, JSON, msgspec.json.encode(found))

    return page


class Verb:
    """Answers whatever comes, counted by what came of it, and always with 200: another status would only be one more
    thing that can go wrong in kube-scheduler or kube-apiserver."""

    def __init__(self, asked: Prioritizer | Mutator, clock: Callable[[], float] = time.perf_counter) -> None:
        self._asked = asked
        self._clock = clock
        self._large = Semaphore(LARGE_AT_ONCE)

    def __call__(self, environ: "WSGIEnvironment") -> bytes:
        """The answer to the request, which is a bad one if its body cannot be read."""
        length = environ.get("CONTENT_LENGTH") or ""  # none: in chunks
        if length.isdecimal() and int(length) <= SMALL_BODY_BYTES:
            return self.answer(self._read(environ, SMALL_BODY_BYTES))
        taken = self._large.acquire(blocking=False)
        try:
            return self.answer(self._read(environ, MAX_BODY_BYTES if taken else SMALL_BODY_BYTES))
        finally:
            if taken:
                self._large.release()

    def _read(self, environ: "WSGIEnvironment", most: int) -> bytes:
        try:
            return get_input_stream(environ, max_content_length=most).read()
        except RequestEntityTooLarge:
            _discard_body(environ)
        except Exception as error:  # broken off, or in chunks that are none: gunicorn has classes of its own for that
            log.debug("no body of a %s request: %s", self._asked.name, error)
        return b""

    def answer(self, body: bytes) -> bytes:
        """The answer to a body. Never raises."""
        started = self._clock()
        try:
            result, answered = self._asked.decide(body)
        except Undecodable as error:
            log.debug("bad %s request: %s", self._asked.name, error)
            result, answered = Result.BAD_REQUEST, self._asked.refuse(body)
        except Exception:
            log.exception("a %s request failed; it was answered without a preference", self._asked.name)
            result, answered = Result.ERROR, self._asked.refuse(body)
        self._asked.counters.request(result, self._clock() - started)
        return answered


def directly(verbs: Mapping[str, Verb], app: "WSGIApplication") -> "WSGIApplication":
    """``app``, but a POST to one of ``verbs`` is answered before Flask routes it, sets up contexts and a session and
    sends signals. Nothing of that is needed there, and kube-scheduler waits for the answer in its serial loop.

    It spares a fifth of the extender's CPU time a pod (0.75 instead of 0.95 ms), and 0.1 of 0.5 ms of an answer at
    5,000 names. Through Flask kube-scheduler places 0.95 times as many pods a second (median of 20 rounds at 1,000
    nodes on a quiet machine, from 0.76 to 1.18; benchmarks/scheduling/serving.py).
    """

    def either(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        verb = verbs.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if verb is None:
            return app(environ, start_response)
        return answer(start_response, HTTPStatus.OK, JSON, verb(environ))

    return either


def known_clients(app: "WSGIApplication", guarded: Collection[str], refused: Callable[[], None]) -> "WSGIApplication":
    """``app``, for whom it is open and for whoever shows a certificate; 403 and ``refused()`` for all others.

    The handshake refuses certificates of anybody else, but not clients that show none: probes and Prometheus have
    none, and kube-apiserver shows its own to webhooks only where it was given a kubeconfig for that. ``guarded``: the
    verbs that need one; what is not known here always needs one.
    """
    unguarded = OPEN_PATHS | {f"/{verb}" for verb in VERBS if verb not in guarded}

    def checked(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        # The handshake has verified the certificate if there is one.
        if environ["PATH_INFO"] in unguarded or environ["gunicorn.socket"].getpeercert():
            return app(environ, start_response)
        refused()
        return answer(start_response, HTTPStatus.FORBIDDEN, TEXT, b"a client certificate is needed\n")

    return checked


def _discard_body(environ: "WSGIEnvironment") -> None:
    source, read = environ["wsgi.input"], 0
    with contextlib.suppress(Exception):  # what it says does not matter any more
        while read < _MAX_DISCARDED_BYTES and (chunk := source.read(_DISCARDED_AT_ONCE)):
            read += len(chunk)
