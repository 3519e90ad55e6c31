"""The plots of the report, as SVG for an HTML page. Pure.

Every plot has its numbers in a table beside it; nothing here holds a name that somebody else chose.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

from kubectl_lastnode.figures import Bin, Tally, percentile, round_numbers
from kubectl_lastnode.page import svg
from kubectl_lastnode.page.timeline import Bucket, Timeline, bucket_width, multiples
from kubectl_lastnode.page.wording import NBSP, every, number, percent, short
from lastnode.outcome import Outcome

# Below this many returning sessions in a bucket its ratio is drawn as a hollow dot.
FEW = 10
# In this order bars are stacked, from the axis up.
ORDER = (Outcome.REUSED, Outcome.MOVED, Outcome.FIRST)
_RATIO_TOP, _RATIO_HEIGHT = 22, 100
_COUNT_TOP, _COUNT_HEIGHT = 164, 130
_GAP = 0.14  # of a bar's width, so that bars of neighbours can be told apart


def over_time(line: Timeline) -> str:
    """The share that came back above, the sessions by outcome below, along one axis of time."""
    plot = svg.canvas(_COUNT_TOP + _COUNT_HEIGHT + 26, "Reuse over time; the numbers are in the table below")
    _time_axis(plot, line)
    _ratio(plot, line)
    _counts(plot, line)
    step = 1 / len(line.buckets)
    for i, bucket in enumerate(line.buckets):
        svg.tip(
            plot, i * step, step, _RATIO_TOP, _COUNT_TOP + _COUNT_HEIGHT - _RATIO_TOP, _bucket_tip(bucket, line.width)
        )
    return svg.markup(plot)


def startups(times: Mapping[Outcome, Sequence[float]]) -> str:
    """The share of sessions that were Ready within a time, one rising line an outcome. ``times``: s, ascending."""
    height, top_y = 220, 22
    slowest = max(ascending[-1] for ascending in times.values())
    ticks = svg.log_ticks(slowest)
    top = max(ticks[-1][0], slowest)
    plot = svg.canvas(height + top_y + 44, "Start-up times by outcome; the numbers are in the tables below")
    _startup_axes(plot, ticks, top, top_y, height)
    area = svg.pane(plot, top_y, height)
    for outcome, ascending in times.items():
        svg.line(area, rising(ascending, top, height), outcome)
        for part in (0.5, 0.95):
            value = percentile(ascending, part) or 0
            svg.dot(plot, svg.log_position(value, top), top_y + height * (1 - part), f"{outcome} ring", 4)
    return svg.markup(plot)


def rising(ascending: Sequence[float], top: float, height: float) -> list[tuple[float, float]]:
    """The steps of the share of values up to x, as points of a pane: x a share, y in pixels from its top.

    From the smallest value to the largest. At most two points for each of the pane's thousand places along x, however
    many values there are.
    """
    reached = {round(svg.log_position(value, top), 3): i for i, value in enumerate(ascending, 1)}
    points, y = [], height
    for x, count in reached.items():
        points.append((x, y))
        y = height * (1 - count / len(ascending))
        points.append((x, y))
    return points


def histogram(bins: Sequence[Bin]) -> str:
    """How many nodes ran how many sessions."""
    height, top_y = 120, 22
    plot = svg.canvas(height + top_y + 44, "How many nodes ran how many sessions; the numbers are in the table below")
    scale = _y_axis(plot, max(b.size for b in bins), top_y, height, "nodes")
    step = 1 / len(bins)
    # One node among a thousand is still seen.
    heights = [max(2, b.size * scale) if b.size else 0 for b in bins]
    boxes = [(_left(i, step), _wide(step), height - tall, tall) for i, tall in enumerate(heights)]
    svg.bars(svg.pane(plot, top_y, height), boxes, "plain")
    stride = max(1, round(len(bins) / 5))
    for i, b in enumerate(bins):
        svg.tip(plot, i * step, step, top_y, height, f"{span(b)} sessions: {number(b.size)} nodes")
        if i % stride == 0:
            svg.x_label(plot, (i + 0.5) * step, top_y + height + 18, span(b), minor=bool(i // stride % 2))
    svg.text(plot, 0.5, top_y + height + 38, "sessions that a node ran", "x")
    return svg.markup(plot)


def span(b: Bin) -> str:
    """The values of a bin: 7, or 21–40."""
    return number(b.low) if b.low == b.high else f"{number(b.low)}–{number(b.high)}"


def stack(tally: Tally, most: int) -> str:
    """A row's bar: its sessions by outcome, as long as its share of the ``most`` that a row has."""
    return svg.stripes((outcome, tally.of(outcome) / most) for outcome in ORDER)


def day(when: datetime) -> str:
    """24 Nov."""
    return f"{when.day} {when:%b}"


def bucket_start(when: datetime, width: timedelta) -> str:
    """24 Nov 12:00, or the day with its year where buckets are days and weeks."""
    return f"{when:%Y-%m-%d}" if width >= timedelta(days=1) else f"{day(when)} {when:%H:%M}"


