"""Plots as SVG that fits any width without a script, and the small kit that draws them. Pure.

A plot is as wide as its place, so places along x are shares of the width (0 to 1, written in percent) and places along
y are pixels. Lines and areas, which cannot be in percent, go into a ``pane``, which is stretched. Colours, sizes and
fonts are the style sheet's; text keeps its size on every screen. Nothing here holds a name that somebody else chose.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count
from math import log
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from kubectl_lastnode.page.wording import NBSP, every, percent
from kubectl_lastnode.summary import Group, Timeline, multiples, percentile, round_width
from lastnode.outcome import Outcome

# Below this many returning sessions in a bucket its ratio is drawn as a hollow dot.
FEW: Final = 10
# In this order bars are stacked, from the axis up.
ORDER: Final = (Outcome.REUSED, Outcome.MOVED, Outcome.FIRST)
_WIDE: Final = 1000  # units across a pane: a tenth of a pixel or so on any screen
_EDGE: Final = 0.06  # labels this near to an edge are written inwards, so that they stay inside
_GAP: Final = 0.14  # of a bar's width, so that bars of neighbours can be told apart
# Where a log axis of seconds has its ticks; those in _MAJOR keep their labels on narrow screens.
_SECONDS: Final = {1: "1s", 2: "2s", 5: "5s", 10: "10s", 20: "20s", 60: "1m", 120: "2m", 300: "5m", 600: "10m",
                   1200: "20m", 3600: "1h", 7200: "2h", 21600: "6h", 86400: "1d", 604800: "7d"}  # fmt: skip
_MAJOR: Final = (1, 10, 60, 600, 3600, 86400, 604800)
_TOP, _RATIO_HEIGHT = 22, 100
_COUNT_TOP, _COUNT_HEIGHT = 164, 130
_BOTTOM = _COUNT_TOP + _COUNT_HEIGHT


def canvas(height: int, label: str) -> Element:
    """An empty plot, ``height`` pixels high; ``label`` says what it shows to those who cannot see it."""
    return Element("svg", {"class": "plot", "height": str(height), "role": "img", "aria-label": label})


def put(parent: Element, tag: str, style: str = "", words: str | None = None, **places: str | float) -> Element:
    """An element in another one; ``style``: its class."""
    named = {"class": style} if style else {}
    made = SubElement(parent, tag, named | {name: v if isinstance(v, str) else number(v) for name, v in places.items()})
    made.text = words
    return made


def text(svg: Element, x: float, y: float, words: str, style: str) -> None:
    """Words whose baseline is at ``y``; the style says how they stand to x."""
    put(svg, "text", style, words, x=share(x), y=y)


def tick(svg: Element, x: float, top: float, bottom: float, style: str = "grid") -> None:
    """A line down the plot."""
    put(svg, "line", style, x1=share(x), x2=share(x), y1=top, y2=bottom)


def dot(svg: Element, x: float, y: float, style: str, radius: float) -> None:
    put(svg, "circle", style, cx=share(x), cy=y, r=radius)


def markup(svg: Element) -> str:
    """The plot as text for an HTML page; everything in it is escaped."""
    return tostring(svg, encoding="unicode")


def share(part: float) -> str:
    """A share as a percentage for an attribute."""
    return f"{number(100 * part)}%"


def number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, and so on."""
    return (factor * 10**power for power in count() for factor in (1, 2, 5))


def log_ticks(top: float) -> dict[int, str]:
    """Round seconds from 1 up to the first that ``top`` does not exceed, with their labels."""
    within = max(1, sum(tick < top for tick in _SECONDS))
    return dict([*_SECONDS.items()][: within + 1])


def log_position(value: float, top: float) -> float:
    """Where a value lies on a log axis from 1 (0) to ``top`` (1); what is below 1 lies at 1."""
    return min(1.0, log(max(1.0, value)) / log(top))


def stripes(parts: Iterable[tuple[str, float]]) -> str:
    """One bar of parts (style, share of the full length) side by side, for a row of a table that says the numbers."""
    svg, x = Element("svg", {"class": "bar", "aria-hidden": "true"}), 0.0
    for style, length in parts:
        if length > 0:
            put(svg, "rect", style, x=share(x), width=share(length), height="100%")
        x += length
    return markup(svg)


