"""The report's plots: SVG files that stand in docs/headline.md, one row an arm. Pure.

GitHub shows them as images, so each brings its colours for light and dark, its own paper, and its own style sheet.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from benchmarks.headline.arms import CONTROL, ORACLE
from benchmarks.headline.kept import Run
from kubectl_lastnode.page import svg
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
    """``area``: the part of the plot between the axis's ends, as a drawing of its own."""

    plot: Element
    area: Element
    rows: int

    @property
    def bottom(self) -> int:
        return _TOP + self.rows * _ROW


def files(runs: Sequence[Run]) -> dict[str, str]:
    """File name -> content, of every plot that these runs have something to show in; the same bytes every time."""
    if not runs:
        return {}
    made = {"startup": _startup(runs), "came-back": _came_back(runs), "pulled": _pulled(runs), "spread": _spread(runs)}
    timed = [run for run in runs if run.rates]
    if timed:
        made["throughput"] = _throughput(timed)
    return {f"{name}.svg": f"{svg.markup(plot)}\n" for name, plot in made.items()}


def _startup(runs: Sequence[Run]) -> Element:
    slowest = max(max(run.summary.p95, run.summary.mean) for run in runs)
    frame = _frame(
        "Start-up time of the returning sessions",
        "model seconds, from a pod being bound to Ready; log scale",
        ("mean", "p50", "p95"),
        runs,
        _log(slowest, "model seconds"),
    )
    _key(frame, (("ring", "p50"), ("dot", "mean"), ("end", "p95")))
    place = _log(slowest, "").place
    for run, y in _rows(runs):
        own, style = run.summary, _style(run)
        _across(frame, place(own.p50), place(own.p95), y, f"{style} reach")
        svg.dot(frame.area, place(own.p50), y, f"{style} ring", 4.5)
        svg.dot(frame.area, place(own.mean), y, f"{style} dot", 4.5)
        svg.tick(frame.area, place(own.p95), y - 6, y + 6, f"{style} end")
        _values(frame, y, (f"{own.mean:.2f}", f"{own.p50:.2f}", f"{own.p95:.2f}"))
    return frame.plot


def _came_back(runs: Sequence[Run]) -> Element:
    axis = Axis(
        [(part / 4, f"{25 * part}{NBSP}%") for part in range(5)], lambda value: value, "of the returning sessions"
    )
    frame = _frame(
        "Sessions that came back to their last node",
        "bar: of the sessions that had one; line: how many could have, given where the arm's last ones ran",
        ("came back", "possible"),
        runs,
        axis,
    )
    for run, y in _rows(runs):
        back, possible = (part / run.summary.returning for part in (run.summary.came_back, run.summary.possible))
        _bar(frame, back, y, _style(run))
        svg.tick(frame.area, possible, y - 9, y + 9, "limit")
        _values(frame, y, (f"{back:.1%}", f"{possible:.1%}"))
    return frame.plot


def _pulled(runs: Sequence[Run]) -> Element:
    terabytes = [run.summary.pulled / 1e12 for run in runs]
    axis = _linear(max(terabytes), "TB of the model, all rounds but the first")
    frame = _frame(
        "Pulled from the registry for returning sessions",
        "bar: bytes of the model, compressed; what a first session pulls is not in it",
        ("TB",),
        runs,
        axis,
    )
    for (run, y), size in zip(_rows(runs), terabytes, strict=True):
        _bar(frame, axis.place(size), y, _style(run))
        _values(frame, y, (f"{size:.3f}",))
    return frame.plot


def _spread(runs: Sequence[Run]) -> Element:
    axis = _linear(max(run.summary.fullest for run in runs), "returning sessions of a wave on one node")
    frame = _frame(
        "Spread of the sessions over the nodes",
        "bar: standard deviation of the sessions a node; dot: most on one node; means over the waves",
        ("deviation", "most"),
        runs,
        axis,
    )
    for run, y in _rows(runs):
        own = run.summary
        _bar(frame, axis.place(own.spread), y, _style(run))
        svg.dot(frame.area, axis.place(own.fullest), y, f"{_style(run)} dot", 4.5)
        _values(frame, y, (f"{own.spread:.2f}", f"{own.fullest:.1f}"))
    return frame.plot


def _throughput(runs: Sequence[Run]) -> Element:
    medians = {run.arm: statistics.median(run.rates) for run in runs}
    spans = {run.arm: _quartiles(run.rates) for run in runs}
    axis = _linear(max(high for _, high in spans.values()), "pods a second, real time")
    frame = _frame(
        "Scheduling throughput",
        "pods bound a second, real time; bar: median of the waves, line: the middle half of them",
        ("pods/s", "of none"),
        runs,
        axis,
    )
    for run, y in _rows(runs):
        _bar(frame, axis.place(medians[run.arm]), y, _style(run))
        low, high = spans[run.arm]
        _across(frame, axis.place(low), axis.place(high), y, "limit")
        peer = medians.get(CONTROL)
        _values(frame, y, (f"{medians[run.arm]:.0f}", f"{medians[run.arm] / peer:.2f}" if peer else ""))
    if peer := medians.get(CONTROL):
        svg.tick(frame.area, axis.place(0.8 * peer), _TOP, frame.bottom, "aim")
        svg.text(frame.area, axis.place(0.8 * peer), _TOP - 5, "aim: 0.8 of none", "x")
    return frame.plot


