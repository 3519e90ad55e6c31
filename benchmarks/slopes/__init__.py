"""What grows with a cluster, and how fast: the same at four sizes, one kind of object at a time, beside nothing else.

Kept in build/, and published by python -m benchmarks.slopes, from which docs/large.md has its tables and its plot.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import answers
from benchmarks.measure import machine, table
from benchmarks.slopes import grown, held
from testbed.stack import Stack

FILE: Final = Path("build/benchmarks/slopes.json")
NAMES: Final = (1000, 5000, 10_000, 15_000)
_ROUNDS: Final = 60
# What, with its unit -> size -> value.
Series = dict[str, dict[int, float]]


class Results(msgspec.Struct):
    """``series``: what was measured, with its unit, at which sizes. ``load``: of the machine, over a minute, at the
    start and at the end; it has ``machine``'s cores. ``bytes``: of an object, as a watch brings it."""

    machine: str
    at: str
    load: tuple[float, float]
    bytes: dict[str, int]
    series: Series


def run(scale: int) -> str:
    """Every point as a table; ``scale``: the third of four sizes."""
    sizes = [scale // 20, scale // 4, scale, 5 * scale]
    before, at = os.getloadavg()[0], datetime.now(UTC).isoformat(timespec="seconds")
    with Stack.start() as stack:
        cluster = grown.Grown(stack)
        samples = cluster.samples()
        for size in sizes:
            cluster.measure(size)
    series = {**cluster.series, **held.in_process(samples, sizes), **_asked()}
    sent = {sort: len(sample.data) for sort, sample in samples.items()}
    results = Results(machine(), at, (before, os.getloadavg()[0]), sent, series)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    return table(
        ["what", *(f"{size:,}" for size in sizes)],
        [[what, *(f"{value:,.4g}" for value in points.values())] for what, points in series.items()],
    )


def _asked() -> Series:
    """Microseconds of an answer about a workload that remembers eight nodes and has a group, by the names offered."""
    taken = answers.seconds(NAMES, _ROUNDS)
    group, eight = "a group of 33", answers.REMEMBERED[-1]
    asked = {count: 1e6 * taken[f"prioritize, {count:,} names, {group}", eight] for count in NAMES}
    return {"prioritize, CPU µs": asked, "mutate, CPU µs": {0: 1e6 * taken[f"mutate, {group}", eight]}}