def over_time(line: Timeline) -> str:
    """The share that came back above, the sessions by outcome below, along one axis of time."""
    plot = canvas(_BOTTOM + 26, "Reuse over time; the numbers are in the table below")
    step = 1 / len(line.buckets)
    _time_axis(plot, line)
    _ratio(plot, [((i + 0.5) * step, counts) for i, (_, counts) in enumerate(line.buckets)])
    _counts(plot, line)
    for i, (start, counts) in enumerate(line.buckets):
        told = ", ".join(f"{getattr(counts, outcome):,} {outcome}" for outcome in ORDER)
        back = f" ({percent(counts.reuse_ratio)} came back)" if counts.reuse_ratio is not None else ""
        _tip(plot, i * step, step, _TOP, _BOTTOM, f"from {bucket_start(start, line.width)} UTC: {told}{back}")
    return markup(plot)


def startups(times: Mapping[Outcome, Sequence[float]]) -> str:
    """The share of sessions that were Ready within a time, one rising line an outcome. ``times``: s, ascending."""
    height, slowest = 220, max(ascending[-1] for ascending in times.values())
    ticks = log_ticks(slowest)
    top = max(*ticks, slowest)
    plot = canvas(height + _TOP + 44, "Start-up times by outcome; the numbers are in the tables below")
    text(plot, 0, 12, "share of sessions that were Ready within", "caption")
    for part, style in ((0, "axis"), (0.25, "grid"), (0.5, "mark"), (0.75, "grid"), (0.95, "mark"), (1, "grid")):
        _level(plot, _TOP + height * (1 - part), style, "" if style == "grid" else _percent(part))
    for value, label in ticks.items():
        tick(plot, log_position(value, top), _TOP, _TOP + height + 4)
        _x_label(plot, log_position(value, top), _TOP + height + 18, label, minor=value not in _MAJOR)
    text(plot, 0.5, _TOP + height + 38, "from the pod's creation to Ready (log scale)", "x")
    area = _pane(plot, _TOP, height)
    for outcome, ascending in times.items():
        _line(area, rising(ascending, top, height), outcome)
        for part in (0.5, 0.95):
            place = log_position(percentile(ascending, part) or 0, top)
            dot(plot, place, _TOP + height * (1 - part), f"{outcome} ring", 4)
    return markup(plot)


def rising(ascending: Sequence[float], top: float, height: float) -> list[tuple[float, float]]:
    """The steps of the share of values up to x, as points of a pane: x a share, y in pixels from its top.

    From the smallest value to the largest. At most two points for each of the pane's thousand places along x, however
    many values there are.
    """
    reached = {round(log_position(value, top), 3): i for i, value in enumerate(ascending, 1)}
    levels = [height, *(height * (1 - done / len(ascending)) for done in reached.values())]
    return [(x, y) for i, x in enumerate(reached) for y in levels[i : i + 2]]


