"""gunicorn, set up as kube-scheduler needs it. The only module that imports gunicorn.

One worker, so that there is one view and one registry; threads, because a worker without keeps no connection alive and
is blocked by a single client that sends nothing; and no preloading, because threads do not survive the fork.
"""

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn import glogging
from gunicorn.app.base import BaseApplication

from extender.settings import ExtenderSettings
from extender.threads import PromptWorker
from recorder.errors import ConfigError

THREADS = 8
# Go's transport drops an idle connection after 90 s. The server has to be the later one: a POST that meets a
# connection closed by the server is not sent again, and one preference is lost.
KEEP_ALIVE_SECONDS = 120
GRACEFUL_SECONDS = 8
# The worker's heartbeat file: in memory where there is such a place, so that a slow disk does not look like a dead
# worker, and a read-only root is no obstacle.
_MEMORY_DIR = "/dev/shm"


class Server(BaseApplication):
    """``make_app`` is called in the worker, after the fork; ``on_exit`` when that worker ends."""

    def __init__(self, settings: ExtenderSettings, make_app: Callable[[], Flask], on_exit: Callable[[], None]) -> None:
        self._settings = settings
        self._make_app = make_app
        self._on_exit = on_exit
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options().items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        return self._make_app()

    def _options(self) -> dict[str, Any]:
        return {
            "bind": [self._settings.bind],
            "workers": 1,
            "worker_class": PromptWorker,
            "threads": THREADS,
            "keepalive": KEEP_ALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "preload_app": False,
            "control_socket_disable": True,
            "worker_exit": lambda _server, _worker: self._on_exit(),
            "logger_class": _Logger,
            "worker_tmp_dir": _MEMORY_DIR if os.access(_MEMORY_DIR, os.W_OK) else None,
            **self._tls(),
        }

    def _tls(self) -> dict[str, Any]:
        settings = self._settings
        if not settings.tls_cert:
            return {}
        options: dict[str, Any] = {"certfile": settings.tls_cert, "keyfile": settings.tls_key}
        if settings.client_ca:
            options |= {"ca_certs": settings.client_ca, "cert_reqs": ssl.CERT_REQUIRED}
        return options


class _Logger(glogging.Logger):
    """gunicorn's records go where all others go; its own handlers would print them beside, in another form."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def check_files(settings: ExtenderSettings) -> None:
    """:raises ConfigError: a certificate, key or CA that cannot be read, before gunicorn fails in its own words."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("tls_cert and tls_key: one without the other cannot be used")
    if settings.client_ca and not settings.tls_cert:
        raise ConfigError("client_ca: client certificates need tls_cert and tls_key")
    for name in ("tls_cert", "tls_key", "client_ca"):
        path = getattr(settings, name)
        if path and not Path(path).is_file():
            raise ConfigError(f"{name}: no such file: {path}")
