"""The numbers of a report: sessions that the recorders counted, grouped, over time, and their start-up times. Pure.

Where there is nothing to compute from, the answer is None or empty, never a zero that looks like a measurement. The
estimate of the time saved is that of the recording rules in deploy/chart.
"""

import functools
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from operator import add
from statistics import fmean
from typing import Final, NamedTuple, TypeVar

import msgspec

from lastnode.outcome import RETURNING, WARM, Outcome, SessionRecord
from lastnode.reasons import Reason

K = TypeVar("K", bound=Hashable)
Records = Iterable[SessionRecord]

# A bar must be wide enough to be seen and touched on a phone of 320 px.
MOST_BUCKETS: Final = 48
_WIDTHS: Final = (
    *(timedelta(seconds=seconds) for seconds in (1, 2, 5, 10, 15, 30)),
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720)),
    *(timedelta(days=days) for days in (1, 7, 28)),
)
_MOVED_MOST: Final = 5
# A Monday: buckets of days begin at midnight, those of weeks on Mondays.
_EPOCH: Final = datetime(1970, 1, 5, tzinfo=UTC)


class Saving(msgspec.Struct, frozen=True):
    """An estimate: ``seconds`` of start-up time that ``sessions`` saved which came back (negative if they were slower),
    compared with ``moved`` moved ones and, in kinds of which none moved, with ``first`` first ones."""

    seconds: float
    sessions: int
    moved: int
    first: int = 0

    def __add__(self, other: "Saving") -> "Saving":
        return Saving(*map(add, msgspec.structs.astuple(self), msgspec.structs.astuple(other)))

    @property
    def against(self) -> str:
        """What they are compared with, in words."""
        moved, first = f"{self.moved:,} that moved", f"{self.first:,} first ones, as none of their kind moved"
        return " and ".join([moved] * bool(self.moved) + [first] * bool(self.first))


class Timeline(NamedTuple):
    """The outcomes of the sessions that became Ready from each ``start`` on: buckets without a gap, oldest first."""

    width: timedelta
    buckets: list[tuple[datetime, "Group"]]

    @property
    def start(self) -> datetime:
        return self.buckets[0][0]

    def position(self, moment: datetime) -> float:
        """Where a moment lies: 0 at the start of the first bucket, 1 at the end of the last."""
        return (moment - self.start) / (self.width * len(self.buckets))


class Startup(msgspec.Struct, frozen=True):
    """Seconds from creation to Ready: mean, median and 95th percentile (nearest rank) of ``count`` sessions."""

    count: int
    mean: float
    p50: float
    p95: float


