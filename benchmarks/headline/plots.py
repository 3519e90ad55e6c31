"""The report's plots: SVG files that stand in docs/measured.md, one row an arm. Pure.

GitHub shows them as images, so each brings its colours for light and dark, its own paper, and its own style sheet.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element

from benchmarks.headline.arms import CONTROL, ORACLE
from benchmarks.headline.kept import Run
from kubectl_lastnode.page import plots as kit
from kubectl_lastnode.page.wording import NBSP

WIDTH: Final = 860
# Where the arms' names end, the axis begins and ends, and the values end.
_NAMES, _LEFT, _RIGHT, _VALUES = 138, 150, 645, 840
_TOP, _ROW, _BAR = 92, 26, 14
# The palette of the report's page (kubectl_lastnode/page/templates/report.css): after Okabe and Ito.
_STYLE: Final = """
svg { --paper: #ffffff; --ink: #16191d; --soft: #565d66; --rule: #dfe2e6; --mark: #8a929c;
  --ours: #0067a8; --none: #7b828c; --oracle: #c85500; }
@media (prefers-color-scheme: dark) { svg { --paper: #14171b; --ink: #e9ebee; --soft: #a3abb5; --rule: #323840;
  --mark: #77808b; --ours: #56b4e9; --none: #8d96a1; --oracle: #f0932b; } }
.paper { fill: var(--paper); }
text { fill: var(--soft); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; }
.title { fill: var(--ink); font-size: 16px; font-weight: 600; }
.name, .value { fill: var(--ink); text-anchor: end; }
.value { font-size: 13px; } .name { font-size: 13px; }
.head { text-anchor: end; }
.x { text-anchor: middle; }
.grid { stroke: var(--rule); } .axis { stroke: var(--mark); }
.aim { stroke: var(--ink); stroke-dasharray: 4 3; }
.ours { fill: var(--ours); stroke: var(--ours); } .none { fill: var(--none); stroke: var(--none); }
.oracle { fill: var(--oracle); stroke: var(--oracle); }
.key { fill: var(--soft); stroke: var(--soft); }
rect.ours, rect.none, rect.oracle, .dot { stroke: none; }
.ring { fill: var(--paper); stroke-width: 2; }
.reach { stroke-width: 2; } .end { stroke-width: 3; } .limit { stroke: var(--ink); stroke-width: 2; }
"""


class Axis(NamedTuple):
    """``ticks``: place (share of the axis) and label, "" for a line without one. ``place``: where a value lies."""

    ticks: Sequence[tuple[float, str]]
    place: Callable[[float], float]
    label: str


class Frame(NamedTuple):
    """``area``: the part of the plot between the axis's ends, as a drawing of its own; ``axis``: what lies there."""

    plot: Element
    area: Element
    axis: Axis
    runs: Sequence[Run]

    @property
    def bottom(self) -> int:
        return _TOP + len(self.runs) * _ROW

    def rows(self) -> Iterable[tuple[Run, int]]:
        """Each run with the middle of its row."""
        return ((run, _TOP + row * _ROW + _ROW // 2) for row, run in enumerate(self.runs))

    def bar(self, run: Run, value: float, y: int) -> None:
        length = kit.share(self.axis.place(value))
        kit.put(self.area, "rect", _style(run), width=length, y=y - _BAR // 2, height=_BAR)

    def dot(self, style: str, value: float, y: float) -> None:
        kit.dot(self.area, self.axis.place(value), y, style, 4.5)

    def tick(self, style: str, value: float, y: float, half: float) -> None:
        kit.tick(self.area, self.axis.place(value), y - half, y + half, style)

    def across(self, style: str, begin: float, end: float, y: int) -> None:
        left, right = (kit.share(self.axis.place(value)) for value in (begin, end))
        kit.put(self.area, "line", style, x1=left, x2=right, y1=y, y2=y)

    def values(self, y: int, *values: str) -> None:
        for x, value in zip(_columns(len(values)), values, strict=True):
            kit.put(self.plot, "text", "value", value, x=x, y=y + 4)


def files(runs: Sequence[Run]) -> dict[str, str]:
    """File name -> content, of every plot that these runs have something to show in; the same bytes every time."""
    if not runs:
        return {}
    made = {"startup": _startup(runs), "came-back": _came_back(runs), "pulled": _pulled(runs), "spread": _spread(runs)}
    timed = [run for run in runs if run.rates]
    if timed:
        made["throughput"] = _throughput(timed)
    return {f"{name}.svg": f"{kit.markup(plot)}\n" for name, plot in made.items()}


def _startup(runs: Sequence[Run]) -> Element:
    frame = _frame(
        "Start-up time of the returning sessions",
        "model seconds, from a pod being bound to Ready; log scale",
        ("mean", "p50", "p95"),
        runs,
        _log(max(max(run.summary.p95, run.summary.mean) for run in runs), "model seconds"),
    )
    _key(frame.area, (("ring", "p50"), ("dot", "mean"), ("end", "p95")))
    for run, y in frame.rows():
        own, style = run.summary, _style(run)
        frame.across(f"{style} reach", own.p50, own.p95, y)
        frame.dot(f"{style} ring", own.p50, y)
        frame.dot(f"{style} dot", own.mean, y)
        frame.tick(f"{style} end", own.p95, y, 6)
        frame.values(y, f"{own.mean:.2f}", f"{own.p50:.2f}", f"{own.p95:.2f}")
    return frame.plot


def _came_back(runs: Sequence[Run]) -> Element:
    quarters = [(part / 4, f"{25 * part}{NBSP}%") for part in range(5)]
    frame = _frame(
        "Sessions that came back to their last node",
        "bar: of the sessions that had one; line: how many could have, given where the arm's last ones ran",
        ("came back", "possible"),
        runs,
        Axis(quarters, lambda value: value, "of the returning sessions"),
    )
    for run, y in frame.rows():
        back, possible = (part / run.summary.returning for part in (run.summary.came_back, run.summary.possible))
        frame.bar(run, back, y)
        frame.tick("limit", possible, y, 9)
        frame.values(y, f"{back:.1%}", f"{possible:.1%}")
    return frame.plot


def _pulled(runs: Sequence[Run]) -> Element:
    terabytes = [run.summary.pulled / 1e12 for run in runs]
    frame = _frame(
        "Pulled from the registry for returning sessions",
        "bar: bytes of the model, compressed; what a first session pulls is not in it",
        ("TB",),
        runs,
        _linear(max(terabytes), "TB of the model, all rounds but the first"),
    )
    for (run, y), size in zip(frame.rows(), terabytes, strict=True):
        frame.bar(run, size, y)
        frame.values(y, f"{size:.3f}")
    return frame.plot


def _spread(runs: Sequence[Run]) -> Element:
    frame = _frame(
        "Spread of the sessions over the nodes",
        "bar: standard deviation of the sessions a node; dot: most on one node; means over the waves",
        ("deviation", "most"),
        runs,
        _linear(max(run.summary.fullest for run in runs), "returning sessions of a wave on one node"),
    )
    for run, y in frame.rows():
        frame.bar(run, run.summary.spread, y)
        frame.dot(f"{_style(run)} dot", run.summary.fullest, y)
        frame.values(y, f"{run.summary.spread:.2f}", f"{run.summary.fullest:.1f}")
    return frame.plot


def _throughput(runs: Sequence[Run]) -> Element:
    medians = {run.arm: statistics.median(run.rates) for run in runs}
    spans = {run.arm: _quartiles(run.rates) for run in runs}
    frame = _frame(
        "Scheduling throughput",
        "pods bound a second, real time; bar: median of the waves, line: the middle half of them",
        ("pods/s", "of none"),
        runs,
        _linear(max(high for _, high in spans.values()), "pods a second, real time"),
    )
    peer = medians.get(CONTROL)
    for run, y in frame.rows():
        frame.bar(run, medians[run.arm], y)
        frame.across("limit", *spans[run.arm], y)
        frame.values(y, f"{medians[run.arm]:.0f}", f"{medians[run.arm] / peer:.2f}" if peer else "")
    if peer:
        aim = frame.axis.place(0.8 * peer)
        kit.tick(frame.area, aim, _TOP, frame.bottom, "aim")
        kit.text(frame.area, aim, _TOP - 5, "aim: 0.8 of none", "x")
    return frame.plot


def _frame(title: str, about: str, heads: Sequence[str], runs: Sequence[Run], axis: Axis) -> Frame:
    """An empty plot: title, axis, the arms' names, and the heads of the values on the right."""
    height = _TOP + len(runs) * _ROW + 48
    plot = kit.canvas(height, f"{title}, by arm: {about}")
    plot.attrib |= {"xmlns": "http://www.w3.org/2000/svg", "width": str(WIDTH), "viewBox": f"0 0 {WIDTH} {height}"}
    kit.put(plot, "style", words=_STYLE)
    kit.put(plot, "rect", "paper", width="100%", height="100%")
    for x, y, words, style in (
        (16, 28, title, "title"),
        (16, 48, about, "about"),
        (_VALUES, 28, f"{runs[0].workloads:,} workloads, {runs[0].nodes:,} nodes", "head"),
        *((x, _TOP - 5, head, "head") for x, head in zip(_columns(len(heads)), heads, strict=True)),
    ):
        kit.put(plot, "text", style, words, x=x, y=y)
    area = kit.put(plot, "svg", x=_LEFT, width=_RIGHT - _LEFT, height=height, overflow="visible")
    frame = Frame(plot, area, axis, runs)
    for place, label in axis.ticks:
        kit.tick(area, place, _TOP, frame.bottom + 4, "grid" if place else "axis")
        kit.text(area, place, frame.bottom + 18, label, "x")
    kit.text(area, 0.5, frame.bottom + 37, axis.label, "x")
    for run, y in frame.rows():
        kit.put(plot, "text", "name", run.arm, x=_NAMES, y=y + 4)
    return frame


def _linear(top: float, label: str) -> Axis:
    """From 0 to ``top`` or just beyond, with at most five round steps."""
    steps = (step * 10.0**power for power in range(-6, 12) for step in (1, 2, 5))
    step = next(step for step in steps if 5 * step >= top)
    count = next(count for count in range(1, 6) if count * step >= top)
    ticks = [(number / count, f"{number * step:,.12g}") for number in range(count + 1)]
    return Axis(ticks, lambda value: value / (count * step), label)


def _log(slowest: float, label: str) -> Axis:
    marks = [*kit.log_ticks(slowest)]
    top = max(*marks, slowest)
    ticks = [(kit.log_position(mark, top), str(mark)) for mark in marks]
    return Axis(ticks, lambda value: kit.log_position(value, top), label)


def _key(area: Element, marks: Iterable[tuple[str, str]]) -> None:
    """What the marks of a row are, above the rows."""
    for at, (mark, words) in enumerate(marks):
        x, y = at * 0.12, _TOP - 9
        if mark == "end":
            kit.tick(area, x, y - 6, y + 6, "key end")
        else:
            kit.dot(area, x, y, f"key {mark}", 4.5)
        kit.text(area, x + 0.018, y + 4, words, "about")


def _columns(count: int) -> list[int]:
    """Where the columns of values end."""
    return [_VALUES - 64 * back for back in reversed(range(count))]


def _quartiles(rates: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(rates, n=4, method="inclusive") if len(rates) > 1 else [*rates] * 3
    return cuts[0], cuts[2]


def _style(run: Run) -> str:
    return "oracle" if run.arm == ORACLE else "none" if run.arm.startswith("none-") else "ours"


TITLES: Final[Mapping[str, str]] = {
    "startup.svg": "Start-up time by arm: mean, p50 and p95",
    "came-back.svg": "Share of sessions that came back, by arm",
    "pulled.svg": "Terabytes pulled, by arm",
    "spread.svg": "Spread of sessions over nodes, by arm",
    "throughput.svg": "Pods bound a second, by arm",
}
