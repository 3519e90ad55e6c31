"""Who may ask for what, where a CA for client certificates is given.

The handshake refuses certificates of anybody else, but not clients that show none: the kubelet's probes and Prometheus
have none, and kube-apiserver shows its own to webhooks only where it was given a kubeconfig for that.
"""

from collections.abc import Callable, Collection, Iterable
from http import HTTPStatus
from typing import Any, Final

OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
VERBS: Final = ("prioritize", "mutate")

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def open_paths(guarded: Collection[str]) -> frozenset[str]:
    """The paths that need no certificate when these verbs do: what is not known here always needs one."""
    return OPEN_PATHS | {f"/{verb}" for verb in VERBS if verb not in guarded}


class KnownClients:
    """A WSGI application that passes on what is asked with a certificate or is open; 403 for all else."""

    def __init__(self, app: Wsgi, unguarded: Collection[str], refused: Callable[[], None]) -> None:
        self._app = app
        self._unguarded = unguarded
        self._refused = refused

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        # The handshake has verified the certificate if there is one.
        if environ["PATH_INFO"] in self._unguarded or environ["gunicorn.socket"].getpeercert():
            return self._app(environ, start_response)
        self._refused()
        text = b"a client certificate is needed\n"
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
        start_response(f"{HTTPStatus.FORBIDDEN.value} {HTTPStatus.FORBIDDEN.phrase}", headers)
        return [text]
