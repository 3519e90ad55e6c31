"""The HTTP face: routes, and nothing that decides anything. The only module that imports Flask."""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from extender.mutate import Webhook
from extender.prioritize import Service
from lastnode.daemon import health

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Verb = Callable[[WSGIEnvironment], bytes]

# 5,000 names and a large pod are 0.1 MB. Whole Node objects (nodeCacheCapable: false) of a large cluster are beyond
# it, and are answered without a preference, as documented in scheduler-config/.
MAX_BODY_BYTES = 8 * 1024 * 1024
# How much more is read only to be thrown away: a client that still writes when its connection is closed sees a
# broken pipe, not the answer.
_MAX_DISCARDED_BYTES = 64 * 1024 * 1024
_DISCARDED_AT_ONCE = 64 * 1024


def create_app(
    service: Service,
    live: health.Checks,
    ready: health.Checks,
    metrics: Callable[[], tuple[str, bytes]],
    webhook: Webhook | None = None,
) -> Flask:
    """The WSGI application: POST /prioritize, /livez, /readyz, /healthz, /metrics, /decisions; POST /mutate with
    ``webhook``."""
    verbs = {"/prioritize": _verb(service.prioritize, service.refuse)}
    if webhook is not None:
        verbs["/mutate"] = _verb(webhook.mutate, webhook.refuse)
    app = _App(verbs)

    @app.get("/metrics")
    def exposition() -> Response:
        kind, page = metrics()
        return Response(page, content_type=kind)

    @app.get("/decisions")
    def decided() -> Response:
        return _json(service.decisions.page(request.args.get("pod_uid", "")))

    def probe(name: str, checks: health.Checks) -> Callable[[], Response]:
        def answer() -> Response:
            report = health.report(name, checks, verbose="verbose" in request.args)
            return Response(report.text, status=report.status, content_type="text/plain; charset=utf-8")

        return answer

    for name, checks in (("livez", live), ("healthz", live), ("readyz", ready)):
        app.add_url_rule(f"/{name}", name, probe(name, checks))
    return app


def _verb(answer: Callable[[bytes], bytes], refuse: Callable[[], bytes]) -> "Verb":
    """``answer`` for the body of a request, ``refuse`` for one that cannot be read: both are answered with 200, since
    another status would only be one more thing that can go wrong in kube-scheduler or kube-apiserver."""

    def answered(environ: "WSGIEnvironment") -> bytes:
        try:
            body = get_input_stream(environ, max_content_length=MAX_BODY_BYTES).read()
        except RequestEntityTooLarge:
            _discard_body(environ)
            return refuse()
        except Exception:  # broken off, or in chunks that are none: gunicorn has classes of its own for that
            return refuse()
        return answer(body)

    return answered


class _App(Flask):
    """Flask, but what kube-scheduler waits for in its serial loop is answered before Flask routes it, sets up contexts
    and a session and sends signals: nothing of that is needed there, and it is twice the time of the answer itself.

    ``verbs``: path -> what answers a POST to it, always with 200 and JSON.
    """

    def __init__(self, verbs: "Mapping[str, Verb]") -> None:
        super().__init__("lastnode", static_folder=None)
        self._verbs = verbs
        for path, verb in verbs.items():  # for every other method, and for other spellings of the path
            self.add_url_rule(path, path, lambda verb=verb: _json(verb(request.environ)), methods=["POST"])

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        verb = self._verbs.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if verb is None:
            return super().wsgi_app(environ, start_response)
        body = verb(environ)
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return (body,)


def _json(body: bytes) -> Response:
    return Response(body, content_type="application/json")


def _discard_body(environ: "WSGIEnvironment") -> None:
    source, read = environ["wsgi.input"], 0
    with contextlib.suppress(Exception):  # what it says does not matter any more
        while read < _MAX_DISCARDED_BYTES and (chunk := source.read(_DISCARDED_AT_ONCE)):
            read += len(chunk)
