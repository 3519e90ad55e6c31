"""A small kit for plots: SVG that fits any width without a script, and scales with round ticks. Pure.

A plot is as wide as the page lets it be, so places along x are shares of the width (0 to 1, written in percent) and
places along y are pixels. Lines and areas, which cannot be in percent, go into a ``pane``, which is stretched.
Colours, sizes and fonts are the style sheet's; text keeps its size on every screen.
"""

from collections.abc import Iterable, Sequence
from math import log
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

_WIDE: Final = 1000  # units across a pane: a tenth of a pixel or so on any screen
# Labels this near to an edge are written inwards, so that they stay inside.
_EDGE: Final = 0.06
# Where a log axis of seconds may have a tick: the buckets of lastnode_session_startup_seconds and on. True: a label
# for narrow screens too.
_LOG_TICKS: Final = (
    *((1, True), (2, False), (5, False), (10, True), (20, False), (60, True), (120, False), (300, False), (600, True)),
    *((1200, False), (3600, True), (7200, False), (21600, False), (86400, True), (604800, True)),
)


def canvas(height: int, label: str) -> Element:
    """An empty plot, ``height`` pixels high; ``label`` says what it shows to those who cannot see it."""
    return Element("svg", {"class": "plot", "height": str(height), "role": "img", "aria-label": label})


def markup(svg: Element) -> str:
    """The plot as text for an HTML page; everything in it is escaped."""
    return tostring(svg, encoding="unicode", short_empty_elements=True)


def pane(svg: Element, top: float, height: float) -> Element:
    """A part of the plot whose x is stretched from 0 to 1000 over the width, and whose y is in pixels from ``top``."""
    box = {"y": _n(top), "width": "100%", "height": _n(height)}
    stretch = {"viewBox": f"0 0 {_WIDE} {_n(height)}", "preserveAspectRatio": "none"}
    return SubElement(svg, "svg", box | stretch)


def text(svg: Element, x: float, y: float, words: str, style: str) -> None:
    """Words whose baseline is at ``y``; the style says how they stand to x."""
    SubElement(svg, "text", {"x": share(x), "y": _n(y), "class": style}).text = words


def x_label(svg: Element, x: float, y: float, words: str, *, minor: bool = False) -> None:
    """The label of a tick; a minor one is left out on a narrow screen."""
    anchor = " from" if x < _EDGE else " until" if x > 1 - _EDGE else ""
    text(svg, x, y, words, f"x{anchor}{' minor' if minor else ''}")


def y_label(svg: Element, y: float, words: str) -> None:
    """The label of a level, left of the plot."""
    SubElement(svg, "text", {"x": "-6", "y": _n(y + 4), "class": "y"}).text = words


def level(svg: Element, y: float, style: str = "grid") -> None:
    """A line across the plot."""
    SubElement(svg, "line", {"x2": "100%", "y1": _n(y), "y2": _n(y), "class": style})


def tick(svg: Element, x: float, top: float, bottom: float, style: str = "grid") -> None:
    """A line down the plot."""
    SubElement(svg, "line", {"x1": share(x), "x2": share(x), "y1": _n(top), "y2": _n(bottom), "class": style})


def dot(svg: Element, x: float, y: float, style: str, radius: float = 3.5) -> None:
    SubElement(svg, "circle", {"cx": share(x), "cy": _n(y), "r": _n(radius), "class": style})


def tip(svg: Element, x: float, width: float, y: float, height: float, words: str) -> None:
    """An area that says something when pointed at."""
    box = {"x": share(x), "width": share(width), "y": _n(y), "height": _n(height), "class": "tip"}
    SubElement(SubElement(svg, "rect", box), "title").text = words


def bars(area: Element, boxes: Iterable[tuple[float, float, float, float]], style: str) -> None:
    """Boxes (x, width: shares; y, height: pixels) as one shape in a pane; those without height are left out."""
    path = "".join(
        f"M{_n(x * _WIDE)} {_n(y)}h{_n(width * _WIDE)}v{_n(height)}h{_n(-width * _WIDE)}z"
        for x, width, y, height in boxes
        if height > 0
    )
    SubElement(area, "path", {"class": style, "d": path})


def line(area: Element, points: Sequence[tuple[float, float]], style: str) -> None:
    """A line through points (x: share, y: pixels) in a pane."""
    path = " ".join(f"{_n(x * _WIDE)},{_n(y)}" for x, y in points)
    SubElement(area, "polyline", {"class": f"line {style}", "points": path})


def stripes(parts: Iterable[tuple[str, float]]) -> str:
    """One bar of parts (style, share of the full length) side by side, for a row of a table that says the numbers."""
    svg, x = Element("svg", {"class": "bar", "aria-hidden": "true"}), 0.0
    for style, length in parts:
        if length > 0:
            SubElement(svg, "rect", {"class": style, "x": share(x), "width": share(length), "height": "100%"})
        x += length
    return markup(svg)


def log_ticks(top: float) -> list[tuple[int, bool]]:
    """Round seconds from 1 up to the first that ``top`` does not exceed; True for those that always get a label."""
    within = [mark for mark in _LOG_TICKS if mark[0] < top]
    return [*within, *_LOG_TICKS[len(within) : len(within) + 1]] if within else [*_LOG_TICKS[:2]]


def log_position(value: float, top: float) -> float:
    """Where a value lies on a log axis from 1 (0) to ``top`` (1); what is below 1 lies at 1."""
    return min(1.0, log(max(1.0, value)) / log(top))


def share(part: float) -> str:
    """A share as a percentage for an attribute."""
    return f"{_n(100 * part)}%"


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
