"""``lastnode-extender``: settings in the main process, everything that runs in gunicorn's worker."""

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version

from flask import Flask

from extender.app import create_app
from extender.lookup import Lookup
from extender.metrics import PrioritizeMetrics
from extender.server import Server, check_files
from extender.service import Service
from extender.settings import ExtenderSettings
from recorder import api, health, logs, metrics
from recorder.cache import MemoryCache
from recorder.crew import Crew
from recorder.errors import ConfigError
from recorder.settings import fail, load
from recorder.view import View

PROG = "lastnode-extender"
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Worker:
    """What runs in the worker process: the watches and the app. Made and started after the fork."""

    def __init__(self, settings: ExtenderSettings) -> None:
        server = _connect(settings)
        registry = metrics.new_registry()
        metrics.count_version(registry, "extender", version("lastnode"))
        watch_metrics = metrics.WatchMetrics(registry)

        view = View(settings.workloads)
        watches = view.watches(
            server,
            sessions=False,
            sandbox_resource=settings.sandbox_resource,
            page_size=settings.page_size,
            observer=watch_metrics,
        )
        watch_metrics.follow(watches, time.monotonic)
        lookup = Lookup(
            view,
            MemoryCache(settings.memory_ttl),
            settings.memory_ttl,
            synced=lambda: all(watch.progress.synced for watch in watches),
        )
        self.app: Flask = create_app(
            Service(lookup, PrioritizeMetrics(registry)),
            live=health.live_checks(watches),
            ready=health.ready_checks(watches, current=False),
            metrics=lambda: (metrics.CONTENT_TYPE, metrics.exposition(registry)),
        )
        self.crew = Crew()
        for watch in watches:
            self.crew.add(f"watch-{watch.resource}", watch.run, watch.stop)

    def start(self) -> None:
        self.crew.start()
        threading.Thread(target=self._leave_when_broken, name="crew-guard", daemon=True).start()

    def stop(self) -> None:
        self.crew.stop(STOP_SECONDS)

    def _leave_when_broken(self) -> None:
        # Without one of its watches the view would grow stale unseen: gunicorn starts a fresh worker instead.
        self.crew.ended.wait()
        if self.crew.failed:
            os._exit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT, then return 0; 2 for settings that cannot be used, 1 where gunicorn gives up."""
    try:
        settings = load(ExtenderSettings, PROG, sys.argv[1:] if argv is None else argv)
        check_files(settings)
        _connect(settings).close()
    except ConfigError as error:
        fail(PROG, error)
    logs.configure(settings.log_format, settings.log_level)
    log.info("%s %s: %s", PROG, version("lastnode"), settings.line())
    running: list[Worker] = []

    def make_app() -> Flask:
        worker = Worker(settings)
        running.append(worker)
        worker.start()
        return worker.app

    def on_exit() -> None:
        while running:
            running.pop().stop()

    Server(settings, make_app, on_exit).run()
    return 0


def _connect(settings: ExtenderSettings) -> api.Api:
    return api.load(settings.kubeconfig, f"{PROG}/{version('lastnode')}")


if __name__ == "__main__":
    raise SystemExit(main())
