"""What the plots show, as shares of their width and height; ``templates/plots.html`` draws them. Pure.

Nothing here holds a name that somebody else chose.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import count
from math import log
from typing import Any, Final

from kubectl_lastnode.output import every
from kubectl_lastnode.summary import Timeline, multiples, percentile, round_width
from lastnode.outcome import Outcome

# Below this many returning sessions in a bucket its ratio is drawn as a hollow dot.
FEW: Final = 10
# In this order bars are stacked, from the axis up.
ORDER: Final = (Outcome.REUSED, Outcome.MOVED, Outcome.FIRST)
# Where a log axis of seconds has its ticks; those in _MAJOR keep their labels on narrow screens.
_SECONDS: Final = {1: "1s", 2: "2s", 5: "5s", 10: "10s", 20: "20s", 60: "1m", 120: "2m", 300: "5m", 600: "10m",
                   1200: "20m", 3600: "1h", 7200: "2h", 21600: "6h", 86400: "1d", 604800: "7d"}  # fmt: skip
_MAJOR: Final = (1, 10, 60, 600, 3600, 86400, 604800)

Plot = dict[str, Any]
Point = tuple[float, float]


def round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, and so on."""
    return (factor * 10**power for power in count() for factor in (1, 2, 5))


def levels(most: int) -> range:
    """At most five levels of an axis of counts, from 0 to a round number."""
    step = next(step for step in round_numbers() if 4 * step >= most)
    return range(0, max(1, most) + step, step)


def log_ticks(top: float) -> dict[int, str]:
    """Round seconds from 1 up to the first that ``top`` does not exceed, with their labels."""
    within = max(1, sum(tick < top for tick in _SECONDS))
    return dict([*_SECONDS.items()][: within + 1])


def log_position(value: float, top: float) -> float:
    """Where a value lies on a log axis from 1 (0) to ``top`` (1); what is below 1 lies at 1."""
    return min(1.0, log(max(1.0, value)) / log(top))


def over_time(line: Timeline) -> Plot:
    """The share that came back, and the sessions by outcome, along one axis of time."""
    groups = [counts for _, counts in line.buckets]
    days = line.width >= timedelta(days=1)  # then buckets are named by the day, with its year
    return {
        "every": every(line.width),
        "ticks": [*_time_ticks(line)],
        "ratios": _unbroken([counts.reuse_ratio for counts in groups]),
        "levels": levels(max(counts.sessions for counts in groups)),
        "buckets": [(f"{w:%Y-%m-%d}" if days else f"{w.day} {w:%b %H:%M}", counts) for w, counts in line.buckets],
    }


def _time_ticks(line: Timeline) -> Iterator[tuple[float, str, bool]]:
    end = line.start + line.width * len(line.buckets)
    step = round_width(end - line.start, 9)
    for i, when in enumerate(multiples(step, line.start, end)):
        hours = step < timedelta(days=1) and (when.hour or when.minute)
        yield line.position(when), f"{when:%H:%M}" if hours else f"{when.day} {when:%b}", bool(i % 2)


def _unbroken(ratios: Sequence[float | None]) -> list[list[Point]]:
    """The ratios as lines that break where no session returned."""
    runs: list[list[Point]] = [[]]
    for i, ratio in enumerate(ratios):
        if ratio is None:
            runs.append([])
        else:
            runs[-1].append(((i + 0.5) / len(ratios), ratio))
    return [run for run in runs if len(run) > 1]


def startups(times: Mapping[Outcome, Sequence[float]]) -> Plot:
    """The share of sessions that were Ready within a time, one rising line an outcome. ``times``: s, ascending."""
    slowest = max(ascending[-1] for ascending in times.values())
    marks = log_ticks(slowest)
    top = max(*marks, slowest)
    return {
        "ticks": [(log_position(value, top), label, value not in _MAJOR) for value, label in marks.items()],
        "lines": {outcome: rising(ascending, top) for outcome, ascending in times.items()},
        "dots": [
            (outcome, log_position(percentile(ascending, part) or 0, top), part)
            for outcome, ascending in times.items()
            for part in (0.5, 0.95)
        ],
    }


def rising(ascending: Sequence[float], top: float) -> list[Point]:
    """The steps of the share of values up to x, from the smallest value to the largest.

    At most two points for each of a thousand places along x, however many values there are.
    """
    reached = {round(log_position(value, top), 3): i for i, value in enumerate(ascending, 1)}
    shares = [0.0, *(done / len(ascending) for done in reached.values())]
    return [(x, y) for i, x in enumerate(reached) for y in shares[i : i + 2]]
