"""``lastnode-recorder``: all of its parts put together, started, stopped and joined."""

import logging
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

from lastnode.daemon import health, logs, signals
from lastnode.daemon.http import Pages, PageServer
from lastnode.daemon.large import Shared
from lastnode.daemon.metrics import CONTENT_TYPE, WatchMetrics, count_version, exposition, new_registry
from lastnode.daemon.rows import refuse_unfit
from lastnode.daemon.settings import address, fail, load
from lastnode.daemon.threads import Crew, Flag, Worker
from lastnode.kube import api
from lastnode.kube.election import Elector, Leadership
from lastnode.kube.errors import ConfigError
from lastnode.kube.lease import Timing
from lastnode.kube.observer import Watched
from lastnode.kube.queue import WorkQueue
from lastnode.kube.unforeseen import Unforeseen
from lastnode.kube.watch import ListWatch
from lastnode.objects import WorkloadKey
from lastnode.view import MemoryCache, View
from recorder import metrics
from recorder.counting import Counting
from recorder.events import Events
from recorder.journal import SessionLog, sessions_page
from recorder.nominating import NOMINATORS, Nominating
from recorder.sessions import Sessions
from recorder.settings import RecorderSettings
from recorder.silence import Silence
from recorder.why.extenders import Extenders
from recorder.why.inquiry import Inquiry
from recorder.writing import Writer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PROG = "lastnode-recorder"
# SIGTERM has to end within 10 s: the longest thing to wait for is one write in flight.
STOP_SECONDS = 8.0
# A write parses its workload's memory once, beside a request that takes a hundred times as long: this is enough for
# workloads that are written again and again. (2 KB each; the extender, which answers from it, keeps more.)
WRITTEN_MEMORIES = 256

log = logging.getLogger(__name__)


class Moving(Worker, Protocol):
    """A worker that tells when it last moved, in monotonic seconds."""

    def moved_at(self) -> float: ...


class Recorder:
    """Everything that runs, with nothing running yet. Read the constructor and you know the program.

    ``ended``: for its crew.
    """

    def __init__(self, settings: RecorderSettings, server: api.Api, ended: Flag) -> None:
        registry = new_registry()
        count_version(registry, "recorder", version("lastnode"))
        watch_metrics = WatchMetrics(registry)
        record_metrics = metrics.RecordMetrics(registry)
        session_metrics = metrics.SessionMetrics(registry, settings.namespace_metrics)

        view = View(settings.rows)
        view.follow_groups()
        session_metrics.follow(view.workloads.values())
        watches = view.watches(server, sessions=True, page_size=settings.page_size, observer=watch_metrics)
        known = partial(_have_synced, watches)
        leadership = Leadership() if settings.leader_elect else Leadership.sole()
        queue: WorkQueue[WorkloadKey] = WorkQueue(group=lambda key: key.namespace, workers=settings.writers)
        cache = MemoryCache(settings.memory_ttl, size=WRITTEN_MEMORIES)
        cache.follow(view.workloads.values())
        nominating = Nominating(
            server, view, cache, leadership, record_metrics.nomination,
            nodes=settings.nominate, ttl=settings.memory_ttl, known=known, observer=watch_metrics,
        )  # fmt: skip
        watches += nominating.watches(settings.page_size)
        watch_metrics.follow(watches, time.monotonic)
        journal = SessionLog(settings.session_log, socket.gethostname())
        unforeseen = watch_metrics.unforeseen
        counting = _counting(settings, server, view, session_metrics, journal, nominating, unforeseen)
        sessions = Sessions(
            view, queue.add, recall=cache.recall, ttl=settings.memory_ttl, known=known,
            early_crash=settings.early_crash_seconds, redate=settings.redate,
            verdict=record_metrics.verdict, inquire=counting.inquire, count=counting.count, unforeseen=unforeseen,
        )  # fmt: skip
        sessions.follow()
        for watch in watches:
            watch.progress.when_synced = sessions.listed
        record_metrics.follow(lambda: len(sessions), lambda: leadership.held)
        silences = _silences(settings, server, watch_metrics, record_metrics)
        writer = Writer(
            server, view, sessions, queue, cache, record_metrics,
            leadership=leadership, nodes_known=lambda: watches[0].progress.synced, unforeseen=unforeseen,
            recent_nodes=settings.recent_nodes, redate=settings.redate,
        )  # fmt: skip
        elector = partial(_elector, settings, server, leadership, [sessions.schedule_all, nominating.look_again])
        workers = _workers(settings, counting, writer, nominating, elector)
        told = sessions_page(journal, lambda: leadership.held, settings.sessions_token_file)
        shown = Shared(CONTENT_TYPE, lambda: exposition(registry))
        served = _served(settings, watches, workers, {"/metrics": shown, "/sessions": told})

        self.port = served.server_port
        self.crew = _crew(ended, served, watches, silences, workers)


