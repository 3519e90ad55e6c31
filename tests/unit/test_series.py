"""How many series a program has when every label has had every value: label values are closed sets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry

from extender.metrics import InjectionMetrics, PrioritizeMetrics, TlsMetrics, WaitMetrics
from lastnode.daemon.metrics import WatchMetrics, count_version, exposition, new_registry
from lastnode.kinds import BUILT_IN, DEFAULT_RESOURCES
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import MOVED, Reason
from recorder.metrics import RecordMetrics, SessionMetrics

# What a scrape may have: a few programs of ours must not be what fills somebody's Prometheus.
MOST_SERIES = 360
RESOURCES = ("nodes", "pods", *DEFAULT_RESOURCES)
# Of the reasons, the two that an API server's restart brings to every watch; the others are as rare as their faults.
REASONS = ("closed", "unreachable")
# Gauges that are read from a running program: synced and age of each watch, leader, pending, two schedulers' silence.
READ_AT_A_SCRAPE = 2 * len(RESOURCES) + 4


def series(registry: CollectorRegistry) -> int:
    return sum(not line.startswith("#") for line in exposition(registry).decode().splitlines())


def watched(program: str) -> CollectorRegistry:
    registry = new_registry()
    count_version(registry, program, "1")
    watches = WatchMetrics(registry)
    for resource in RESOURCES:
        watches.listed(resource, 1.0, 1)
        watches.event(resource, "ADDED")
        watches.skipped(resource)
        for reason in REASONS:
            watches.failed(resource, reason)
    return registry


def every_session() -> Iterator[SessionRecord]:
    """One of each kind, outcome and reason."""
    ends: list[tuple[Outcome, Reason | None]] = [(outcome, None) for outcome in Outcome if outcome is not Outcome.MOVED]
    ends += [(Outcome.MOVED, reason) for reason in MOVED]
    created = datetime(2026, 1, 1, tzinfo=UTC)
    for kind, (outcome, reason) in itertools.product((kind.name for kind in BUILT_IN), ends):
        yield SessionRecord(
            namespace="default", pod="p", pod_uid="u", workload="w", kind=kind, node="n", outcome=outcome,
            reason=reason, created_at=created, scheduled_at=created, ready_at=created,
        )  # fmt: skip


def test_a_recorder_that_has_seen_everything_stays_small() -> None:
    registry = watched("recorder")
    RecordMetrics(registry)
    sessions = SessionMetrics(registry)
    for record in every_session():
        sessions.session(record)
    assert series(registry) + READ_AT_A_SCRAPE < MOST_SERIES


def test_an_extender_that_has_seen_everything_stays_small() -> None:
    registry = watched("extender")
    PrioritizeMetrics(registry)
    InjectionMetrics(registry)
    TlsMetrics(registry)
    waits = WaitMetrics(registry)
    for verb in ("prioritize", "mutate"):
        waits.of(verb)
    assert series(registry) + READ_AT_A_SCRAPE < MOST_SERIES
