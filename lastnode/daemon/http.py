"""The recorder's small HTTP server: /livez, /readyz, /healthz, and pages: /metrics, /sessions."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from lastnode.daemon import health
from lastnode.kube.errors import ConfigError

# A probe or a scrape sends a few hundred bytes at once; a client that does not is hung up on.
_CLIENT_SECONDS = 10.0


# What a page is made from, its query (name -> values), and what comes of it: content type and body.
Page = Callable[[Mapping[str, list[str]]], tuple[str, bytes]]


class Probes:
    """Serves ``live`` and ``ready`` checks and ``pages`` by path. Binding happens here, serving in :meth:`run`."""

    def __init__(
        self,
        bind: tuple[str, int],
        live: health.Checks,
        ready: health.Checks,
        pages: Mapping[str, Page],
    ) -> None:
        try:
            self._server = _Server(bind, _handler(live, ready, pages))
        except OSError as error:
            raise ConfigError(f"--bind {bind[0]}:{bind[1]} cannot be used: {error.strerror or error}") from error
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.1)
        self._server.server_close()

    def stop(self) -> None:
        self._server.shutdown()


class _Server(ThreadingHTTPServer):
    # Without it a restart within a minute would find its own port taken.
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that broke off is no event."""


def _handler(live: health.Checks, ready: health.Checks, pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    probes = {"/livez": live, "/healthz": live, "/readyz": ready}

    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query, keep_blank_values=True)
            if url.path in pages:
                self._answer(HTTPStatus.OK, *pages[url.path](query))
            elif url.path in probes:
                report = health.report(url.path.strip("/"), probes[url.path], "verbose" in query)
                self._answer(report.status, "text/plain; charset=utf-8", report.text.encode())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds; their lines would bury the others."""

    return Handler
