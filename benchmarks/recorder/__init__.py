"""The recorder in a full cluster: how soon it is synced, what it holds, what it costs idle, how fast it writes.

All of it on one real API server, one after the other; what each figure's peer is, and why that is fair, stands with
the function that takes it and in docs/measured.md.
"""

from __future__ import annotations

import sys
from typing import Final

from benchmarks.measure import table
from benchmarks.recorder import delay, resting, writes
from benchmarks.recorder.bench import Bench, Figure, Step
from testbed.stack import Stack

# Each stands on a cluster where every session that is Ready has been written down.
PARTS: Final[dict[str, tuple[Step, ...]]] = {
    "sync": (resting.synced,),
    "memory": (resting.synced, resting.relisted),
    "idle": (resting.idle,),
    "scrape": (resting.scraped,),
    "writes": (writes.written,),
    "delay": (delay.followed,),
}
WHOLE: Final[tuple[Step, ...]] = (
    resting.synced,
    resting.scraped,
    resting.idle,
    resting.relisted,
    writes.written,
    delay.followed,
)


def run(scale: int, part: str | None = None) -> str:
    """A table of figures with their peers, at ``scale`` workloads, Sandboxes and pods; of one of PARTS, or of all."""
    steps = WHOLE if part is None else PARTS[part]
    with Stack.start() as stack:
        bench = Bench(stack, scale)
        figures: list[Figure] = []
        for step in (resting.filled, resting.settled, *steps):
            taken = step(bench)
            figures += taken
            print(*taken, sep="\n", file=sys.stderr, flush=True)  # the whole takes minutes: show that it moves
    return table(["what", "recorder", "peer of the same run"], figures)
