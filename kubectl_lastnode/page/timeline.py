"""Sessions over time: a period, cut into buckets of a round width, all in UTC. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final, NamedTuple

from kubectl_lastnode.figures import Tally, grouped, tally
from lastnode.journal import SessionRecord

# A bar must be wide enough to be seen and touched on a phone of 320 px.
MOST_BUCKETS: Final = 48
WIDTHS: Final = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 7, 28)),
)
# A Monday: buckets of days begin at midnight, those of weeks on Mondays.
_EPOCH: Final = datetime(1970, 1, 5, tzinfo=UTC)


class Period(NamedTuple):
    """From ``start`` to ``end``, both included."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


class Bucket(NamedTuple):
    """The outcomes of the sessions that became Ready from ``start`` on, for one bucket's width."""

    start: datetime
    tally: Tally


class Timeline(NamedTuple):
    """Buckets without a gap, oldest first, each ``width`` long."""

    width: timedelta
    buckets: list[Bucket]

    @property
    def start(self) -> datetime:
        return self.buckets[0].start

    def position(self, moment: datetime) -> float:
        """Where a moment lies: 0 at the start of the first bucket, 1 at the end of the last."""
        return (moment - self.start) / (self.width * len(self.buckets))


def period(records: Iterable[SessionRecord], *, since: datetime, now: datetime, dropped: int) -> Period:
    """What the sessions cover: from ``since``, or where older ones were dropped, from the oldest that is left."""
    ready = [record.ready_at for record in records if record.ready_at is not None]
    start = min(ready) if dropped and ready else min([since, *ready])
    return Period(start.astimezone(UTC), max([now, start, *ready]).astimezone(UTC))


def bucket_width(length: timedelta, most: int) -> timedelta:
    """The smallest round width with which ``most`` buckets, or ticks, cover a period wherever it begins."""
    for width in WIDTHS:
        if length < width * (most - 1):
            return width
    return WIDTHS[-1] * ceil((length + timedelta(seconds=1)) / (WIDTHS[-1] * (most - 1)))


def timeline(records: Iterable[SessionRecord], covered: Period, most: int = MOST_BUCKETS) -> Timeline:
    """The outcomes over a period, by when the sessions became Ready; those of which that is not known are left out."""
    width = bucket_width(covered.length, most)
    starts = multiples(width, floor(covered.start, width), covered.end)
    groups = grouped(records, lambda record: record.ready_at and floor(record.ready_at, width))
    return Timeline(width, [Bucket(start, tally(groups.get(start, ()))) for start in starts])


def multiples(width: timedelta, start: datetime, end: datetime) -> Sequence[datetime]:
    """The moments from ``start`` to ``end`` (both included) at which buckets of that width begin."""
    begin = floor(start, width)
    if begin < start:
        begin += width
    return [begin + i * width for i in range((end - begin) // width + 1)]


def floor(moment: datetime, width: timedelta) -> datetime:
    """When the bucket of that width began that holds the moment."""
    return moment.astimezone(UTC) - (moment - _EPOCH) % width
