"""gunicorn, set up as kube-scheduler needs it. The only module that imports gunicorn.

One worker, so that there is one view and one registry; threads, because a worker without keeps no connection alive and
is blocked by a single client that sends nothing; and no preloading, because threads do not survive the fork.
"""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn import glogging
from gunicorn.app.base import BaseApplication

from extender.handshake import HandshakeWorker
from extender.threads import PromptWorker
from extender.tls import Files

# Most of them for mutate requests that wait for their Sandbox (webhook.py); they are started when they are needed.
THREADS = 40
# Go's transport drops an idle connection after 90 s. The server has to be the later one: a POST that meets a
# connection closed by the server is not sent again, and one preference is lost.
KEEP_ALIVE_SECONDS = 120
GRACEFUL_SECONDS = 8
# Connections at a time; kube-scheduler keeps one or two, an API server about as many as pods are created at once.
# Below 1,024, which is how many files many systems let a process open.
CONNECTIONS = 512
# Of a request: kube-scheduler and kube-apiserver send a line of under 100 bytes and about six header fields.
REQUEST_LINE_BYTES = 1024
HEADER_FIELDS = 64
HEADER_FIELD_BYTES = 4096
# The worker's heartbeat file: in memory where there is such a place, so that a slow disk does not look like a dead
# worker, and a read-only root is no obstacle.
MEMORY_DIR = Path("/dev/shm")


class Server(BaseApplication):
    """``make_app`` is called in the worker, after the fork; ``on_exit`` when that worker ends.

    ``files``: serve TLS; ``context`` is then asked, in the worker, for that of each new connection.
    """

    def __init__(
        self,
        bind: str,
        make_app: Callable[[], Any],
        on_exit: Callable[[], None],
        files: Files | None = None,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._bind = bind
        self._make_app = make_app
        self._on_exit = on_exit
        self._files = files
        self._context = context
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options().items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()

    def _options(self) -> dict[str, Any]:
        return {
            "bind": [self._bind],
            "workers": 1,
            "worker_class": PromptWorker,
            "threads": THREADS,
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "worker_connections": CONNECTIONS,
            "limit_request_line": REQUEST_LINE_BYTES,
            "limit_request_fields": HEADER_FIELDS,
            "limit_request_field_size": HEADER_FIELD_BYTES,
            # Nobody may say on somebody else's behalf where a request is from; and gunicorn looks into the client's
            # address for each request only where somebody may.
            "forwarded_allow_ips": "",
            "preload_app": False,
            "control_socket_disable": True,
            "worker_exit": lambda _server, _worker: self._on_exit(),
            "logger_class": _Logger,
            "worker_tmp_dir": str(MEMORY_DIR) if os.access(MEMORY_DIR, os.W_OK) else None,
            **self._tls(),
        }

    def _tls(self) -> dict[str, Any]:
        if self._files is None or self._context is None:
            return {}
        context = self._context
        return {
            # That it serves TLS at all gunicorn sees from the files; what it serves comes from the context alone.
            "certfile": str(self._files.cert),
            "keyfile": str(self._files.key),
            "ssl_context": lambda _config, _default: context(),
            "worker_class": HandshakeWorker,
        }


class _Logger(glogging.Logger):
    """gunicorn's records go where all others go; its own handlers would print them beside, in another form."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