def histogram(bins: Mapping[str, int]) -> str:
    """How many nodes ran how many sessions. ``bins``: the sessions in words, and how many nodes."""
    height, step = 120, 1 / len(bins)
    plot = canvas(height + _TOP + 44, "How many nodes ran how many sessions; the numbers are in the table below")
    scale = _count_axis(plot, max(bins.values()), _TOP, height, "nodes")
    # One node among a thousand is still seen.
    heights = [max(2, size * scale) if size else 0 for size in bins.values()]
    _bars(_pane(plot, _TOP, height), [(height - tall, tall) for tall in heights], "plain")
    stride = max(1, round(len(bins) / 5))
    for i, (sessions, size) in enumerate(bins.items()):
        _tip(plot, i * step, step, _TOP, _TOP + height, f"{sessions} sessions: {size:,} nodes")
        if i % stride == 0:
            _x_label(plot, (i + 0.5) * step, _TOP + height + 18, sessions, minor=bool(i // stride % 2))
    text(plot, 0.5, _TOP + height + 38, "sessions that a node ran", "x")
    return markup(plot)


def bucket_start(when: datetime, width: timedelta) -> str:
    """24 Nov 12:00, or the day with its year where buckets are days and weeks."""
    return f"{when:%Y-%m-%d}" if width >= timedelta(days=1) else f"{when.day} {when:%b %H:%M}"


def _time_axis(plot: Element, line: Timeline) -> None:
    end = line.start + line.width * len(line.buckets)
    step = round_width(end - line.start, 9)
    for i, when in enumerate(multiples(step, line.start, end)):
        x, hours = line.position(when), step < timedelta(days=1) and (when.hour or when.minute)
        tick(plot, x, _TOP, _TOP + _RATIO_HEIGHT)
        tick(plot, x, _COUNT_TOP, _BOTTOM + 4)
        _x_label(plot, x, _BOTTOM + 18, f"{when:%H:%M}" if hours else f"{when.day} {when:%b}", minor=bool(i % 2))


def _ratio(plot: Element, points: Sequence[tuple[float, Group]]) -> None:
    """Dots, and a line through them that breaks where no session returned."""
    text(plot, 0, 12, "came back, of the returning sessions", "caption")
    for part in (0, 0.5, 1):
        _level(plot, _TOP + _RATIO_HEIGHT * (1 - part), "grid" if part else "axis", _percent(part))
    area = _pane(plot, _TOP, _RATIO_HEIGHT)  # below the dots
    runs: list[list[tuple[float, float]]] = [[]]
    for x, counts in points:
        if counts.reuse_ratio is None:
            runs.append([])
        else:
            y = _RATIO_HEIGHT * (1 - counts.reuse_ratio)
            runs[-1].append((x, y))
            dot(plot, x, _TOP + y, "reused few" if counts.returning < FEW else "reused", 2.5)
    for run in runs:
        if len(run) > 1:
            _line(area, run, "reused")


def _counts(plot: Element, line: Timeline) -> None:
    groups = [counts for _, counts in line.buckets]
    caption = f"sessions that became Ready, per {every(line.width)}"
    scale = _count_axis(plot, max(counts.sessions for counts in groups), _COUNT_TOP, _COUNT_HEIGHT, caption)
    area, floors = _pane(plot, _COUNT_TOP, _COUNT_HEIGHT), [float(_COUNT_HEIGHT)] * len(groups)
    for outcome in ORDER:
        heights = [getattr(counts, outcome) * scale for counts in groups]
        floors = [floor - height for floor, height in zip(floors, heights, strict=True)]
        _bars(area, zip(floors, heights, strict=True), outcome)


def _count_axis(plot: Element, most: int, top: float, height: float, caption: str) -> float:
    """At most five levels with labels from 0 to a round number; answers how many pixels one is."""
    step = next(step for step in round_numbers() if 4 * step >= most)
    levels = range(0, max(1, most) + step, step)
    text(plot, 0, top - 10, caption, "caption")
    for value in levels:
        _level(plot, top + height * (1 - value / levels[-1]), "grid" if value else "axis", f"{value:,}")
    return height / levels[-1]


def _percent(part: float) -> str:
    return f"{100 * part:.0f}{NBSP}%"


def _level(svg: Element, y: float, style: str, label: str) -> None:
    """A line across the plot, and its label on the left."""
    put(svg, "line", style, x2="100%", y1=y, y2=y)
    if label:
        put(svg, "text", "y", label, x=-6, y=y + 4)


def _x_label(svg: Element, x: float, y: float, words: str, *, minor: bool) -> None:
    """The label of a tick; a minor one is left out on a narrow screen."""
    anchor = " from" if x < _EDGE else " until" if x > 1 - _EDGE else ""
    text(svg, x, y, words, f"x{anchor}{' minor' if minor else ''}")


def _pane(svg: Element, top: float, height: float) -> Element:
    """A part of the plot whose x is stretched from 0 to 1000 over the width, and whose y is in pixels from ``top``."""
    box = {"viewBox": f"0 0 {_WIDE} {number(height)}", "preserveAspectRatio": "none"}
    return put(svg, "svg", y=top, width="100%", height=height, **box)


def _bars(area: Element, boxes: Iterable[tuple[float, float]], style: str) -> None:
    """One bar a bucket (y and height: pixels) side by side, as one shape; those without height are left out."""
    boxes = list(boxes)
    step = _WIDE / len(boxes)
    wide = number((1 - _GAP) * step)
    path = "".join(
        f"M{number((i + _GAP / 2) * step)} {number(y)}h{wide}v{number(height)}h-{wide}z"
        for i, (y, height) in enumerate(boxes)
        if height > 0
    )
    put(area, "path", style, d=path)


def _line(area: Element, points: Sequence[tuple[float, float]], style: str) -> None:
    """A line through points (x: share, y: pixels) in a pane."""
    put(area, "polyline", f"line {style}", points=" ".join(f"{number(x * _WIDE)},{number(y)}" for x, y in points))


def _tip(svg: Element, x: float, width: float, top: float, bottom: float, words: str) -> None:
    """An area that says something when pointed at."""
    put(put(svg, "rect", "tip", x=share(x), width=share(width), y=top, height=bottom - top), "title", words=words)
