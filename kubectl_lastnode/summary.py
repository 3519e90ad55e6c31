"""Reuse in numbers: sessions grouped by kind, namespace, reason and outcome. Pure.

The estimate of the time saved is that of deploy/monitoring/rules: as if every reused session would have taken as long
as those of its kind that moved took on average.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from statistics import fmean

import msgspec

from kubectl_lastnode import figures
from lastnode.journal import SessionRecord
from lastnode.outcome import Outcome


class Startup(msgspec.Struct, frozen=True):
    """Seconds from creation to Ready: mean, median and 95th percentile (nearest rank) of ``count`` sessions."""

    count: int
    mean: float
    p50: float
    p95: float


class Group(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Some sessions. ``reuse_ratio``: reused / (reused + moved), None where nothing could return. ``startup_seconds``:
    None where no times are known."""

    name: str
    sessions: int
    first: int
    reused: int
    moved: int
    reuse_ratio: float | None
    startup_seconds: Startup | None


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``since``: how far back the sessions go; ``complete_since``: from when on none is missing; ``dropped``: how many
    older ones the recorders had to forget; ``unread``: replicas whose sessions are missing. ``saved_seconds_estimate``:
    None where nothing can be compared."""

    since: datetime
    complete_since: datetime
    until: datetime
    dropped: int
    unread: list[str]
    total: Group
    by_kind: list[Group]
    by_namespace: list[Group]
    by_outcome: list[Group]
    by_reason: list[Group]
    saved_seconds_estimate: float | None


def summarise(
    records: Iterable[SessionRecord],
    *,
    since: datetime,
    complete_since: datetime,
    until: datetime,
    dropped: int = 0,
    unread: Sequence[str] = (),
) -> Summary:
    """``records``: each session once."""
    kept = [record for record in records if in_window(record, since)]
    by_kind = grouped(kept, lambda record: record.kind)
    return Summary(
        since=since,
        complete_since=max(since, complete_since),
        until=until,
        dropped=dropped,
        unread=list(unread),
        total=group("", kept),
        by_kind=by_kind,
        by_namespace=grouped(kept, lambda record: record.namespace),
        by_outcome=grouped(kept, lambda record: record.outcome),
        by_reason=sorted(
            grouped([r for r in kept if r.outcome is Outcome.MOVED], figures.reason_of),
            key=lambda one: -one.moved,
        ),
        saved_seconds_estimate=saving.seconds if (saving := figures.saving(kept)) else None,
    )


def in_window(record: SessionRecord, since: datetime) -> bool:
    """Whether it became Ready at or after ``since``; one without a date counts."""
    return record.ready_at is None or record.ready_at >= since


def grouped(records: Iterable[SessionRecord], name_of: Callable[[SessionRecord], str]) -> list[Group]:
    """One group a name, by name."""
    parts = figures.grouped(records, lambda record: str(name_of(record)))
    return [group(name, parts[name]) for name in sorted(parts)]


def group(name: str, records: Sequence[SessionRecord]) -> Group:
    counts = figures.tally(records)
    return Group(
        name=name,
        sessions=counts.sessions,
        first=counts.first,
        reused=counts.reused,
        moved=counts.moved,
        reuse_ratio=counts.ratio,
        startup_seconds=startup(records),
    )


def startup(records: Iterable[SessionRecord]) -> Startup | None:
    times = sorted(seconds for record in records if (seconds := record.startup_seconds) is not None)
    median, late = figures.percentile(times, 0.5), figures.percentile(times, 0.95)
    return None if median is None or late is None else Startup(len(times), fmean(times), median, late)