def _frame(title: str, about: str, heads: Sequence[str], runs: Sequence[Run], axis: Axis) -> Frame:
    """An empty plot: title, axis, the arms' names, and the heads of the values on the right."""
    height = _TOP + len(runs) * _ROW + 48
    plot = svg.canvas(height, f"{title}, by arm: {about}")
    size = {"xmlns": "http://www.w3.org/2000/svg", "width": str(WIDTH), "viewBox": f"0 0 {WIDTH} {height}"}
    plot.attrib.update(size)
    SubElement(plot, "style").text = _STYLE
    SubElement(plot, "rect", {"class": "paper", "width": "100%", "height": "100%"})
    _words(plot, 16, 28, title, "title")
    _words(plot, 16, 48, about, "about")
    _words(plot, _VALUES, 28, f"{runs[0].workloads:,} workloads, {runs[0].nodes:,} nodes", "head")
    inner = {"x": str(_LEFT), "width": str(_RIGHT - _LEFT), "height": str(height), "overflow": "visible"}
    frame = Frame(plot, SubElement(plot, "svg", inner), len(runs))
    _axis(frame, axis)
    for run, y in _rows(runs):
        _words(plot, _NAMES, y + 4, run.arm, "name")
    for x, head in zip(_columns(len(heads)), heads, strict=True):
        _words(plot, x, _TOP - 5, head, "head")
    return frame


def _axis(frame: Frame, axis: Axis) -> None:
    for place, label in axis.ticks:
        svg.tick(frame.area, place, _TOP, frame.bottom + 4, "grid" if place else "axis")
        svg.text(frame.area, place, frame.bottom + 18, label, "x")
    svg.text(frame.area, 0.5, frame.bottom + 37, axis.label, "x")


def _linear(top: float, label: str) -> Axis:
    """From 0 to ``top`` or just beyond, with at most five round steps."""
    step = next(step for step in _round_steps() if 5 * step >= top)
    count = next(count for count in range(1, 6) if count * step >= top)
    ticks = [(number / count, f"{number * step:,.12g}") for number in range(count + 1)]
    return Axis(ticks, lambda value: value / (count * step), label)


def _round_steps() -> Iterable[float]:
    return (step * 10.0**power for power in range(-6, 12) for step in (1, 2, 5))


def _log(slowest: float, label: str) -> Axis:
    marks = [value for value, _ in svg.log_ticks(slowest)]
    top = max(marks[-1], slowest)
    return Axis(
        [(svg.log_position(value, top), str(value)) for value in marks],
        lambda value: svg.log_position(value, top),
        label,
    )


def _key(frame: Frame, marks: Iterable[tuple[str, str]]) -> None:
    """What the marks of a row are, above the rows."""
    for at, (mark, words) in enumerate(marks):
        x, y = at * 0.12, _TOP - 9
        if mark == "end":
            svg.tick(frame.area, x, y - 6, y + 6, "key end")
        else:
            svg.dot(frame.area, x, y, f"key {mark}", 4.5)
        svg.text(frame.area, x + 0.018, y + 4, words, "about")


def _bar(frame: Frame, length: float, y: float, style: str) -> None:
    box = {"width": svg.share(length), "y": str(y - _BAR // 2), "height": str(_BAR), "class": style}
    SubElement(frame.area, "rect", box)


def _across(frame: Frame, begin: float, end: float, y: float, style: str) -> None:
    ends = {"x1": svg.share(begin), "x2": svg.share(end), "y1": str(y), "y2": str(y)}
    SubElement(frame.area, "line", ends | {"class": style})


def _values(frame: Frame, y: int, values: Sequence[str]) -> None:
    for x, value in zip(_columns(len(values)), values, strict=True):
        _words(frame.plot, x, y + 4, value, "value")


def _columns(count: int) -> list[int]:
    """Where the columns of values end."""
    return [_VALUES - 64 * back for back in reversed(range(count))]


def _words(plot: Element, x: int, y: int, words: str, style: str) -> None:
    SubElement(plot, "text", {"x": str(x), "y": str(y), "class": style}).text = words


def _rows(runs: Sequence[Run]) -> Iterable[tuple[Run, int]]:
    """Each run with the middle of its row."""
    return ((run, _TOP + row * _ROW + _ROW // 2) for row, run in enumerate(runs))


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
