"""What became of each session, and the summary of an arm. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from benchmarks.headline.world import Round, room

# Why a session that had a last node ran elsewhere, as this experiment knows it: it made the world.
GONE: Final = "its node is gone"
CORDONED: Final = "its node is cordoned"
FULL: Final = "others or sessions of its wave took the room"
UNWRITTEN: Final = "the memory did not name its node"
ELSEWHERE: Final = "another node was chosen (sampled out or outscored)"
REASONS: Final = (GONE, CORDONED, FULL, UNWRITTEN, ELSEWHERE)


class Ran(msgspec.Struct, frozen=True, array_like=True):
    """One session. ``seconds``: the model's start-up, from being bound to Ready. ``last``: where its workload's session
    of the round before ran, "" in the first round. ``why``: of REASONS for one that did not come back, else "".
    """

    round: int
    wave: int
    workload: int
    node: str
    seconds: float
    pulled: int
    last: str
    why: str = ""

    @property
    def returning(self) -> bool:
        return self.last != ""

    @property
    def came_back(self) -> bool:
        return self.returning and self.node == self.last


def why(workload: int, node: str, last: str, now: Round, on_last: int, remembered: Mapping[int, str]) -> str:
    """``on_last``: how many sessions of this wave ran on the last node. ``remembered``: workload -> the node that its
    annotation named when the wave began; a workload that is not in it has none."""
    if last in ("", node):
        return ""
    if last not in now.taken:
        return GONE
    if last in now.cordoned:
        return CORDONED
    if on_last >= room(now, last):
        return FULL
    return UNWRITTEN if remembered.get(workload, last) != last else ELSEWHERE


class Summary(msgspec.Struct, frozen=True):
    """Of the sessions that had a last node, unless said otherwise. Seconds are the model's.

    ``possible``: how many could have come back at most, given where the last sessions ran: of each wave, as many as
    their last nodes had room for. ``back_mean``: of those that came back. ``seconds``: of those that did not, the mean
    by reason, 0 where there are none. ``first_mean``: of the first round's sessions. ``spread``: mean over the waves of
    the standard deviation of the number of sessions a node, over the nodes with room. ``fullest``: mean over the waves
    of the most sessions on one node.
    """

    sessions: int
    returning: int
    came_back: int
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


def summary(ran: Sequence[Ran], rounds: Iterable[Round]) -> Summary:
    """:raises ValueError: nobody returned."""
    back = [one for one in ran if one.returning]
    if not back:
        raise ValueError("no session had a node to come back to")
    seconds = sorted(one.seconds for one in back)
    cuts = statistics.quantiles(seconds * 2 if len(seconds) == 1 else seconds, n=20, method="inclusive")
    world = {now.number: now for now in rounds}
    spreads, fullest = zip(*_loads(back, world), strict=True)
    by_reason = {reason: [one.seconds for one in back if one.why == reason] for reason in ("", *REASONS)}
    means = {reason: statistics.fmean(some) if some else 0.0 for reason, some in by_reason.items()}
    return Summary(
        sessions=len(ran),
        returning=len(back),
        came_back=sum(one.came_back for one in back),
        possible=_possible(back, world),
        mean=statistics.fmean(seconds),
        p50=cuts[9],
        p95=cuts[18],
        first_mean=statistics.fmean(one.seconds for one in ran if not one.returning),
        pulled=sum(one.pulled for one in back),
        spread=statistics.fmean(spreads),
        fullest=statistics.fmean(fullest),
        reasons={reason: len(by_reason[reason]) for reason in REASONS},
        back_mean=means[""],
        seconds={reason: means[reason] for reason in REASONS},
    )


def _possible(ran: Iterable[Ran], world: Mapping[int, Round]) -> int:
    wanted = Counter((one.round, one.wave, one.last) for one in ran)
    return sum(min(count, room(world[number], node)) for (number, _, node), count in wanted.items())


def _loads(ran: Iterable[Ran], world: Mapping[int, Round]) -> Iterable[tuple[float, int]]:
    waves: dict[tuple[int, int], Counter[str]] = {}
    for one in ran:
        waves.setdefault((one.round, one.wave), Counter())[one.node] += 1
    for (number, _), load in waves.items():
        now = world[number]
        open_to_all = [node for node in now.taken if room(now, node)]
        yield statistics.pstdev(load[node] for node in open_to_all), max(load.values())
