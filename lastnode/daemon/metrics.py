"""What every program counts, and how it is shown to Prometheus."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

from lastnode.kube.observer import Observer, Together, Watched, by_resource
from lastnode.kube.unforeseen import Unforeseen

# Where an error that nobody foresaw may be met.
PLACES: Final = ("reading", "listener", "watch", "sessions", "writers", "outcomes")

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST


def new_registry() -> CollectorRegistry:
    """An empty registry, without the ``_created`` series, which promtool rightly calls a unit error."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    prometheus_client.ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry) -> bytes:
    """Everything in a registry as Prometheus reads it."""
    return prometheus_client.generate_latest(registry)


def count_version(registry: CollectorRegistry, program: str, version: str) -> None:
    """``lastnode_build_info``: 1, with program and version as labels."""
    info = Gauge(
        "lastnode_build_info", "The running program and its version.", ["program", "version"], registry=registry
    )
    info.labels(program, version).set(1)


def tally(
    registry: CollectorRegistry, name: str, about: str, label: str, values: Iterable[str]
) -> Callable[[str], None]:
    """A counter by one label, each of its values there from the start, at 0; what is returned counts one more."""
    counter = Counter(name, about, [label], registry=registry)
    known = {value: counter.labels(value) for value in values}
    return lambda value: known[value].inc()


class WatchMetrics(Observer):
    """Counts for every list-watch of a program, and what else goes wrong over one object in it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        about = "Errors that nobody foresaw, each over one object, workload or session, which was passed over."
        self.unforeseen = Unforeseen(tally(registry, "lastnode_unforeseen_errors", about, "place", PLACES))
        self._events = Counter(
            "lastnode_watch_events", "Watch events by resource, bookmarks among them.", ["resource"], registry=registry
        )
        self._failures = Counter(
            "lastnode_watch_failures",
            "Ended or failed list and watch requests by resource and reason.",
            ["resource", "reason"],
            registry=registry,
        )
        self._skipped = Counter(
            "lastnode_objects_skipped", "Objects of a shape that could not be read.", ["resource"], registry=registry
        )
        # Lists are few: buckets would be a third of all series, and say no more than count and sum.
        self._lists = Summary(
            "lastnode_list_duration_seconds", "Time that a complete list took.", ["resource"], registry=registry
        )
        self._registry = registry

    def listed(self, resource: str, seconds: float, objects: int) -> None:
        self._lists.labels(resource).observe(seconds)

    def event(self, resource: str, kind: str) -> None:
        self._events.labels(resource).inc()

    def skipped(self, resource: str) -> None:
        self._skipped.labels(resource).inc()

    def failed(self, resource: str, reason: str) -> None:
        self._failures.labels(resource, reason).inc()

    def follow(self, watches: Iterable[Watched], clock: Callable[[], float]) -> None:
        """Gauges read from the streams at each scrape: synced, and how long ago the server was last heard."""
        synced = Gauge(
            "lastnode_watch_synced", "1 once the resource was listed completely.", ["resource"], registry=self._registry
        )
        age = Gauge(
            "lastnode_watch_age_seconds",
            "Seconds since the API server last sent anything for the resource; bookmarks come about once a minute.",
            ["resource"],
            registry=self._registry,
        )
        for resource, progress in by_resource(watches).items():
            synced.labels(resource).set_function(partial(getattr, progress, "synced"))
            age.labels(resource).set_function(partial(_silent_for, progress, clock))


def _silent_for(progress: Together, clock: Callable[[], float]) -> float:
    return float("inf") if progress.heard_at is None else clock() - progress.heard_at
