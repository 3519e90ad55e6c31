"""The report as one HTML document that needs nothing else: no network, no script, no font. Pure, but for the templates
that it reads from this package.

Here are its numbers; ``templates/`` has the words (report.html), the plots (plots.html) and the looks (report.css).
Names of nodes, namespaces, kinds and workloads are somebody else's text: they are only values, which Jinja escapes.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from itertools import count
from math import log1p
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from kubectl_lastnode import output, summary
from kubectl_lastnode.output import every, percent
from kubectl_lastnode.remedies import REMEDIES
from kubectl_lastnode.summary import (
    Group,
    Timeline,
    group,
    multiples,
    percentile,
    ranked,
    round_width,
    startups,
)
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import MOVED

# Rows of a table; what is beyond is added up in one row or left to `kubectl lastnode report -o csv`.
_NODES: Final = 10
_NAMESPACES: Final = 20
_WORKLOADS: Final = 10
MOST_BINS: Final = 20
# The buckets of lastnode_session_startup_seconds, in seconds.
_WITHIN: Final = {1: "1s", 2: "2s", 5: "5s", 10: "10s", 20: "20s", 30: "30s", 60: "1m", 120: "2m", 300: "5m",
                  600: "10m"}  # fmt: skip
# In this order bars are stacked, from the axis up.
_OUTCOMES: Final = {
    Outcome.REUSED: "ran on its last node",
    Outcome.OLDER: "ran on an older node of its memory",
    Outcome.MOVED: "had a last node and ran elsewhere",
    Outcome.GROUP: "nothing was remembered; ran on a node of its cache group",
    Outcome.FIRST: "nothing was remembered",
}

# Below this many returning sessions in a bucket its ratio is drawn as a hollow dot.
FEW: Final = 10
# Where an axis of seconds has its ticks; on narrow screens labels nearer to each other than a share of it are left out.
_NEAR: Final = 0.1
_SECONDS: Final = {0: "0", 1: "1s", 2: "2s", 5: "5s", 10: "10s", 20: "20s", 60: "1m", 120: "2m", 300: "5m", 600: "10m",
                   1200: "20m", 3600: "1h", 7200: "2h", 21600: "6h", 86400: "1d", 604800: "7d"}  # fmt: skip

Records = Sequence[SessionRecord]
Point = tuple[float, float]
Section = dict[str, Any]


def page(
    sessions: Records,
    *,
    title: str,
    cluster: str = "",
    now: datetime,
    since: datetime,
    dropped: int = 0,
    complete_since: datetime | None = None,
    unread: Sequence[str] = (),
) -> str:
    """The report on these sessions, as an HTML document in UTF-8 of less than 150 KB, however many there are.

    ``cluster``: what its readers call it; ``now``: when it is made; ``since``: what ended before is not in
    ``sessions``; ``dropped``: how many older sessions the recorders had to forget; ``complete_since``: from when on
    none is missing, where that is later; ``unread``: a line for each recorder that could not be read. All times are
    aware ones. Any text may be anything: it is escaped.
    """
    start, end = summary.period(sessions, since=since, now=now, dropped=dropped)
    style = files(__name__).joinpath("templates/report.css").read_text("utf-8")
    return environment().get_template("report.html").render(
        title=title, cluster=cluster, start=start, end=end, made=now, version=version("lastnode"),
        dropped=dropped, unread=unread,
        complete_since=complete_since if complete_since and complete_since > start else None,
        style=style, style_hash=f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
        total=group("", sessions), reasons=dict(summary.reasons(sessions)), saving=summary.saving(sessions),
        chance=summary.chance(sessions), untimed=sum(record.ready_at is None for record in sessions),
        unmeasured=sum(record.startup_seconds is None for record in sessions),
        **(_sections(sessions, start, end) if sessions else {}),
    )  # fmt: skip


def environment() -> Environment:
    """Templates escape what they are given, and write whole numbers as 4,812 and others with two decimals at most."""
    made = Environment(
        loader=PackageLoader(__name__), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=_written,
    )  # fmt: skip
    words = (output.percent, output.plural, output.roughly, output.brief, output.moment)
    made.globals |= {word.__name__: word for word in words}
    made.globals |= {"outcomes": _OUTCOMES, "all_outcomes": list(Outcome), "known_reasons": MOVED, "few": FEW}
    made.globals["remedies"] = REMEDIES
    made.globals["shares_of"] = shares_of
    made.filters["duration"] = output.duration
    return made


def shares_of(counts: Group, whole: float) -> list[tuple[Outcome, float]]:
    """Its sessions by outcome as parts of ``whole``, in the order of bars."""
    return [(outcome, counts.of(outcome) / whole) for outcome in _OUTCOMES]


def _written(value: object) -> object:
    if type(value) is int:
        return f"{value:,}"
    if type(value) is float:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return output.visible(value) if type(value) is str else value


def _sections(records: Records, start: datetime, end: datetime) -> Section:
    timed = [record for record in records if record.ready_at is not None]
    namespaces = ranked(records, lambda record: (record.namespace, record.kind))
    others = namespaces[_NAMESPACES:]
    return {
        "time": over_time(summary.timeline(timed, start, end)) if timed else None,
        "startup": _startup(records),
        "nodes": _nodes(ranked(records, lambda record: record.node)),
        "kinds": [(kind, group("", same)) for kind, same in ranked(records, lambda record: record.kind)],
        "namespaces": [(where, group("", same)) for where, same in namespaces[:_NAMESPACES]],
        "others": len(others),
        "rest": group("", [record for _, same in others for record in same]),
        "movers": [_mover(*whose, same) for whose, same in summary.movers(records, _WORKLOADS)],
    }


def _startup(records: Records) -> Section | None:
    """How long sessions took to start, by outcome; None where that is known of none."""
    times = {outcome: ascending for outcome in _OUTCOMES if (ascending := startups(records, [outcome]))}
    if not times:
        return None
    within = [
        (label, [percent(sum(time <= limit for time in each), len(each)) for each in times.values()])
        for limit, label in _WITHIN.items()
    ]
    typical = [(outcome, summary.startup(ascending)) for outcome, ascending in times.items()]
    return {**curves(times), "typical": typical, "within": within}


def _nodes(nodes: Sequence[tuple[str, Records]]) -> Section:
    """Where sessions ran, and how evenly."""
    sizes = [len(same) for _, same in nodes]
    bins = histogram(sizes, MOST_BINS)
    return {
        "count": len(nodes),
        "busiest": sizes[0],
        "half": half(sizes),
        "rows": [(node, group("", same)) for node, same in nodes[:_NODES]],
        "bins": [*bins.items()] if len(nodes) > _NODES else [],
        "levels": levels(max(bins.values())),
    }


def half(sizes: Sequence[int]) -> int:
    """The fewest nodes that ran half of the sessions. ``sizes``: sessions by node, most first."""
    return next(nodes for nodes in count() if 2 * sum(sizes[:nodes]) >= sum(sizes))


def histogram(values: Sequence[int], most: int) -> dict[str, int]:
    """Values from 1 up, counted in at most ``most`` bins of one round width (1, 2 or 5 times a power of ten)."""
    width = next(width for width in round_numbers() if width * most >= max(values))
    counts = Counter((value - 1) // width for value in values)
    spans = ((1 + i * width, (i + 1) * width, counts[i]) for i in range(max(counts) + 1))
    return {f"{low:,}" if low == high else f"{low:,}–{high:,}": size for low, high, size in spans}


def _mover(kind: str, namespace: str, name: str, same: Records) -> Section:
    return {
        "kind": kind, "namespace": namespace, "name": name, "counts": group("", same), "reasons": summary.reasons(same)
    }  # fmt: skip


def round_numbers() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, and so on."""
    return (factor * 10**power for power in count() for factor in (1, 2, 5))


