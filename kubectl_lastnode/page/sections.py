"""What each section of the report says: its sentences, the rows of its tables and its plot, for the template. Pure.

Names of nodes, namespaces, kinds and workloads are somebody else's text: here they are only values of rows, which the
template escapes.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Final

from kubectl_lastnode.figures import (
    Tally,
    chance,
    grouped,
    histogram,
    percentile,
    ranked,
    reasons,
    saving,
    spread,
    startups,
    tally,
)
from kubectl_lastnode.page import plots
from kubectl_lastnode.page.svg import stripes
from kubectl_lastnode.page.timeline import Period, timeline
from kubectl_lastnode.page.wording import NBSP, NOTHING, every, number, percent, plural, roughly, seconds, short
from lastnode.journal import SessionRecord
from lastnode.outcome import Outcome
from lastnode.reasons import MOVED, Reason

# Rows of a table; what is beyond is added up in one row or left to `kubectl lastnode report -o csv`.
TOP_NODES: Final = 10
TOP_NAMESPACES: Final = 20
TOP_WORKLOADS: Final = 10
MOST_BINS: Final = 20
# The buckets of lastnode_session_startup_seconds, in seconds.
_WITHIN: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)

Records = Sequence[SessionRecord]
Section = dict[str, Any]


def tiles(records: Records) -> list[Section]:
    """The headline numbers."""
    all_ = tally(records)
    unknown = dict(reasons(records)).get(Reason.UNKNOWN, 0)
    counts = ", ".join(f"{number(all_.of(outcome))}{NBSP}{outcome}" for outcome in Outcome)
    back = (
        f"{number(all_.reused)} of {plural(all_.returning, 'returning session')}" if all_.returning else "none returned"
    )
    of_moved = f"{percent(unknown, all_.moved)} of the {number(all_.moved)} that moved" if all_.moved else "none moved"
    return [
        {"name": "came back", "value": percent(all_.reused, all_.returning), "about": back},
        {"name": "sessions", "value": number(all_.sessions), "about": counts},
        _saved(records),
        {"name": "moved, reason unknown", "value": number(unknown), "about": of_moved},
    ]


def over_time(records: Records, covered: Period) -> Section:
    """Outcomes by when the sessions became Ready."""
    timed = [record for record in records if record.ready_at is not None]
    if not timed:
        return {"about": "Of none of these sessions is it known when it became Ready.", "plot": ""}
    line = timeline(timed, covered)
    about = (
        f"Sessions per {every(line.width)}, in UTC; the last bar is still growing. Returning sessions are those that"
        f" had a last node: reused and moved. Hollow dots stand on fewer than {plots.FEW} of them."
    )
    rows = [(plots.bucket_start(when, line.width), *_cells(counts)) for when, counts in line.buckets if counts.sessions]
    return {"about": about, "plot": plots.over_time(line), "rows": rows}


def by_reason(records: Records) -> Section:
    """Why sessions moved, and what would have been other reasons."""
    moved, returning = tally(records).moved, tally(records).returning
    counts = reasons(records)
    about = f"{number(moved)} of {plural(returning, 'returning session')} ran elsewhere."
    if not moved:
        about = "No session moved." if returning else "No session had a last node to come back to."
    rows = [
        {"name": reason, "meaning": Reason(reason).meaning, "count": number(count), "share": percent(count, moved)}
        | {"bar": stripes([("moved", count / moved)])}
        for reason, count in counts
    ]
    absent = [{"name": reason, "meaning": reason.meaning} for reason in MOVED if reason not in dict(counts)]
    return {"about": about, "rows": rows, "absent": absent}


def startup(records: Records) -> Section:
    """How long sessions took to start, by outcome."""
    times = {outcome: ascending for outcome in plots.ORDER if (ascending := startups(records, outcome))}
    if not times:
        return {"about": "Of none of these sessions is it known how long it took.", "plot": ""}
    about = (
        "From the pod's creation to Ready. The API server keeps both moments in whole seconds, so each time may be off"
        " by a second, and what took less than a second is drawn at one."
    )
    rows = [(outcome, number(len(ascending)), *_typical(ascending)) for outcome, ascending in times.items()]
    shares = [
        (
            short(limit),
            *(percent(sum(time <= limit for time in ascending), len(ascending)) for ascending in times.values()),
        )
        for limit in _WITHIN
    ]
    return {"about": about, "plot": plots.startups(times), "rows": rows, "heads": ["within", *times], "shares": shares}


def by_node(records: Records) -> Section:
    """Where sessions ran, and how evenly."""
    rows = ranked(records, lambda record: record.node)
    per_node = {node: counts.sessions for node, counts in rows}
    most = max(per_node.values())
    bins = histogram(list(per_node.values()), MOST_BINS)
    many = len(rows) > TOP_NODES
    return {
        "about": _evenness(per_node),
        "caption": f"The {TOP_NODES} busiest of {number(len(rows))} nodes"
        if many
        else "All nodes on which sessions ran",
        "rows": [
            {"name": node, "count": number(counts.sessions), "share": percent(counts.sessions, len(records))}
            | {"bar": plots.stack(counts, most)}
            for node, counts in rows[:TOP_NODES]
        ],
        "plot": plots.histogram(bins) if many else "",
        "bins": [(plots.span(b), number(b.size)) for b in bins],
    }


def by_kind(records: Records) -> Section:
    """Outcomes by kind of workload."""
    rows = ranked(records, lambda record: record.kind)
    return {"head": "kind", "rows": [_group(kind, "", counts) for kind, counts in rows]}


def by_namespace(records: Records) -> Section:
    """Outcomes by namespace and kind; the smallest ones are added up in one row."""
    rows = ranked(records, lambda record: (record.namespace, record.kind))
    shown = [_group(namespace, kind, counts) for (namespace, kind), counts in rows[:TOP_NAMESPACES]]
    rest = Tally()
    for _, counts in rows[TOP_NAMESPACES:]:
        rest = rest.plus(counts)
    if rest.sessions:
        shown.append(_group(f"{number(len(rows) - TOP_NAMESPACES)} others", "", rest))
    return {"head": "namespace", "caption": "By namespace, and kind of workload", "rows": shown}


def movers(records: Records) -> list[Section]:
    """The workloads with the most moved sessions, most first."""
    moved = [record for record in records if record.outcome is Outcome.MOVED]
    returning = Counter(_workload(record) for record in records if record.outcome is not Outcome.FIRST)
    groups = sorted(grouped(moved, _workload).items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {"namespace": namespace, "kind": kind, "name": name, "moved": number(len(group))}
        | {"returning": number(returning[namespace, kind, name]), "reason": reasons(group)[0][0]}
        for (namespace, kind, name), group in groups[:TOP_WORKLOADS]
    ]


def notes(records: Records) -> Section:
    """What the notes need: how the numbers came about, and what they do not say."""
    by_chance = chance(records)
    untimed = sum(record.ready_at is None for record in records)
    unmeasured = sum(record.startup_seconds is None for record in records)
    return {
        "chance": "" if by_chance is None else percent(by_chance),
        "untimed": plural(untimed, "session") if untimed else "",
        "unmeasured": plural(unmeasured, "session") if unmeasured else "",
        "unknown": Reason.UNKNOWN.meaning if Reason.UNKNOWN in dict(reasons(records)) else "",
    }


def _saved(records: Records) -> Section:
    name, estimate = "time saved (estimate)", saving(records)
    if estimate is None:
        return {"name": name, "value": NOTHING, "about": "needs reused and moved sessions of one kind"}
    each = f"{plural(estimate.sessions, 'reused session')}, each {roughly(abs(estimate.seconds) / estimate.sessions)}"
    than = f"{'faster' if estimate.seconds >= 0 else 'slower'} than the {number(estimate.moved)} moved"
    return {"name": name, "value": f"≈{NBSP}{roughly(estimate.seconds)}", "about": f"{each} {than}"}


def _evenness(per_node: dict[str, int]) -> str:
    found = spread(per_node)
    if found is None or found.nodes == 1:
        return "All sessions ran on one node."
    return (
        f"The busiest of {number(found.nodes)} nodes ran {percent(found.busiest)} of the sessions; its even share would"
        f" be {percent(1, found.nodes)}. Half of the sessions ran on {plural(found.half, 'node')}."
    )


def _typical(ascending: Sequence[float]) -> tuple[str, str, str]:
    """p50, p95 and mean."""
    middle, late = percentile(ascending, 0.5), percentile(ascending, 0.95)
    return seconds(middle), seconds(late), f"{fmean(ascending):,.1f}{NBSP}s"


def _group(name: str, kind: str, counts: Tally) -> Section:
    first, reused, moved, ratio = _cells(counts)
    cells = {"first": first, "reused": reused, "moved": moved, "ratio": ratio}
    return {"name": name, "kind": kind, "sessions": number(counts.sessions)} | cells


def _cells(counts: Tally) -> tuple[str, str, str, str]:
    ratio = percent(counts.reused, counts.returning)
    return number(counts.first), number(counts.reused), number(counts.moved), ratio


def _workload(record: SessionRecord) -> tuple[str, str, str]:
    return record.namespace, record.kind, record.workload