class Group(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Some sessions. ``reuse_ratio``: (reused + older) / (reused + older + moved), None where nothing could return.
    ``startup_seconds``: None where no times are known."""

    name: str
    sessions: int
    first: int
    group: int
    reused: int
    older: int
    moved: int
    reuse_ratio: float | None
    startup_seconds: Startup | None

    def of(self, outcome: Outcome) -> int:
        """The sessions with that outcome."""
        count: int = getattr(self, outcome)
        return count

    @property
    def back(self) -> int:
        """The sessions that came back to a node of their workload's memory."""
        return self.reused + self.older

    @property
    def returning(self) -> int:
        """The sessions that had a node to come back to."""
        return self.back + self.moved


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``since``: how far back the sessions go; ``complete_since``: from when on none is missing; ``dropped``: how many
    older ones the recorders had to forget; ``unread``: replicas whose sessions are missing. ``moved_most``: the few
    workloads whose sessions moved most often. ``saved_estimate``: None where nothing can be compared."""

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
    moved_most: list[Group]
    saved_estimate: Saving | None


def summarise(
    sessions: Records,
    *,
    since: datetime,
    complete_since: datetime,
    until: datetime,
    dropped: int = 0,
    unread: Sequence[str] = (),
) -> Summary:
    """``sessions``: each once."""
    kept = [record for record in sessions if in_window(record, since)]
    moved = [record for record in kept if record.outcome is Outcome.MOVED]
    return Summary(
        since=since, complete_since=max(since, complete_since), until=until, dropped=dropped, unread=list(unread),
        total=group("", kept), by_kind=_groups(kept, lambda record: record.kind),
        by_namespace=_groups(kept, lambda record: record.namespace),
        by_outcome=_groups(kept, lambda record: record.outcome),
        by_reason=sorted(_groups(moved, reason_of), key=lambda one: -one.moved),
        moved_most=[group(f"{kind} {where}/{name}", same) for (kind, where, name), same in movers(kept, _MOVED_MOST)],
        saved_estimate=saving(kept),
    )  # fmt: skip


def in_window(record: SessionRecord, since: datetime) -> bool:
    """Whether it became Ready at or after ``since``; one without a date counts."""
    return record.ready_at is None or record.ready_at >= since


def group(name: str, records: Sequence[SessionRecord]) -> Group:
    """These sessions in numbers, under a name."""
    counts = Counter(record.outcome for record in records)
    back, returning = (sum(counts[outcome] for outcome in some) for some in (WARM, RETURNING))
    return Group(
        name=name, sessions=len(records), **{outcome.value: counts[outcome] for outcome in Outcome},
        reuse_ratio=back / returning if returning else None, startup_seconds=startup(startups(records)),
    )  # fmt: skip


def startup(times: Sequence[float]) -> Startup | None:
    """Of start-up times in ascending order."""
    median, late = percentile(times, 0.5), percentile(times, 0.95)
    return None if median is None or late is None else Startup(len(times), fmean(times), median, late)


def grouped(records: Records, key: Callable[[SessionRecord], K]) -> dict[K, list[SessionRecord]]:
    """key -> its sessions, in the order in which the keys first come up."""
    groups: dict[K, list[SessionRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def ranked(records: Records, key: Callable[[SessionRecord], K]) -> list[tuple[K, list[SessionRecord]]]:
    """Each key with its sessions: most sessions first, then by key."""
    return sorted(grouped(records, key).items(), key=lambda row: (-len(row[1]), str(row[0])))


def movers(records: Records, most: int) -> list[tuple[tuple[str, str, str], list[SessionRecord]]]:
    """The workloads (kind, namespace, name) with moved sessions, and all sessions of each: at most so many, those with
    the most moved ones first, then by kind, namespace and name."""
    groups = grouped(records, lambda record: (record.kind, record.namespace, record.workload))
    moved = {whose: sum(record.outcome is Outcome.MOVED for record in same) for whose, same in groups.items()}
    ranks = sorted(filter(moved.__getitem__, groups), key=lambda whose: (-moved[whose], whose))
    return [(whose, groups[whose]) for whose in ranks[:most]]


def reason_of(record: SessionRecord) -> Reason:
    """Why a moved session moved; one that says nothing has no known reason."""
    return record.reason or Reason.UNKNOWN


def reasons(records: Records) -> list[tuple[Reason, int]]:
    """Why sessions moved and how many, most frequent first, then in the order of ``Reason``."""
    counts = Counter(reason_of(record) for record in records if record.outcome is Outcome.MOVED)
    return sorted(counts.items(), key=lambda item: (-item[1], list(Reason).index(item[0])))


def startups(records: Records, outcomes: Collection[Outcome] = tuple(Outcome)) -> list[float]:
    """The known start-up times (s, ascending) of the sessions with these outcomes."""
    times = (record.startup_seconds for record in records if record.outcome in outcomes)
    return sorted(time for time in times if time is not None)


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed: one that was really seen."""
    return ascending[max(1, ceil(share * len(ascending))) - 1] if ascending else None


def saving(records: Records) -> Saving | None:
    """Kind by kind: the sessions that came back, times how much longer on average the moved ones took, or, where none
    moved, the first ones.

    Kinds without known times on both sides are left out; None where that leaves nothing.
    """
    kinds = map(_saved, grouped(records, lambda record: record.kind).values())
    found = [estimate for estimate in kinds if estimate]
    return functools.reduce(add, found) if found else None


def _saved(same: Sequence[SessionRecord]) -> Saving | None:
    """Of one kind."""
    back, moved, first = (startups(same, some) for some in (WARM, [Outcome.MOVED], [Outcome.FIRST]))
    if not back or not (moved or first):
        return None
    sessions = sum(record.outcome in WARM for record in same)
    seconds = sessions * (fmean(moved or first) - fmean(back))
    return Saving(seconds, sessions, len(moved), 0 if moved else len(first))


def chance(records: Sequence[SessionRecord]) -> float | None:
    """The share of returning sessions (0 to 1) that would run on their last node if each was placed at random, each
    node as likely as it was used by all of these sessions; None where none returned.
    """
    uses = Counter(record.node for record in records)
    returning = [record for record in records if record.outcome in RETURNING]
    lasts = [record.node if record.outcome is Outcome.REUSED else record.last_node for record in returning]
    return fmean(uses[node] / len(records) for node in lasts) if lasts else None


def period(records: Records, *, since: datetime, now: datetime, dropped: int) -> tuple[datetime, datetime]:
    """What the sessions cover: from ``since``, or where older ones were dropped, from the oldest that is left."""
    ready = [record.ready_at for record in records if record.ready_at is not None]
    start = min(ready) if dropped and ready else min([since, *ready])
    return start.astimezone(UTC), max([now, start, *ready]).astimezone(UTC)


def timeline(records: Records, start: datetime, end: datetime) -> Timeline:
    """The outcomes over a period, by when the sessions became Ready; those of which that is not known are left out."""
    width = round_width(end - start, MOST_BUCKETS)
    groups = grouped(records, lambda record: record.ready_at and _floor(record.ready_at, width))
    starts = multiples(width, _floor(start, width), end)
    return Timeline(width, [(moment, group("", groups.get(moment, []))) for moment in starts])


def round_width(length: timedelta, most: int) -> timedelta:
    """The smallest round width with which ``most`` buckets, or ticks, cover a period wherever it begins."""
    fitting = (width for width in _WIDTHS if length < width * (most - 1))
    longest = _WIDTHS[-1]
    return next(fitting, longest * ceil((length + timedelta(seconds=1)) / (longest * (most - 1))))


def multiples(width: timedelta, start: datetime, end: datetime) -> list[datetime]:
    """The moments from ``start`` to ``end`` (both included) at which buckets of that width begin."""
    begin = start + (_EPOCH - start) % width
    return [begin + i * width for i in range((end - begin) // width + 1)]


def _floor(moment: datetime, width: timedelta) -> datetime:
    """When the bucket of that width began that holds the moment."""
    return moment.astimezone(UTC) - (moment - _EPOCH) % width


def _groups(records: Records, name_of: Callable[[SessionRecord], str]) -> list[Group]:
    """One group a name, by name."""
    return [group(name, same) for name, same in sorted(grouped(records, lambda r: str(name_of(r))).items())]
