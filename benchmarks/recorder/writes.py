"""Writes a second through the recorder, beside the same patches sent raw."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from benchmarks import population, process, rawpatches
from benchmarks.population import Member
from benchmarks.recorder.bench import ROUNDS, WRITERS, Bench, Figure, late_node
from benchmarks.sightings import Sightings
from lastnode import memory, reading
from lastnode.kinds import AGENT_RUNTIME

_LIMIT: Final = 300.0


class _Run(NamedTuple):
    rate: float  # writes a second
    cpu: float  # of the client's process, ms a write


def written(bench: Bench) -> list[Figure]:
    """Writes a second, as seen by the bench's own watch, from the first to the last of a burst.

    The recorder has seen every pod of a burst Ready and only their node is missing: when it comes, all of them are due
    at once, with no pod events beside. The peer's patches are of the same size, on as many other workloads, with the
    same headers over as many connections, from a process of its own, while the recorder watches (so the server has the
    same watchers to serve). The two take turns, each first in every other round.
    """
    each = len(bench.cast.bursts[0])
    ours: list[_Run] = []
    raw: list[_Run] = []
    for number in range(ROUNDS):
        others = bench.cast.settled[number * each :][:each]
        if number % 2:
            raw.append(_raw(bench, others))
        ours.append(_ours(bench, number))
        if not number % 2:
            raw.append(_raw(bench, others))
    ratio = statistics.median(one.rate / other.rate for one, other in zip(ours, raw, strict=True))
    name = f"writes a second, {ROUNDS} times {each:,} workloads at once, {WRITERS} connections (CPU ms a write)"
    return [Figure(name, _middle(ours), f"raw: {_middle(raw)}, median of the rounds' ratios {ratio:.2f}")]


def _ours(bench: Bench, number: int) -> _Run:
    count = len(bench.cast.bursts[number])
    bench.calm()
    before = process.cpu_seconds(bench.recorder.pid) or 0.0
    rate = _rate(bench, count, lambda: population.add_node(bench.api, late_node(number)))
    return _Run(rate, ((process.cpu_seconds(bench.recorder.pid) or 0.0) - before) * 1000 / count)


def _raw(bench: Bench, members: Sequence[Member]) -> _Run:
    patches = [_patch(bench, member) for member in members]
    bench.calm()
    spent = []
    kubeconfig = str(bench.stack.cp.kubeconfig)
    rate = _rate(bench, len(patches), lambda: spent.append(rawpatches.send(kubeconfig, patches, WRITERS)))
    return _Run(rate, spent[0] * 1000 / len(patches))


def _patch(bench: Bench, member: Member) -> rawpatches.Patch:
    """As large as what the recorder would send; what it changes needs no putting right by the recorder."""
    path = f"{population.WORKLOADS}/{member.workload}"
    workload = reading.read_workload(AGENT_RUNTIME, bench.api.get(path))
    known = memory.parse_text(workload.last_node, workload.recent_nodes)
    changed = memory.render(
        (*known[:-1], msgspec.structs.replace(known[-1], pod_uid=workload.uid)), AGENT_RUNTIME.prefix
    )
    return path, memory.patch_body(workload, changed)


def _rate(bench: Bench, count: int, begin: Callable[[], object]) -> float:
    with Sightings(bench.api, population.WORKLOADS) as seen:
        begin()
        seen.wait(count, _LIMIT)
        times = seen.times()[:count]
    return (count - 1) / (times[-1] - times[0])


def _middle(runs: Sequence[_Run]) -> str:
    rate, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
    return f"{rate:.0f} ({cpu:.2f})"