def levels(most: int) -> range:
    """At most five levels of an axis of counts, from 0 to a round number."""
    step = next(step for step in round_numbers() if 4 * step >= most)
    return range(0, max(1, most) + step, step)


def marks(top: float) -> dict[int, str]:
    """Round seconds from 0 up to the first that ``top`` does not exceed, with their labels."""
    within = max(1, sum(mark < top for mark in _SECONDS))
    return dict([*_SECONDS.items()][: within + 1])


def position(value: float, top: float) -> float:
    """Where seconds lie on an axis from 0 (0) to ``top`` (1) that gives short times more room."""
    return min(1.0, log1p(value) / log1p(top))


def ticks(top: float) -> list[tuple[float, str, bool]]:
    """Places of the marks, their labels, and whether these are left out on a narrow screen."""
    made: list[tuple[float, str, bool]] = []
    for value, label in marks(top).items():
        x = position(value, top)
        made.append((x, label, any(x - other < _NEAR for other, _, minor in made if not minor)))
    return made


def over_time(line: Timeline) -> Section:
    """The share that came back, and the sessions by outcome, along one axis of time."""
    groups = [counts for _, counts in line.buckets]
    days = line.width >= timedelta(days=1)  # then buckets are named by the day, with its year
    form = "%Y-%m-%d" if days else f"%b {clock(line.width)}"
    return {
        "every": every(line.width),
        "ticks": [*_time_ticks(line)],
        "ratios": _unbroken([counts.reuse_ratio for counts in groups]),
        "levels": levels(max(counts.sessions for counts in groups)),
        "buckets": [(f"{'' if days else f'{when.day} '}{when:{form}}", counts) for when, counts in line.buckets],
    }


