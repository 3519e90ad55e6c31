"""The report's plots: SVG files that stand in docs/measured.md, one row an arm. Pure, but for the template it reads.

GitHub shows them as images, so each brings its colours for light and dark, its own paper, and its own style sheet.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from math import log
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.headline.arms import CONTROL, ORACLE
from benchmarks.headline.kept import Run
from kubectl_lastnode.output import NBSP
from kubectl_lastnode.page import environment

WIDTH: Final = 860
# Above the first row, of a row, and below the last.
_TOP, _ROW, _BELOW = 92, 26, 48
# Where a log axis of seconds may have its ticks.
_MARKS: Final = (1, 2, 5, 10, 20, 60, 120, 300, 600, 1200, 3600, 7200, 21600, 86400, 604800)


class Axis(NamedTuple):
    """``ticks``: place (share of the axis) and label, "" for a line without one. ``place``: where a value lies."""

    ticks: Sequence[tuple[float, str]]
    place: Callable[[float], float]
    label: str


class Mark(NamedTuple):
    """``kind``: bar, dot, tick or line; ``at``, and of a line ``end``: places on the axis; ``half`` of a tick: px."""

    kind: str
    style: str
    at: float
    end: float = 0.0
    half: int = 0


class Row(NamedTuple):
    """What stands in an arm's row: marks on the axis, and values as text on the right."""

    arm: str
    marks: Sequence[Mark]
    values: Sequence[str]


def files(runs: Sequence[Run]) -> dict[str, str]:
    """File name -> content, of every plot that these runs have something to show in; the same bytes every time."""
    if not runs:
        return {}
    made = {"startup": _startup(runs), "came-back": _came_back(runs)}
    timed = [run for run in runs if run.rates]
    if timed:
        made["throughput"] = _throughput(timed)
    template = environment().from_string(Path(__file__).with_name("plot.svg.jinja").read_text("utf-8"))
    height = {name: _TOP + len(plot["rows"]) * _ROW + _BELOW for name, plot in made.items()}
    common = {"of": runs[0], "width": WIDTH, "key": (), "aim": None}
    return {
        f"{name}.svg": f"{template.render(common | plot | {'height': height[name]})}\n" for name, plot in made.items()
    }


def _startup(runs: Sequence[Run]) -> dict[str, Any]:
    axis = _log(max(max(run.summary.p95, run.summary.mean) for run in runs), "model seconds")

    def row(run: Run) -> Row:
        style, (mean, p50, p95) = _style(run), (run.summary.mean, run.summary.p50, run.summary.p95)
        at_mean, at_p50, at_p95 = map(axis.place, (mean, p50, p95))
        marks = [
            Mark("line", f"{style} reach", at_p50, end=at_p95),
            Mark("dot", f"{style} ring", at_p50),
            Mark("dot", f"{style} dot", at_mean),
            Mark("tick", f"{style} end", at_p95, half=6),
        ]
        return Row(run.arm, marks, [f"{seconds:.2f}" for seconds in (mean, p50, p95)])

    return {
        "title": "Start-up time of the returning sessions",
        "about": "model seconds, from a pod being bound to Ready; log scale",
        "heads": ("mean", "p50", "p95"),
        "axis": axis,
        "key": (("ring", "p50"), ("dot", "mean"), ("end", "p95")),
        "rows": [*map(row, runs)],
    }


def _came_back(runs: Sequence[Run]) -> dict[str, Any]:
    quarters = [(part / 4, f"{25 * part}{NBSP}%") for part in range(5)]

    def row(run: Run) -> Row:
        back, possible = (part / run.summary.returning for part in (run.summary.remembered, run.summary.possible))
        marks = [Mark("bar", _style(run), back), Mark("tick", "limit", possible, half=9)]
        return Row(run.arm, marks, [f"{back:.1%}", f"{possible:.1%}"])

    return {
        "title": "Sessions on a node that their workload remembered",
        "about": "bar: of the sessions that had one; line: how many could have, given where the arm's ran before",
        "heads": ("ran there", "possible"),
        "axis": Axis(quarters, lambda value: value, "of the returning sessions"),
        "rows": [*map(row, runs)],
    }


def _throughput(runs: Sequence[Run]) -> dict[str, Any]:
    medians = {run.arm: statistics.median(run.rates) for run in runs}
    spans = {run.arm: _quartiles(run.rates) for run in runs}
    axis = _linear(max(high for _, high in spans.values()), "pods a second, real time")
    peer = medians.get(CONTROL)

    def row(run: Run) -> Row:
        low, high = map(axis.place, spans[run.arm])
        marks = [Mark("bar", _style(run), axis.place(medians[run.arm])), Mark("line", "limit", low, end=high)]
        return Row(run.arm, marks, [f"{medians[run.arm]:.0f}", f"{medians[run.arm] / peer:.2f}" if peer else ""])

    return {
        "title": "Scheduling throughput",
        "about": "pods bound a second, real time; bar: median of the waves, line: the middle half of them",
        "heads": ("pods/s", "of none"),
        "axis": axis,
        "aim": axis.place(0.8 * peer) if peer else None,
        "rows": [*map(row, runs)],
    }


def _linear(top: float, label: str) -> Axis:
    """From 0 to ``top`` or just beyond, with at most five round steps."""
    steps = (step * 10.0**power for power in range(-6, 12) for step in (1, 2, 5))
    step = next(step for step in steps if 5 * step >= top)
    count = next(count for count in range(1, 6) if count * step >= top)
    ticks = [(number / count, f"{number * step:,.12g}") for number in range(count + 1)]
    return Axis(ticks, lambda value: value / (count * step), label)


def _log(slowest: float, label: str) -> Axis:
    """From 1 to the first mark that ``slowest`` does not exceed; what is below 1 lies at 1."""
    marks = _MARKS[: 2 + sum(mark < slowest for mark in _MARKS[1:])]
    top = max(*marks, slowest)

    def place(value: float) -> float:
        return min(1.0, log(max(1.0, value)) / log(top))

    return Axis([(place(mark), str(mark)) for mark in marks], place, label)


def _quartiles(rates: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else [*rates] * 3
    return cuts[0], cuts[2]


def _style(run: Run) -> str:
    return "oracle" if run.arm == ORACLE else "none" if run.arm.startswith("none-") else "ours"


TITLES: Final[Mapping[str, str]] = {
    "startup.svg": "Start-up times: mean, p50, p95",
    "came-back.svg": "Sessions on a remembered node",
    "throughput.svg": "Pods a second",
}
