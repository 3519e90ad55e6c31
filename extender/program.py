"""``lastnode-extender``: settings in the main process, everything that runs in gunicorn's worker."""

import functools
import gc
import logging
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from extender import lookup, mutate
from extender.app import create_app
from extender.lookup import Lookup
from extender.metrics import InjectionMetrics, PrioritizeMetrics, WaitMetrics
from extender.mutate import Webhook
from extender.prioritize import Service
from extender.server import MEMORY_DIR, Server
from extender.serving import Serving, check, place
from extender.settings import ExtenderSettings
from extender.waiting import Patience
from lastnode.daemon import health, logs
from lastnode.daemon.threads import Crew
from lastnode.kube import api
from lastnode.kube.errors import ConfigError
from lastnode.view import MemoryCache, View
from recorder import metrics
from recorder.settings import fail, load

if TYPE_CHECKING:
    from extender.certkeeper import Keeper

PROG = "lastnode-extender"
STOP_SECONDS = 5.0
# A thread that wants to run waits this long for one that computes, each time: a request, which gives the interpreter
# away at every read and write, would wait 5 ms several times (Python's own value) while a list is decoded.
SWITCH_SECONDS = 0.0002

log = logging.getLogger(__name__)


class Worker:
    """What runs in the worker process: the watches and the app. Made and started after the fork."""

    def __init__(self, settings: ExtenderSettings, serving: Serving) -> None:
        server = _connect(settings)
        registry = metrics.new_registry()
        metrics.count_version(registry, "extender", version("lastnode"))
        watch_metrics = metrics.WatchMetrics(registry)

        view = View(settings.kinds)
        watches = view.watches(
            server,
            sessions=False,
            page_size=settings.page_size,
            observer=watch_metrics,
        )
        watch_metrics.follow(watches, time.monotonic)
        find = functools.partial(
            Lookup,
            view,
            MemoryCache(settings.memory_ttl),
            settings.memory_ttl,
            synced=lambda: all(watch.progress.synced for watch in watches),
        )
        waits = WaitMetrics(registry)
        brief = lookup.brief(waits.of("prioritize"))
        longer = Patience(mutate.SANDBOX_SECONDS, mutate.WAITING_AT_ONCE, waits.of("mutate"))
        self.crew = Crew()
        self.tls, tls_metrics = serving.add_to(self.crew, server, registry)
        app = create_app(
            Service(find(patience=brief), PrioritizeMetrics(registry)),
            live=health.live_checks(watches),
            ready=health.ready_checks(watches, current=False),
            metrics=lambda: (metrics.CONTENT_TYPE, metrics.exposition(registry)),
            webhook=Webhook(find(patience=longer), InjectionMetrics(registry), settings.sticky_scheduler),
        )
        self.app: Any = serving.guard(app, tls_metrics)
        for watch in watches:
            self.crew.add(f"watch-{watch.resource}", watch.run, watch.stop)

    def start(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()  # what was imported stays: the collector need not stop everybody to look through it again
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
        check(settings)
        _connect(settings).close()
    except ConfigError as error:
        fail(PROG, error)
    logs.configure(settings.log_format, settings.log_level)
    log.info("%s %s: %s", PROG, version("lastnode"), settings.line())
    with place(settings, MEMORY_DIR) as directory:
        return _serve(settings, Serving(settings, directory))


def _serve(settings: ExtenderSettings, serving: Serving) -> int:
    if trouble := serving.first(lambda: _connect(settings), _stop_on_signals):
        log.critical("gave up waiting for a certificate to serve: %s", trouble)
        return 1
    if serving.files is not None and not serving.files.cert.exists():
        return 0  # told to stop while it waited
    _default_signals()
    running: list[Worker] = []

    def make_app() -> Any:
        worker = Worker(settings, serving)
        running.append(worker)
        worker.start()
        return worker.app

    def on_exit() -> None:
        while running:
            running.pop().stop()

    def context() -> ssl.SSLContext:
        current = running[-1].tls
        assert current is not None
        return current.context

    Server(settings.bind, make_app, on_exit, serving.files, context).run()
    return 0


def _stop_on_signals(keeper: "Keeper") -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stop())


def _default_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _connect(settings: ExtenderSettings) -> api.Api:
    return api.load(settings.kubeconfig, f"{PROG}/{version('lastnode')}")


if __name__ == "__main__":
    raise SystemExit(main())
