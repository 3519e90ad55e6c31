"""The HTTP face: routes, and nothing that decides anything. The only module that imports Flask."""

import contextlib
from collections.abc import Callable

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from extender.service import Service
from recorder import health

# 5,000 names and a large pod are 0.1 MB. Whole Node objects (nodeCacheCapable: false) of a large cluster are beyond
# it, and are answered without a preference, as documented in scheduler-config/.
MAX_BODY_BYTES = 8 * 1024 * 1024
# How much more is read only to be thrown away: a client that still writes when its connection is closed sees a
# broken pipe, not the answer.
_MAX_DISCARDED_BYTES = 64 * 1024 * 1024
_DISCARDED_AT_ONCE = 64 * 1024


def create_app(
    service: Service, live: health.Checks, ready: health.Checks, metrics: Callable[[], tuple[str, bytes]]
) -> Flask:
    """The WSGI application: POST /prioritize, /livez, /readyz, /healthz, /metrics."""
    app = Flask("lastnode", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES

    @app.post("/prioritize")
    def prioritize() -> Response:
        # Always 200: another status would only be one more thing that can go wrong in kube-scheduler.
        try:
            body = request.get_data(cache=False)
        except RequestEntityTooLarge:
            _discard_body()
            return _json(service.refuse())
        except Exception:  # broken off, or in chunks that are none: gunicorn has classes of its own for that
            return _json(service.refuse())
        return _json(service.prioritize(body))

    @app.get("/metrics")
    def exposition() -> Response:
        kind, page = metrics()
        return Response(page, content_type=kind)

    def probe(name: str, checks: health.Checks) -> Callable[[], Response]:
        def answer() -> Response:
            report = health.report(name, checks, verbose="verbose" in request.args)
            return Response(report.text, status=report.status, content_type="text/plain; charset=utf-8")

        return answer

    for name, checks in (("livez", live), ("healthz", live), ("readyz", ready)):
        app.add_url_rule(f"/{name}", name, probe(name, checks))
    return app


def _json(body: bytes) -> Response:
    return Response(body, content_type="application/json")


def _discard_body() -> None:
    source, read = request.environ["wsgi.input"], 0
    with contextlib.suppress(Exception):  # what it says does not matter any more
        while read < _MAX_DISCARDED_BYTES and (chunk := source.read(_DISCARDED_AT_ONCE)):
            read += len(chunk)