def clock(step: timedelta) -> str:
    """The form of a time of day that tells moments apart which lie so far from each other."""
    return "%H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S"


def _time_ticks(line: Timeline) -> Iterator[tuple[float, str, bool]]:
    end = line.start + line.width * len(line.buckets)
    step = round_width(end - line.start, 9)
    for i, when in enumerate(multiples(step, line.start, end)):
        hours = step < timedelta(days=1) and (when.hour or when.minute or when.second)
        yield line.position(when), f"{when:{clock(step)}}" if hours else f"{when.day} {when:%b}", bool(i % 2)


def _unbroken(ratios: Sequence[float | None]) -> list[list[Point]]:
    """The ratios as lines that break where no session returned."""
    runs: list[list[Point]] = [[]]
    for i, ratio in enumerate(ratios):
        if ratio is None:
            runs.append([])
        else:
            runs[-1].append(((i + 0.5) / len(ratios), ratio))
    return [run for run in runs if len(run) > 1]


def curves(times: Mapping[Outcome, Sequence[float]]) -> Section:
    """The share of sessions that were Ready within a time, one rising line an outcome. ``times``: s, ascending."""
    slowest = max(ascending[-1] for ascending in times.values())
    top = max(*marks(slowest), slowest)
    return {
        "ticks": ticks(top),
        "lines": {outcome: rising(ascending, top) for outcome, ascending in times.items()},
        "dots": [
            (outcome, position(percentile(ascending, part) or 0, top), part)
            for outcome, ascending in times.items()
            for part in (0.5, 0.95)
        ],
    }


def rising(ascending: Sequence[float], top: float) -> list[Point]:
    """The steps of the share of values up to x, from the smallest value to the largest.

    At most two points for each of a thousand places along x, however many values there are.
    """
    reached = {round(position(value, top), 3): i for i, value in enumerate(ascending, 1)}
    shares = [0.0, *(done / len(ascending) for done in reached.values())]
    return [(x, y) for i, x in enumerate(reached) for y in shares[i : i + 2]]
