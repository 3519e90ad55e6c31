"""Reuse in numbers: sessions grouped by kind, namespace, reason and outcome. Pure.

The estimate of the time saved is that of deploy/monitoring/rules: as if every reused session would have taken as long
as those of its kind that moved took on average.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from statistics import fmean

import msgspec

from recorder.outcomes.outcome import Outcome, Reason
from recorder.outcomes.record import SessionRecord


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
            grouped([r for r in kept if r.outcome is Outcome.MOVED], lambda record: record.reason or Reason.UNKNOWN),
            key=lambda one: -one.moved,
        ),
        saved_seconds_estimate=saved_seconds(kept),
    )


def in_window(record: SessionRecord, since: datetime) -> bool:
    """Whether it became Ready at or after ``since``; one without a date counts."""
    return record.ready_at is None or record.ready_at >= since


def grouped(records: Iterable[SessionRecord], name_of: Callable[[SessionRecord], str]) -> list[Group]:
    """One group a name, by name."""
    parts: dict[str, list[SessionRecord]] = {}
    for record in records:
        parts.setdefault(str(name_of(record)), []).append(record)
    return [group(name, parts[name]) for name in sorted(parts)]


def group(name: str, records: Sequence[SessionRecord]) -> Group:
    counts = {outcome: sum(record.outcome is outcome for record in records) for outcome in Outcome}
    returning = counts[Outcome.REUSED] + counts[Outcome.MOVED]
    return Group(
        name=name,
        sessions=len(records),
        first=counts[Outcome.FIRST],
        reused=counts[Outcome.REUSED],
        moved=counts[Outcome.MOVED],
        reuse_ratio=counts[Outcome.REUSED] / returning if returning else None,
        startup_seconds=startup(records),
    )


def startup(records: Iterable[SessionRecord]) -> Startup | None:
    times = sorted(seconds for record in records if (seconds := record.startup_seconds) is not None)
    return Startup(len(times), fmean(times), quantile(times, 0.5), quantile(times, 0.95)) if times else None


def quantile(ordered: Sequence[float], q: float) -> float:
    """The smallest value that at least the share ``q`` of them does not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)]


def saved_seconds(records: Sequence[SessionRecord]) -> float | None:
    """Over all kinds: reused sessions times (mean of the moved - mean of the reused), where a kind has both."""
    kinds = {record.kind for record in records}
    known = [saved for kind in kinds if (saved := _saved_by([r for r in records if r.kind == kind])) is not None]
    return math.fsum(known) if known else None


def _saved_by(records: Sequence[SessionRecord]) -> float | None:
    reused = [record for record in records if record.outcome is Outcome.REUSED]
    back, elsewhere = startup(reused), startup(r for r in records if r.outcome is Outcome.MOVED)
    return len(reused) * (elsewhere.mean - back.mean) if back and elsewhere else None
