"""What the published results say in docs/large.md: a table with what follows for a cluster that nobody here has, and a
plot. Pure, but for the files that it reads and writes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from math import log10
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks.slopes import Results, Series
from kubectl_lastnode.page import environment

PUBLISHED: Final = Path(__file__).with_name("results.json")
DOC: Final = Path(__file__).parents[2] / "docs" / "large.md"
PLOT: Final = DOC.with_suffix(".svg")
BEGIN: Final = "<!-- slopes: begin; written by python -m benchmarks.slopes, not by hand -->\n"
END: Final = "<!-- slopes: end -->\n"
# The cluster that nobody here has.
WORKLOADS, SESSIONS, NODES = 1_000_000, 150_000, 15_000
# Sessions that start, and end, a second; what watches bring of each: its bound pod, its Sandbox, the write. And a node
# says every five minutes that it is there (the kubelet's nodeStatusReportFrequency).
STARTS, OF_A_POD, OF_A_SANDBOX, OF_A_WORKLOAD, NODE_SECONDS = 100, 6, 4, 1, 300

Points = Mapping[int, float]


class Line(NamedTuple):
    """Of least squares."""

    slope: float
    base: float

    def at(self, size: int) -> float:
        return self.base + self.slope * size


class Row(NamedTuple):
    """``large``: in the large cluster, beside what the line says of it; None: it does not grow."""

    what: str
    points: Points
    large: float | None


def line(points: Points) -> Line:
    return Line(*statistics.linear_regression(list(points), list(points.values())))


def foretold(points: Points) -> float:
    """What the line through the smaller sizes is wrong by at the largest one, as a part of what was measured there."""
    largest = max(points)
    return line({size: points[size] for size in points if size < largest}).at(largest) / points[largest] - 1


def rows(series: Series) -> list[Row]:
    """What is shown, and what it comes to. Seconds are CPU seconds: other work on the machine does not change them."""
    alone, grouped = (series[f"{sort}: held, MB"] for sort in ("workload", "workload in a cache group"))
    index = _together(grouped, alone, -1)
    pods, sandboxes, nodes = (series[f"{sort}: held, MB"] for sort in ("session pod", "Sandbox", "node"))
    beside = line(sandboxes).at(SESSIONS) + line(nodes).at(NODES) + line(index).at(WORKLOADS)
    recorder, extender = (series[f"{name}: resident, MB"] for name in ("recorder", "extender"))
    starts = [
        _of_workloads(
            f"{name}'s start, CPU s",
            _together(series[f"{name}, start: its CPU s"], series[f"{name}, start: API server's CPU s"]),
        )
        for name in ("recorder", "extender")
    ]
    return [
        Row("recorder, MB", recorder, line(recorder).at(WORKLOADS) + line(pods).at(SESSIONS) + beside),
        Row("extender's worker, MB", extender, line(extender).at(WORKLOADS) + beside),
        _of_workloads("kube-apiserver's live heap, MB", series["API server: live heap, MB"]),
        _of_workloads("etcd, MB", series["etcd: in use, MB"]),
        *starts,
        _of_workloads("a list, kube-apiserver's CPU s", series["list, whole: API server's CPU s"]),
        _of_workloads("the same, metadata alone", series["list, metadata alone: API server's CPU s"]),
        Row("pods and Sandboxes, MB", both := _together(pods, sandboxes), line(both).at(SESSIONS)),
        _of_workloads("index of groups, MB", index),
        Row("a write, CPU ms of it and etcd",
            _together(series["write: API server, CPU ms"], series["write: etcd, CPU ms"]), None),
        Row("prioritize, CPU ms, by names",
            {count: value / 1000 for count, value in series["prioritize, CPU µs"].items()},
            line(series["prioritize, CPU µs"]).at(NODES) / 1000),
    ]  # fmt: skip


def block(results: Results) -> str:
    """What stands between the markers."""
    heading = ["what", "least", "most", "1,000 more", "foretold", "large"]
    cells = [heading, ["---"] * len(heading), *(_cells(row) for row in rows(results.series))]
    first, last = results.load
    words = f"{results.machine}, {results.at[:10]}; load {first:.0f} to {last:.0f}."
    words += f" {_events(results.series)}"
    image = f"![Memory and start by workloads, measured and foretold]({PLOT.name})"
    return "\n\n".join([words, "\n".join(" | ".join(row) for row in cells), image]) + "\n"


def _events(series: Series) -> str:
    extender = STARTS * (OF_A_SANDBOX + OF_A_WORKLOAD) + NODES // NODE_SECONDS
    each = {"recorder": extender + STARTS * OF_A_POD, "extender": extender}
    cores = {name: count * statistics.fmean(series[f"write: {name}, CPU ms"].values()) / 1000
             for name, count in each.items()}  # fmt: skip
    said = [f"{each[name]:,} events a second to each {name} ({cores[name]:.2f} cores)" for name in each]
    return f"At {STARTS} starts a second: {' and '.join(said)}."


def _cells(row: Row) -> list[str]:
    least, most = (_short(row.points[size]) for size in (min(row.points), max(row.points)))
    if row.large is None:
        return [row.what, least, most, "", "", ""]
    slope = _short(1000 * line(row.points).slope)
    return [row.what, least, most, slope, f"{foretold(row.points):+.0%}", _short(row.large)]


def with_block(doc: str, results: Results) -> str:
    """The document with the block between its markers written anew; ValueError where it has not each marker once."""
    before, rest = doc.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{block(results)}\n{END}{after}"


def published() -> Results:
    return msgspec.json.decode(PUBLISHED.read_bytes(), type=Results)


def plot(series: Series) -> str:
    """Both panels have workloads along x; measured points, their line, and where it leads."""
    shown = {row.what: row for row in rows(series)}
    panels = [
        ("Memory, MB", {name: shown[f"{name}, MB"].points for name in ("recorder", "extender's worker",
                                                                      "kube-apiserver's live heap", "etcd")}),
        ("CPU seconds of a start, the program's and kube-apiserver's", {
            name: shown[f"{name}'s start, CPU s"].points for name in ("recorder", "extender")}),
    ]  # fmt: skip
    template = environment().from_string(Path(__file__).with_name("plot.svg.jinja").read_text("utf-8"))
    return template.render(panels=[_panel(title, lines) for title, lines in panels]) + "\n"


def _panel(title: str, lines: Mapping[str, Points]) -> dict[str, Any]:
    """Places as parts of the panel's width and height, from its upper left corner; both axes are logarithmic."""
    values = [value for points in lines.values() for value in points.values()]
    ends = [line(points).at(WORKLOADS) for points in lines.values()]
    low, high = _decade(min(values)), _decade(max(ends)) + 1
    least = min(size for points in lines.values() for size in points)

    def place(size: float, value: float) -> tuple[float, float]:
        across = log10(size / least) / log10(WORKLOADS / least)
        return across, 1 - (log10(max(value, 10.0**low)) - low) / (high - low)

    def drawn(name: str, points: Points) -> dict[str, Any]:
        sizes = [least * (WORKLOADS / least) ** (part / 60) for part in range(61)]
        curve = [(size, line(points).at(round(size))) for size in sizes]
        most = max(points)
        return {"name": name, "dots": [place(*point) for point in points.items()],
                "measured": [place(*point) for point in curve if point[0] <= most],
                "foretold": [place(*point) for point in curve if point[0] >= most * 0.9],
                "end": (place(*curve[-1]), _short(curve[-1][1]))}  # fmt: skip

    marks = [(place(size, 1)[0], f"{size:,}") for size in (1000, 10_000, 100_000, WORKLOADS) if size >= least]
    levels = [(place(least, 10.0**power)[1], f"{10.0**power:,.12g}") for power in range(low, high + 1)]
    return {"title": title, "marks": marks, "levels": levels, "lines": [drawn(*each) for each in lines.items()]}


def _decade(value: float) -> int:
    return int(log10(value) // 1)


def _of_workloads(what: str, points: Points) -> Row:
    return Row(what, points, line(points).at(WORKLOADS))


def _together(one: Points, other: Points, sign: int = 1) -> Points:
    return {size: value + sign * other[size] for size, value in one.items()}


def _short(value: float) -> str:
    """Three digits."""
    return f"{float(f'{value:.3g}'):,.12g}"
