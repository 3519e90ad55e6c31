"""What remembering more nodes costs an answer: CPU time inside this process, with eight nodes against one.

No server and no cluster take part. The machine is shared, so the kinds of request take turns in short rounds, and the
median of the rounds counts.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from benchmarks.measure import table
from benchmarks.prioritize import golden
from extender.holding import AGAIN_SECONDS, Holding
from extender.http import Verb
from extender.lookup import Lookup
from extender.metrics import InjectionMetrics, PrioritizeMetrics
from extender.mutate import Mutator
from extender.prioritize import Prioritizer
from lastnode import contract
from lastnode.kinds import AGENT_RUNTIME
from lastnode.memory import Entry
from lastnode.objects import Node, Workload, pack
from lastnode.view import MemoryCache, View

NODES: Final = 5000
GROUP: Final = "group"
RELATIVES: Final = 32
REMEMBERED: Final = (1, 8)
ROUNDS: Final = 300
CALLS: Final = 20  # of a kind in a round
_NOW: Final = datetime.now(UTC).replace(microsecond=0)


def run() -> str:
    """A table of microseconds an answer."""
    taken = seconds((500, NODES))
    rows = []
    for what in sorted({what for what, _ in taken}):
        one, eight = (1e6 * taken[what, remembered] for remembered in REMEMBERED)
        rows.append([what, f"{one:.0f}", f"{eight:.0f}", f"{eight / one:.2f}"])
    return table(["CPU time of an answer", "1 node, µs", "8 nodes, µs", "8 of 1"], rows)


def seconds(counts: Sequence[int], rounds: int = ROUNDS) -> dict[tuple[str, int], float]:
    """Of each sort of answer, by how many nodes are remembered; prioritize with so many names offered."""
    names = [f"node-{number:05d}" for number in range(max(counts))]
    prioritize, mutate = _verbs(names)
    calls: dict[tuple[str, int], Callable[[], bytes]] = {}
    for group, remembered in itertools.product(("", GROUP), REMEMBERED):
        pod, beside = _pod(_name(remembered, group)), "a group of 33" if group else "no group"
        for count in counts:
            calls[f"prioritize, {count:,} names, {beside}", remembered] = partial(
                prioritize.answer, _args(pod, names[:count])
            )
        calls[f"mutate, {beside}", remembered] = partial(mutate.answer, _review(pod))
    for (what, _), call in calls.items():
        if (b'"Score":10' if what.startswith("prioritize") else b'"patch"') not in call():
            raise RuntimeError(f"{what}: not what was asked for")
    return dict(zip(calls, _measured(list(calls.values()), rounds), strict=True))


def _measured(calls: Sequence[Callable[[], bytes]], rounds: int) -> list[float]:
    """Seconds of each: the median over all rounds."""
    made: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, made, strict=True):
            started = time.process_time()
            for _ in range(CALLS):
                call()
            taken.append((time.process_time() - started) / CALLS)
    return [statistics.median(taken) for taken in made]


def _verbs(names: Sequence[str]) -> tuple[Verb, Verb]:
    view, rng = View(), random.Random(0)
    view.follow_groups()
    for name in names:
        view.nodes.upsert(Node(name=name, uid=name, hostname=name, ready=True))
    members = [(_name(remembered, group), remembered, group) for remembered in REMEMBERED for group in ("", GROUP)]
    members += [(f"relative-{number}", REMEMBERED[-1], GROUP) for number in range(RELATIVES)]
    for name, remembered, group in members:
        _remember(view, name, group, rng.sample(names[:500], remembered))
    lookup = Lookup(view, MemoryCache(0), 0, synced=lambda: True)
    registry = CollectorRegistry()
    later = itertools.count(0.0, 2 * AGAIN_SECONDS)  # so that no pod is taken for one that was refused
    mutator = Mutator(lookup, InjectionMetrics(registry), Holding(clock=lambda: next(later)))
    return Verb(Prioritizer(lookup, PrioritizeMetrics(registry))), Verb(mutator)


def _name(remembered: int, group: str) -> str:
    return f"agent-{remembered}-{group or 'alone'}"


def _remember(view: View, name: str, group: str, nodes: Sequence[str]) -> None:
    memory = [Entry(node, node, node, _NOW - timedelta(hours=age), name) for age, node in enumerate(nodes, 1)]
    view.workloads[AGENT_RUNTIME.resource].upsert(Workload(
        namespace="default", name=name, uid=name, resource=AGENT_RUNTIME.resource, kind=AGENT_RUNTIME.name, sticky=True,
        packed_nodes=pack(msgspec.json.encode(memory).decode()), cache_group=group or None,
    ))  # fmt: skip


def _pod(workload: str) -> dict[str, Any]:
    pod = golden()
    labels = {contract.SESSION_LABEL: workload, contract.WORKLOAD_NAME_LABEL: workload}
    pod["metadata"] |= {"name": f"{workload}-1", "uid": f"{workload}-1", "namespace": "default", "labels": labels}
    return pod


def _args(pod: dict[str, Any], names: Sequence[str]) -> bytes:
    names = random.Random(len(names)).sample(names, len(names))
    return json.dumps({"Pod": pod, "Nodes": None, "NodeNames": names}, separators=(",", ":")).encode()


def _review(pod: dict[str, Any]) -> bytes:
    """As kube-apiserver asks about a pod that is not bound yet."""
    request = {"uid": "1", "operation": "CREATE", "resource": {"group": "", "version": "v1", "resource": "pods"},
               "namespace": "default", "object": pod}  # fmt: skip
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review, separators=(",", ":")).encode()
