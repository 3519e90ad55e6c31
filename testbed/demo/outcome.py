"""What became of one session: pure, from where it ran and where its workload had run last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lastnode.contract import DEFAULT_RECENT_NODES

# What chance alone may bring to a known node in a control arm before the comparison means little. On 80 nodes that is
# one session in 80 for a last node, and one in eight for the eight nodes that a workload remembers.
MOST_BY_CHANCE: Final = 0.2
MOST_OF_EIGHT_BY_CHANCE: Final = 0.5

Outcome = Literal["first", "reused", "older", "moved"]


@dataclass(frozen=True, slots=True)
class Run:
    """One finished session. ``seconds``: from being asked for to Ready, on the clock; ``bound``: of these, to having a
    node. ``pod``, ``uid``: its pod's. ``told``: whether its spec came with a preference."""

    arm: str
    kind: str
    workload: str
    session: str
    node: str
    outcome: Outcome
    seconds: float
    pod: str = ""
    uid: str = ""
    told: bool = False
    bound: float = 0.0


def remembered(former: Iterable[str]) -> list[str]:
    """The nodes that a workload should remember, newest first. ``former``: where its sessions ran, the newest last."""
    return list(dict.fromkeys(reversed(list(former))))[:DEFAULT_RECENT_NODES]


def outcome_of(node: str, former: Sequence[str]) -> Outcome:
    """``former``: where the workload's sessions before this one ran, the last one last."""
    if not former:
        return "first"
    if node == former[-1]:
        return "reused"
    return "older" if node in remembered(former) else "moved"


def chance(title: str, share: float, most: float = MOST_BY_CHANCE) -> list[str]:
    """A line where so many of a control arm's sessions went to a known node that the comparison says little."""
    line = f"{title}: {share:.0%} came back by chance, so that the comparison says little"
    return [line] if share >= most else []


@dataclass(frozen=True, slots=True)
class Total:
    """Counts and mean start-up seconds of one arm; a mean is None where nothing was counted."""

    arm: str
    returning: int
    reused: int
    first_seconds: float | None
    reused_seconds: float | None
    moved_seconds: float | None

    @property
    def share(self) -> float:
        """Of the sessions that could come back, how many did: 0 to 1."""
        return self.reused / self.returning if self.returning else 0.0


def total_of(arm: str, runs: Iterable[Run]) -> Total:
    """The totals of one arm's runs."""
    own = [run for run in runs if run.arm == arm]
    returning = [run for run in own if run.outcome != "first"]
    return Total(
        arm=arm,
        returning=len(returning),
        reused=sum(run.outcome == "reused" for run in returning),
        first_seconds=_mean(own, "first"),
        reused_seconds=_mean(own, "reused"),
        moved_seconds=_mean(own, "moved"),
    )


def _mean(runs: Iterable[Run], outcome: Outcome) -> float | None:
    seconds = [run.seconds for run in runs if run.outcome == outcome]
    return sum(seconds) / len(seconds) if seconds else None
