"""What became of one session: pure, from where it ran and where its workload had run last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["first", "reused", "older", "moved"]


@dataclass(frozen=True, slots=True)
class Run:
    """One finished session. ``seconds``: from its Sandbox being asked for to its pod being Ready, on the clock."""

    arm: str
    kind: str
    workload: str
    session: str
    node: str
    outcome: Outcome
    seconds: float


def outcome_of(node: str, former: Sequence[str]) -> Outcome:
    """``former``: where the workload's sessions before this one ran, the last one last."""
    if not former:
        return "first"
    if node == former[-1]:
        return "reused"
    return "older" if node in former else "moved"


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
