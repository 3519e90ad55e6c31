"""What the full size is meant to reach, and whether the finished arms do. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from benchmarks.headline.arms import CONTROL
from benchmarks.headline.kept import Run
from benchmarks.headline.ran import Summary


class Aim(NamedTuple):
    """``what``: a column's heading. ``of``: of the arm and the one that it is set beside. ``least``: else at most."""

    at_a_time: int
    what: str
    arm: str
    beside: str
    of: Callable[[Run, Run], float]
    bound: float
    least: bool = True


def cut(run: Run, beside: Run) -> float:
    """Of the mean start-up of returning sessions."""
    return 1 - run.summary.mean / beside.summary.mean


def rate(run: Run, beside: Run) -> float:
    """Of the pods bound a second, medians of the waves; both have some."""
    return statistics.median(run.rates) / statistics.median(beside.rates)


def _of(value: Callable[[Summary, Summary], float]) -> Callable[[Run, Run], float]:
    return lambda run, beside: value(run.summary, beside.summary)


_warm: Final = _of(lambda own, _: own.remembered / own.returning)
_back: Final = _of(lambda own, _: own.came_back / own.returning)
_first: Final = _of(lambda own, other: 1 - own.first_mean / other.first_mean)
_uneven: Final = _of(lambda own, other: own.spread / other.spread)
_heap: Final = _of(lambda own, other: own.together - other.together)
_LAST, _OLDER, _ALIKE, _GROUPS = (f"{preference}-sticky" for preference in ("last", "older", "alike", "groups"))
AIMS: Final = (
    Aim(1, "cut", _OLDER, CONTROL, cut, 0.83),
    Aim(1, "cut", _GROUPS, CONTROL, cut, 0.83),
    Aim(1, "first s cut", _GROUPS, CONTROL, _first, 0.45),
    Aim(1, "last node", _OLDER, CONTROL, _back, 0.89),
    Aim(1, "deviation", _OLDER, _LAST, _uneven, 1.02, least=False),
    Aim(1, "deviation", _OLDER, CONTROL, _uneven, 1.02, least=False),
    Aim(1, "pods/s", _OLDER, _LAST, rate, 0.95),
    Aim(1, "pods/s", _OLDER, CONTROL, rate, 0.8),
    Aim(8, "remembered node", _OLDER, CONTROL, _warm, 0.95),
    Aim(8, "cut", _OLDER, CONTROL, cut, 0.8),
    Aim(8, "remembered node", _ALIKE, CONTROL, _warm, 0.95),
    Aim(8, "of one workload", _ALIKE, CONTROL, _heap, 1.0, least=False),
    Aim(8, "pods/s", _OLDER, _LAST, rate, 0.95),
    Aim(8, "pods/s", _OLDER, CONTROL, rate, 0.8),
)


def text(runs: Sequence[Run]) -> str:
    """What was reached and what missed, of aims whose arms were run; empty where none was."""
    found = {(run.at_a_time, run.arm): run for run in runs}
    told: dict[str, list[str]] = {"reached": [], "missed": []}
    for aim in AIMS:
        run, beside = found.get((aim.at_a_time, aim.arm)), found.get((aim.at_a_time, aim.beside))
        if run and beside:
            word, said = _judged(aim, aim.of(run, beside))
            told[word].append(said)
    return "\n\n".join(f"Aims {word}: {'; '.join(said)}." for word, said in told.items() if said)


def _judged(aim: Aim, value: float) -> tuple[str, str]:
    word = "reached" if (value >= aim.bound if aim.least else value <= aim.bound) else "missed"
    beside = "" if aim.beside == CONTROL else f", of {aim.beside}"
    return word, f"{aim.arm} {aim.what}{beside} {value:.3g} ({'≥' if aim.least else '≤'}{aim.bound:g})"
