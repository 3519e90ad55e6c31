"""What became of each session, and the summary of an arm. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from benchmarks.headline.seats import assign
from benchmarks.headline.world import Round, room
from lastnode.contract import DEFAULT_RECENT_NODES

# Why a session ran on none of the nodes that it wanted, as this experiment knows it: it made the world.
GONE: Final = "all of its nodes are gone"
CORDONED: Final = "those that are left are cordoned"
FULL: Final = "others or sessions of its wave took the room"
UNWRITTEN: Final = "the memory named none of those with room"
ELSEWHERE: Final = "another node was chosen (sampled out or outscored)"
REASONS: Final = (GONE, CORDONED, FULL, UNWRITTEN, ELSEWHERE)


class Ran(msgspec.Struct, frozen=True, array_like=True):
    """One session. ``seconds``: the model's start-up, from being bound to Ready. ``known``: the nodes that its workload
    remembered when its wave began, newest first. ``why``: of REASONS for one that ran on none that it wanted, else "".
    """

    round: int
    wave: int
    workload: int
    node: str
    seconds: float
    pulled: int
    known: tuple[str, ...]
    why: str = ""

    @property
    def returning(self) -> bool:
        return bool(self.known)

    @property
    def came_back(self) -> bool:
        return self.node in self.known[:1]

    @property
    def remembered(self) -> bool:
        return self.node in self.known


class Memories:
    """Where the sessions of each workload ran, as lastnode keeps it by default; in arms without lastnode too."""

    def __init__(self) -> None:
        self._nodes: dict[int, tuple[str, ...]] = {}

    def of(self, workload: int) -> tuple[str, ...]:
        """Newest first, each node once."""
        return self._nodes.get(workload, ())

    def add(self, workload: int, node: str) -> None:
        """A session of it became Ready there, later than all others."""
        others = (other for other in self.of(workload) if other != node)
        self._nodes[workload] = (node, *others)[:DEFAULT_RECENT_NODES]


def why(node: str, wanted: Sequence[str], now: Round, load: Mapping[str, int], noted: Container[str]) -> str:
    """``load``: how many sessions of this wave ran on a node. ``noted``: what the workload's annotations named when the
    wave began."""
    if not wanted or node in wanted:
        return ""
    there = [each for each in wanted if each in now.taken]
    allowed = [each for each in there if each not in now.cordoned]
    roomy = [each for each in allowed if load.get(each, 0) < room(now, each)]
    if not there:
        return GONE
    if not allowed:
        return CORDONED
    if not roomy:
        return FULL
    return ELSEWHERE if any(each in noted for each in roomy) else UNWRITTEN


class Summary(msgspec.Struct, frozen=True):
    """Of the sessions whose workload remembered a node, unless said otherwise. Seconds are the model's.

    ``came_back``: to the last node. ``remembered``: ran on any remembered one, and ``possible``: how many could have at
    most, given where the sessions before ran. ``back_mean``: of those that did. ``seconds``: of those with a reason,
    the mean by reason, 0 where there are none. ``first_mean``: of the first round's sessions. ``spread``: mean over the
    waves of the standard deviation of the number of sessions a node, over the nodes with room. ``fullest``: mean over
    the waves of the most sessions on one node. ``together``, ``most_together``: most sessions of one workload on one
    node at a time, the mean over workloads and waves, and the largest.
    """

    sessions: int
    returning: int
    came_back: int
    remembered: int
    possible: int
    mean: float
    p50: float
    p95: float
    first_mean: float
    pulled: int
    spread: float
    fullest: float
    reasons: dict[str, int]
    back_mean: float
    seconds: dict[str, float]
    together: float
    most_together: int


def summary(ran: Sequence[Ran], rounds: Iterable[Round]) -> Summary:
    """:raises ValueError: nobody returned."""
    back = [one for one in ran if one.returning]
    if not back:
        raise ValueError("no session had a node to come back to")
    seconds = sorted(one.seconds for one in back)
    cuts = statistics.quantiles(seconds * 2 if len(seconds) == 1 else seconds, n=20, method="inclusive")
    world = {now.number: now for now in rounds}
    spreads, fullest = zip(*_loads(back, world), strict=True)
    by_reason = {reason: [one.seconds for one in back if one.why == reason] for reason in REASONS}
    together = Counter((one.round, one.workload, one.node) for one in back)
    most: dict[tuple[int, int], int] = {}
    for (number, workload, _), count in together.items():
        most[number, workload] = max(count, most.get((number, workload), 0))
    return Summary(
        sessions=len(ran),
        returning=len(back),
        came_back=sum(one.came_back for one in back),
        remembered=sum(one.remembered for one in back),
        possible=_possible(back, world),
        mean=statistics.fmean(seconds),
        p50=cuts[9],
        p95=cuts[18],
        first_mean=statistics.fmean(one.seconds for one in ran if not one.returning),
        pulled=sum(one.pulled for one in back),
        spread=statistics.fmean(spreads),
        fullest=statistics.fmean(fullest),
        reasons={reason: len(by_reason[reason]) for reason in REASONS},
        back_mean=_mean(one.seconds for one in back if one.remembered),
        seconds={reason: _mean(some) for reason, some in by_reason.items()},
        together=statistics.fmean(most.values()),
        most_together=max(most.values()),
    )


def _mean(seconds: Iterable[float]) -> float:
    some = [*seconds]
    return statistics.fmean(some) if some else 0.0


def _possible(ran: Iterable[Ran], world: Mapping[int, Round]) -> int:
    waves: dict[tuple[int, int], list[tuple[str, ...]]] = {}
    for one in ran:
        waves.setdefault((one.round, one.wave), []).append(one.known)
    rooms = {number: {node: room(now, node) for node in now.taken} for number, now in world.items()}
    return sum(sum(map(bool, assign(known, rooms[number]))) for (number, _), known in waves.items())


def _loads(ran: Iterable[Ran], world: Mapping[int, Round]) -> Iterable[tuple[float, int]]:
    waves: dict[tuple[int, int], Counter[str]] = {}
    for one in ran:
        waves.setdefault((one.round, one.wave), Counter())[one.node] += 1
    for (number, _), load in waves.items():
        now = world[number]
        open_to_all = [node for node in now.taken if room(now, node)]
        yield statistics.pstdev(load[node] for node in open_to_all), max(load.values())