def _have_synced(watches: Iterable[Watched]) -> bool:
    return all(watch.progress.synced for watch in watches)


def _silences(
    settings: RecorderSettings, server: api.Api, watch_metrics: WatchMetrics, record_metrics: metrics.RecordMetrics
) -> list[Silence]:
    silences = [Silence(server, name, watch_metrics) for name in settings.schedulers.split(",") if name]
    record_metrics.follow_schedulers({silence.scheduler: silence.seconds for silence in silences})
    return silences


def _counting(
    settings: RecorderSettings, server: api.Api, view: View, counts: metrics.SessionMetrics, journal: SessionLog,
    nominating: Nominating, unforeseen: Unforeseen,
) -> Counting:  # fmt: skip
    extenders = Extenders(settings.extender_url, settings.extender_ca)
    inquiry = Inquiry(server, extenders, lambda: len(view.nodes), counts.inquiry, counts.look)
    events = Events(server, view.kinds, counts, instance=socket.gethostname())
    return Counting(inquiry, counts, journal, events, nominating.node_of, unforeseen)


def _workers(
    settings: RecorderSettings, counting: Counting, writer: Writer, nominating: Nominating,
    elector: Callable[[], Elector],
) -> dict[str, tuple[Moving, int]]:  # fmt: skip
    """By name, each with the number of its threads."""
    workers: dict[str, tuple[Moving, int]] = {"outcomes": (counting, 1), "writers": (writer, settings.writers)}
    if settings.nominate:
        workers["nominations"] = nominating, NOMINATORS
    if settings.leader_elect:
        workers["elector"] = elector(), 1
    return workers


def _served(
    settings: RecorderSettings, watches: Sequence[Watched], workers: Mapping[str, tuple[Moving, int]],
    pages: Mapping[str, "WSGIApplication"],
) -> PageServer:  # fmt: skip
    loops = {name: worker.moved_at for name, (worker, _) in workers.items()}
    live, ready = health.live_checks(watches, loops), health.ready_checks(watches, current=True)
    return PageServer(address(settings.bind), Pages(live, ready, pages))


def _crew(
    ended: Flag, served: PageServer, watches: Sequence[ListWatch[Any]], silences: Sequence[Silence],
    workers: Mapping[str, tuple[Moving, int]],
) -> Crew:  # fmt: skip
    crew = Crew(ended)
    crew.add("pages", served)
    for watch in watches:
        crew.add(f"watch-{watch.resource}", watch)
    for silence in silences:
        crew.add(f"silence-{silence.scheduler}", silence.watch)
    for name, (worker, threads) in workers.items():
        crew.add(name, worker, threads)
    return crew


def _elector(
    settings: RecorderSettings, server: api.Api, leadership: Leadership, on_gain: Sequence[Callable[[], None]]
) -> Elector:
    def gained() -> None:
        for each in on_gain:
            each()

    return Elector(
        server,
        leadership,
        gained,
        namespace=settings.lease_namespace or api.own_namespace(),
        name=settings.lease_name,
        # New at each start: a restarted replica must not take its own old lease for one that it still holds.
        identity=f"{socket.gethostname()}_{uuid.uuid4()}",
        timing=Timing.of(settings.lease_duration),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. 0 after those, 1 when something inside ended, 2 for settings that cannot be used."""
    ended = signals.heed()
    try:
        settings = load(RecorderSettings, PROG, sys.argv[1:] if argv is None else argv)
        logs.configure(settings.log_format, settings.log_level)
        server = api.load(settings.kubeconfig, f"{PROG}/{version('lastnode')}", settings.writers + NOMINATORS + 8)
        refuse_unfit(server, settings.rows)
        recorder = Recorder(settings, server, ended)
    except ConfigError as error:
        fail(PROG, error)
    log.info("%s %s: %s", PROG, version("lastnode"), settings.line())
    log.info("probes and metrics on port %d", recorder.port)
    recorder.crew.start()
    ended.wait()
    # A thread that still waits for an answer of the API server is left behind, and that is no failure: whatever it
    # would have written, the next start finds again in the live pods.
    recorder.crew.stop(STOP_SECONDS)
    log.info("stopped%s", ", because a part of it ended" if recorder.crew.failed else "")
    signals.ignore()
    return 1 if recorder.crew.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
