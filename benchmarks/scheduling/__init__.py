"""The real kube-scheduler with each file of scheduler-config/: pods a second, and sessions that come back.

Rounds of all arms follow each other on one cluster, and what is compared is compared within a round.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from benchmarks.scheduling import report
from benchmarks.scheduling.arms import IDLE, LEAN, NOMINATED, PLUGINS, PRICE, SAMPLED, VARIANTS, Arm
from benchmarks.scheduling.fleet import MEMORY, NOBODY, NOTHING, Fleet
from benchmarks.scheduling.kept import Kept, Piece, Round
from benchmarks.scheduling.placing import place
from lastnode.preference import ALL_SCORED
from testbed.stack import Stack

SIZES: Final = (100, 1000, 5000)
PRICE_NODES: Final = 1000
LEAN_NODES: Final = 5000
QUEUED: Final = (3, 10, 30, 100)


class Plan(NamedTuple):
    """A piece with its arms, and how many rounds it takes; the other arms are compared with the first one."""

    piece: Piece
    arms: Sequence[Arm]
    rounds: int


def plans(nodes: int, parts: Collection[str] = report.PARTS) -> list[Plan]:
    """What of these parts is measured on a cluster of that size."""
    found = []
    if nodes == PRICE_NODES:
        found = [Plan(Piece("price", nodes, kind), PRICE, 5) for kind in (NOBODY, NOTHING, MEMORY)]
    if nodes == LEAN_NODES:
        found = [Plan(Piece("lean", nodes, MEMORY), LEAN, 5)]
    if nodes > ALL_SCORED:
        found.append(Plan(Piece("nominated", nodes, MEMORY), NOMINATED, 5))
        found += [Plan(Piece("queued", nodes, MEMORY, most), NOMINATED[:2], 5) for most in QUEUED]
        found.append(Plan(Piece("idle", nodes, MEMORY), IDLE, 5))
        found.append(Plan(Piece("sampled", nodes, MEMORY), SAMPLED, 3))
        found.append(Plan(Piece("plugins", nodes, MEMORY), PLUGINS, 3))
    found.append(Plan(Piece("variants", nodes, MEMORY), VARIANTS, 3))
    return [plan for plan in found if plan.piece.part in parts]


def sessions(nodes: int) -> int:
    """How many pods a round has: enough to measure, three a node at most, few where each takes long."""
    return 300 if nodes > 1000 else min(1000, 3 * nodes)


def run(
    sizes: Sequence[int] = SIZES,
    minutes: float = float("inf"),
    kept: Kept | None = None,
    parts: Collection[str] = report.PARTS,
) -> str:
    """Tables. What is in ``kept`` is not measured again; after ``minutes`` no further round is begun."""
    kept = kept or Kept()
    until = time.monotonic() + minutes * 60
    for nodes in sizes:
        missing = [plan for plan in plans(nodes, parts) if len(kept.rounds(plan.piece)) < plan.rounds]
        if missing and time.monotonic() < until:
            _measure(nodes, missing, kept, until)
    return "\n\n".join(report.tables([plan for nodes in sizes for plan in plans(nodes, parts)], kept))


def _measure(nodes: int, missing: Sequence[Plan], kept: Kept, until: float) -> None:
    with Stack.start() as stack:
        fleet = Fleet(stack, nodes, sessions(nodes))
        _say(f"{nodes} nodes: filling")
        fleet.fill()
        stack.start_extender()
        for plan in missing:
            for number in range(len(kept.rounds(plan.piece)), plan.rounds):
                if time.monotonic() >= until:
                    _say("the time is up: the same command goes on from here")
                    return
                kept.add(_round(stack, fleet, plan, number))


def _round(stack: Stack, fleet: Fleet, plan: Plan, number: int) -> Round:
    """Every second round goes through the arms backwards: what grows with time meets each of them alike."""
    placed = {}
    for arm in plan.arms if number % 2 == 0 else plan.arms[::-1]:
        placed[arm.name] = one = place(stack, fleet, plan.piece.kind, arm, plan.piece.most)
        what = f"{plan.piece.nodes} nodes, {plan.piece.kind}, round {number + 1} of {plan.rounds}, {arm.name}"
        _say(f"{what}: {one.rate:.0f} pods/s, {one.returned} of {one.pods} returned")
    return Round(plan.piece, number, datetime.now(UTC).isoformat(timespec="seconds"), placed)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