def _startup_axes(plot: Element, ticks: Sequence[tuple[int, bool]], top: float, top_y: float, height: float) -> None:
    svg.text(plot, 0, 12, "share of sessions that were Ready within", "caption")
    for part in (0, 0.25, 0.5, 0.75, 0.95, 1):
        y = top_y + height * (1 - part)
        svg.level(plot, y, "mark" if part in (0.5, 0.95) else "axis" if not part else "grid")
        if part in (0, 0.5, 0.95):
            svg.y_label(plot, y, f"{100 * part:.0f}{NBSP}%")
    for value, major in ticks:
        svg.tick(plot, svg.log_position(value, top), top_y, top_y + height + 4)
        svg.x_label(plot, svg.log_position(value, top), top_y + height + 18, short(value), minor=not major)
    svg.text(plot, 0.5, top_y + height + 38, "from the pod's creation to Ready (log scale)", "x")


def _ratio(plot: Element, line: Timeline) -> None:
    svg.text(plot, 0, 12, "came back, of the returning sessions", "caption")
    for part in (0, 0.5, 1):
        y = _ratio_y(part)
        svg.level(plot, y, "grid" if part else "axis")
        svg.y_label(plot, y, f"{100 * part:.0f}{NBSP}%")
    area = svg.pane(plot, _RATIO_TOP, _RATIO_HEIGHT)
    points = [(_middle(line, i), bucket.tally) for i, bucket in enumerate(line.buckets)]
    for run in _runs(points):
        svg.line(area, [(x, _ratio_y(ratio) - _RATIO_TOP) for x, ratio in run], "reused")
    for x, tally in points:
        if tally.ratio is not None:
            few = " few" if tally.returning < FEW else ""
            svg.dot(plot, x, _ratio_y(tally.ratio), f"reused{few}", 2.5)


def _runs(points: Sequence[tuple[float, Tally]]) -> list[list[tuple[float, float]]]:
    """The ratios in unbroken runs: where no session returned there is nothing to draw a line through."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, tally in points:
        if tally.ratio is None:
            runs.append([])
        else:
            runs[-1].append((x, tally.ratio))
    return [run for run in runs if len(run) > 1]


def _ratio_y(ratio: float) -> float:
    return _RATIO_TOP + _RATIO_HEIGHT * (1 - ratio)


def _counts(plot: Element, line: Timeline) -> None:
    most = max(bucket.tally.sessions for bucket in line.buckets)
    scale = _y_axis(plot, most, _COUNT_TOP, _COUNT_HEIGHT, f"sessions that became Ready, per {every(line.width)}")
    area, step = svg.pane(plot, _COUNT_TOP, _COUNT_HEIGHT), 1 / len(line.buckets)
    floors = [float(_COUNT_HEIGHT)] * len(line.buckets)
    for outcome in ORDER:
        heights = [bucket.tally.of(outcome) * scale for bucket in line.buckets]
        floors = [floor - height for floor, height in zip(floors, heights, strict=True)]
        boxes = enumerate(zip(floors, heights, strict=True))
        svg.bars(area, [(_left(i, step), _wide(step), y, height) for i, (y, height) in boxes], outcome)


def _y_axis(plot: Element, most: int, top: float, height: float, caption: str) -> float:
    """Levels with labels from 0 to a round number; answers how many pixels one is."""
    levels = _levels(most)
    scale = height / levels[-1]
    svg.text(plot, 0, top - 10, caption, "caption")
    for value in levels:
        svg.level(plot, top + height - value * scale, "grid" if value else "axis")
        svg.y_label(plot, top + height - value * scale, number(value))
    return scale


def _levels(top: int) -> list[int]:
    """At most five round levels, from 0 to ``top`` or just beyond."""
    step = next(step for step in round_numbers() if 4 * step >= top)
    return list(range(0, max(1, top) + step, step))


def _time_axis(plot: Element, line: Timeline) -> None:
    end = line.start + line.width * len(line.buckets)
    step = bucket_width(end - line.start, 9)
    bottom = _COUNT_TOP + _COUNT_HEIGHT
    for i, when in enumerate(multiples(step, line.start, end)):
        x = line.position(when)
        svg.tick(plot, x, _RATIO_TOP, _RATIO_TOP + _RATIO_HEIGHT)
        svg.tick(plot, x, _COUNT_TOP, bottom + 4)
        svg.x_label(plot, x, bottom + 18, _time_label(when, step), minor=bool(i % 2))


def _time_label(when: datetime, step: timedelta) -> str:
    at_midnight = when.hour == when.minute == 0
    return day(when) if at_midnight or step >= timedelta(days=1) else f"{when:%H:%M}"


def _bucket_tip(bucket: Bucket, width: timedelta) -> str:
    counts = ", ".join(f"{number(bucket.tally.of(outcome))} {outcome}" for outcome in ORDER)
    back = f" ({percent(bucket.tally.ratio)} came back)" if bucket.tally.ratio is not None else ""
    return f"from {bucket_start(bucket.start, width)} UTC: {counts}{back}"


def _middle(line: Timeline, i: int) -> float:
    return (i + 0.5) / len(line.buckets)


def _left(i: int, step: float) -> float:
    return (i + _GAP / 2) * step


def _wide(step: float) -> float:
    return (1 - _GAP) * step
