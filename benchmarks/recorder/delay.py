"""From a pod's Ready to the annotation, while sessions come at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from benchmarks import population
from benchmarks.measure import percentiles
from benchmarks.population import Member
from benchmarks.recorder.bench import RATES, WRITERS, Bench, Figure, name_of
from benchmarks.sightings import Sightings


def followed(bench: Bench) -> list[Figure]:
    """From sending a pod's Ready to seeing its workload's annotation, both in this process. The peer is the same pod's
    Ready on the same kind of watch: what the API server alone takes for the first half of the way. The third figure
    is the second half: from seeing Ready to seeing the annotation, which is the recorder and its one request."""
    return [_at(bench, rate, members) for rate, members in zip(RATES, bench.cast.steady, strict=True)]


def _at(bench: Bench, rate: float, steady: Sequence[Member]) -> Figure:
    bench.calm()
    workloads = Sightings(bench.api, population.WORKLOADS)
    pods = Sightings(bench.api, population.PODS)
    with workloads, pods:
        sent = _make_ready(bench, rate, steady)
        names = {member.workload for member in steady}
        bench.until(lambda: names <= workloads.first(name_of).keys(), "the annotations")
    annotated, ready = workloads.first(name_of), pods.first(name_of)
    ours = percentiles([annotated[member.workload] - sent[member] for member in steady])
    peer = percentiles([ready[member.pod] - sent[member] for member in steady])
    rest = percentiles([annotated[member.workload] - ready[member.pod] for member in steady])
    took = max(sent.values()) - min(sent.values())
    what = (
        f"a pod's Ready to its annotation, {len(steady):,} sessions at {rate:.0f} a second "
        f"({len(steady) / took:.0f} reached), p50 / p99 ms"
    )
    return Figure(what, _pair(ours), f"the pod's Ready on a watch: {_pair(peer)}; from there on: {_pair(rest)}")


def _make_ready(bench: Bench, rate: float, members: Sequence[Member]) -> dict[Member, float]:
    """One every 1/``rate`` s, whether or not the ones before are through; returns when each was sent."""
    sent: dict[Member, float] = {}

    def one(member: Member) -> None:
        sent[member] = time.perf_counter()
        population.make_ready(bench.api, member.pod)

    started = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        asked = []
        for number, member in enumerate(members):
            bench.pause(started + number / rate - time.perf_counter())
            asked.append(pool.submit(one, member))
        for answer in wait(asked).done:
            answer.result()
    return sent


def _pair(values: tuple[float, float]) -> str:
    return f"{values[0]:.0f} / {values[1]:.0f}"
