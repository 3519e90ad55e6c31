"""The tables of what was kept."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from benchmarks.measure import table
from benchmarks.scheduling.arms import Arm
from benchmarks.scheduling.kept import Kept, Round

if TYPE_CHECKING:
    from benchmarks.scheduling import Plan

_RATES = ("pods/s", "of the first", "cycle ms", "scheduler's CPU ms")
_PRICE = ("pods", "scheduler", *_RATES, "API server's and etcd's", "extender's", "calls a pod", "ms inside a call")
_NOMINATED = (
    "nodes",
    "pods",
    "scheduler and pods",
    "came back",
    "nominated",
    *_RATES,
    "API server's and etcd's",
    "recorder's",
)
_VARIANTS = ("nodes", "pods", "scheduler and pods", "came back", *_RATES)


def tables(plans: Sequence[Plan], kept: Kept) -> Iterator[str]:
    """One a part: what each file brings, what an extender costs; medians of the rounds, with their extremes."""
    for part, (heading, row) in _TABLES.items():
        rows = [row(plan, arm, rounds) for plan in plans if plan.piece.part == part
                if (rounds := kept.rounds(plan.piece)) for arm in plan.arms]  # fmt: skip
        if rows:
            yield table(heading, rows)
            yield "\n".join(_progress(plan, rounds) for plan in plans
                            if plan.piece.part == part and (rounds := kept.rounds(plan.piece)))  # fmt: skip


def _progress(plan: Plan, rounds: Sequence[Round]) -> str:
    piece = plan.piece
    when = f"{min(one.at for one in rounds)} to {max(one.at for one in rounds)}"
    kind = f"{piece.kind}, {piece.most} pods at once" if piece.most else piece.kind
    return f"- {piece.part}, {piece.nodes:,} nodes, {kind}: {len(rounds)} of {plan.rounds} rounds, {when}"


def _price(plan: Plan, arm: Arm, rounds: Sequence[Round]) -> list[str]:
    made = [one.arms[arm.name] for one in rounds]
    server = [one.cpu["API server"] + one.cpu["etcd"] for one in made]
    return [
        plan.piece.kind,
        arm.name,
        *_rates(plan, arm, rounds),
        f"{statistics.median(server):.1f}",
        f"{statistics.median(one.cpu['extender'] for one in made):.2f}",
        f"{statistics.median(one.calls for one in made):.2f}",
        f"{statistics.median(one.call_ms for one in made):.2f}",
    ]


def _nominated(plan: Plan, arm: Arm, rounds: Sequence[Round]) -> list[str]:
    made = [one.arms[arm.name] for one in rounds]
    nodes, pods, name, returned, *rates = _variant(plan, arm, rounds)
    server = [one.cpu["API server"] + one.cpu["etcd"] for one in made]
    return [
        *(nodes, pods, name, returned),
        _spread((one.nominated * 100 for one in made), "{:.0f} %"),
        *rates,
        f"{statistics.median(server):.1f}",
        f"{statistics.median(one.cpu['recorder'] for one in made):.2f}",
    ]


def _variant(plan: Plan, arm: Arm, rounds: Sequence[Round]) -> list[str]:
    made = [one.arms[arm.name] for one in rounds]
    returned = [one.returned / one.pods * 100 for one in made]
    return [
        f"{plan.piece.nodes:,}",
        f"{made[0].pods:,}",
        arm.name,
        _spread(returned, "{:.1f} %"),
        *_rates(plan, arm, rounds),
    ]


def _rates(plan: Plan, arm: Arm, rounds: Sequence[Round]) -> list[str]:
    """Pods a second, each round's ratio to the first arm, the scheduling cycle, and the scheduler's CPU time."""
    first = plan.arms[0]
    rates = [one.arms[arm.name].rate for one in rounds]
    ratios = [one.arms[arm.name].rate / one.arms[first.name].rate for one in rounds]
    cycles = [one.arms[arm.name].cycle_ms for one in rounds]
    return [
        _spread(rates, "{:.0f}"),
        "" if arm == first else _spread(ratios, "{:.2f}"),
        _spread(cycles, "{:.1f}"),
        _spread((one.arms[arm.name].cpu["scheduler"] for one in rounds), "{:.1f}"),
    ]


def _spread(values: Iterable[float], form: str) -> str:
    """The median, and the least and the greatest."""
    ordered = sorted(values)
    middle, least, most = (form.format(value) for value in (statistics.median(ordered), ordered[0], ordered[-1]))
    return f"{middle} ({least} to {most})"


_TABLES: Final[Mapping[str, tuple[Sequence[str], Callable[[Plan, Arm, Sequence[Round]], list[str]]]]] = {
    "price": (_PRICE, _price),
    "lean": (_VARIANTS, _variant),
    "nominated": (_NOMINATED, _nominated),
    "queued": (_NOMINATED, _nominated),
    "idle": (_NOMINATED, _nominated),
    "sampled": (_VARIANTS, _variant),
    "plugins": (_VARIANTS, _variant),
    "variants": (_VARIANTS, _variant),
}
PARTS: Final = tuple(_TABLES)
