"""The numbers of a report: statistics over the sessions that the recorders counted. Pure.

``Tally`` counts outcomes; everything else groups sessions, or looks at their start-up times. Where there is nothing to
compute from, the answer is None or empty, never a zero that looks like a measurement.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from math import ceil
from statistics import fmean
from typing import NamedTuple, TypeVar

from lastnode.journal import SessionRecord
from lastnode.outcome import Outcome
from lastnode.reasons import Reason

K = TypeVar("K", bound=Hashable)


class Tally(NamedTuple):
    """How many sessions had which outcome."""

    first: int = 0
    reused: int = 0
    moved: int = 0

    @property
    def sessions(self) -> int:
        return sum(self)

    @property
    def returning(self) -> int:
        """The sessions that had a last node to come back to."""
        return self.reused + self.moved

    @property
    def ratio(self) -> float | None:
        """The share of the returning sessions that came back, 0 to 1; None where none returned."""
        return self.reused / self.returning if self.returning else None

    def of(self, outcome: Outcome) -> int:
        """How many sessions had this outcome."""
        return {Outcome.FIRST: self.first, Outcome.REUSED: self.reused, Outcome.MOVED: self.moved}[outcome]

    def plus(self, other: "Tally") -> "Tally":
        return Tally(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Saving(NamedTuple):
    """An estimate: ``seconds`` of start-up time that ``sessions`` reused ones saved; negative if they were slower.

    ``moved``: how many moved sessions they are compared with.
    """

    seconds: float
    sessions: int
    moved: int


class Bin(NamedTuple):
    """How many of the values were from ``low`` to ``high``, both included."""

    low: int
    high: int
    size: int


class Spread(NamedTuple):
    """How evenly sessions spread over nodes. ``busiest``: the busiest node's share of the sessions, 0 to 1; ``half``:
    the fewest nodes that ran half of them.
    """

    nodes: int
    busiest: float
    half: int


def tally(records: Iterable[SessionRecord]) -> Tally:
    """The outcomes of these sessions."""
    counts = Counter(record.outcome for record in records)
    return Tally(counts[Outcome.FIRST], counts[Outcome.REUSED], counts[Outcome.MOVED])


def grouped(records: Iterable[SessionRecord], key: Callable[[SessionRecord], K]) -> dict[K, list[SessionRecord]]:
    """key -> its sessions, in the order in which the keys first come up."""
    groups: dict[K, list[SessionRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups


def ranked(records: Iterable[SessionRecord], key: Callable[[SessionRecord], K]) -> list[tuple[K, Tally]]:
    """Each key with the outcomes of its sessions: most sessions first, then by key."""
    tallies = [(name, tally(group)) for name, group in grouped(records, key).items()]
    return sorted(tallies, key=lambda row: (-row[1].sessions, str(row[0])))


def reason_of(record: SessionRecord) -> Reason:
    """Why a moved session moved; one that says nothing has no known reason."""
    return record.reason or Reason.UNKNOWN


def reasons(records: Iterable[SessionRecord]) -> list[tuple[Reason, int]]:
    """Why sessions moved and how many, most frequent first, then in the order of ``Reason``."""
    counts = Counter(reason_of(record) for record in records if record.outcome is Outcome.MOVED)
    return sorted(counts.items(), key=lambda item: (-item[1], list(Reason).index(item[0])))


def startups(records: Iterable[SessionRecord], outcome: Outcome) -> list[float]:
    """The known start-up times (s, ascending) of the sessions with that outcome."""
    times = (record.startup_seconds for record in records if record.outcome is outcome)
    return sorted(time for time in times if time is not None)


def percentile(ascending: Sequence[float], share: float) -> float | None:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed: one that was really seen."""
    if not ascending:
        return None
    return ascending[max(1, ceil(share * len(ascending))) - 1]


def saving(records: Iterable[SessionRecord]) -> Saving | None:
    """Kind by kind: the reused sessions, times how much longer the moved ones took on average.

    So do the recording rules. Kinds without known times on both sides are left out; None where that leaves nothing.
    """
    total = Saving(0.0, 0, 0)
    for group in grouped(records, lambda record: record.kind).values():
        reused, moved = startups(group, Outcome.REUSED), startups(group, Outcome.MOVED)
        if reused and moved:
            sessions = tally(group).reused
            gain = sessions * (fmean(moved) - fmean(reused))
            total = Saving(total.seconds + gain, total.sessions + sessions, total.moved + len(moved))
    return total if total.sessions else None


def chance(records: Sequence[SessionRecord]) -> float | None:
    """The share of returning sessions (0 to 1) that would come back if each was placed at random, each node as likely
    as it was used by all of these sessions; None where none returned.
    """
    uses = Counter(record.node for record in records)
    lasts = [_last_node(record) for record in records if record.outcome is not Outcome.FIRST]
    return fmean(uses[node] / len(records) for node in lasts) if lasts else None


def spread(per_node: Mapping[str, int]) -> Spread | None:
    """How evenly the sessions spread, from node -> its sessions; None without sessions."""
    counts = sorted(per_node.values(), reverse=True)
    total, reached, half = sum(counts), 0, 0
    if not total:
        return None
    while 2 * reached < total:
        reached += counts[half]
        half += 1
    return Spread(len(counts), counts[0] / total, half)


def histogram(values: Sequence[int], most: int) -> list[Bin]:
    """Values from 1 up in at most ``most`` bins of one round width (1, 2 or 5 times a power of ten)."""
    if not values:
        return []
    width = next(width for width in round_numbers() if width * most >= max(values))
    counts = Counter((value - 1) // width for value in values)
    return [Bin(1 + i * width, (i + 1) * width, counts[i]) for i in range(max(counts) + 1)]


def round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, and so on."""
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def _last_node(record: SessionRecord) -> str:
    return record.node if record.outcome is Outcome.REUSED else record.last_node
