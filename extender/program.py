"""``lastnode-extender``: settings in the main process, everything that runs in gunicorn's worker."""

import contextlib
import functools
import gc
import logging
import os
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from extender import lookup, mutate, tls
from extender.holding import Holding
from extender.http import create_app, known_clients
from extender.lookup import Lookup
from extender.metrics import InjectionMetrics, PrioritizeMetrics, TlsMetrics, WaitMetrics
from extender.mutate import Mutator
from extender.prioritize import Prioritizer
from extender.server import Server
from extender.settings import ExtenderSettings
from extender.tls import Files, Tls
from extender.waiting import Patience
from lastnode.daemon import health, logs, metrics, signals
from lastnode.daemon.http import served_at, written
from lastnode.daemon.large import Shared
from lastnode.daemon.rows import refuse_unfit
from lastnode.daemon.settings import address, fail, load
from lastnode.daemon.threads import Crew, Flag
from lastnode.kube import api
from lastnode.kube.errors import ConfigError
from lastnode.ranking import Weights
from lastnode.view import MemoryCache, View

PROG = "lastnode-extender"
STOP_SECONDS = 5.0
# A thread that wants to run waits this long for one that computes, each time: a request, which gives the interpreter
# away at every read and write, would wait 5 ms several times (Python's own value) while a list is decoded.
SWITCH_SECONDS = 0.0002

log = logging.getLogger(__name__)


class Extender:
    """Everything that runs, with nothing running yet. Read the constructor and you know the program."""

    def __init__(self, settings: ExtenderSettings, files: Files | None) -> None:
        server = _connect(settings)
        registry = metrics.new_registry()
        metrics.count_version(registry, "extender", version("lastnode"))
        watch_metrics = metrics.WatchMetrics(registry)
        waits = WaitMetrics(registry)

        view = View(settings.rows)
        if settings.group_weight:
            view.follow_groups()
        watches = view.watches(server, sessions=False, page_size=settings.page_size, observer=watch_metrics)
        watch_metrics.follow(watches, time.monotonic)

        cache = MemoryCache(settings.memory_ttl)
        cache.follow(view.workloads.values())
        find = functools.partial(
            Lookup,
            view,
            cache,
            settings.memory_ttl,
            synced=lambda: all(watch.progress.synced for watch in watches),
            weights=Weights(older=settings.older_weight, group=settings.group_weight),
        )
        brief = lookup.brief(waits.of("prioritize"))
        longer = Patience(mutate.CONTROLLER_SECONDS, mutate.WAITING_AT_ONCE, waits.of("mutate"))
        self.app: Any = create_app(
            Prioritizer(find(patience=brief), PrioritizeMetrics(registry)),
            live=health.live_checks(watches),
            ready=health.ready_checks(watches, current=False),
            metrics=Shared(metrics.CONTENT_TYPE, lambda: metrics.exposition(registry)),
            mutator=Mutator(find(patience=longer), InjectionMetrics(registry), Holding(), settings.sticky_scheduler),
        )
        self._crew = Crew(Flag())
        if files is not None:
            counts = TlsMetrics(registry)
            self._tls = Tls(files, counts)
            self._tls.load()
            self._crew.add("certificate-files", self._tls)
            if files.client_ca is not None:
                self.app = known_clients(self.app, settings.client_ca_verbs.split(","), counts.no_certificate)
        for watch in watches:
            self._crew.add(f"watch-{watch.resource}", watch)

    def context(self) -> ssl.SSLContext:
        """For the next connection; only with ``files``."""
        return self._tls.context

    def start(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()  # what was imported stays: the collector need not stop everybody to look through it again
        self._crew.start()
        threading.Thread(target=self._leave_when_broken, name="crew-guard", daemon=True).start()

    def stop(self) -> None:
        self._crew.stop(STOP_SECONDS)

    def _leave_when_broken(self) -> None:
        # Without one of its watches the view would grow stale unseen: gunicorn starts a fresh worker instead.
        self._crew.ended.wait()
        if self._crew.failed:
            os._exit(1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT, then return 0; 2 for settings that cannot be used, 1 where gunicorn gives up."""
    asked = signals.heed()
    try:
        settings = load(ExtenderSettings, PROG, sys.argv[1:] if argv is None else argv)
        files = tls.given(settings)
        with contextlib.closing(_connect(settings)) as server:
            refuse_unfit(server, settings.rows)
    except ConfigError as error:
        fail(PROG, error)
    logs.configure(settings.log_format, settings.log_level)
    log.info("%s %s: %s", PROG, version("lastnode"), settings.line())
    bind = written(served_at(address(settings.bind)))
    try:
        Server(bind, lambda: Extender(settings, files), files, asked).run()
    finally:
        signals.ignore()
    return 0


def _connect(settings: ExtenderSettings) -> api.Api:
    return api.load(settings.kubeconfig, f"{PROG}/{version('lastnode')}")


if __name__ == "__main__":
    raise SystemExit(main())
