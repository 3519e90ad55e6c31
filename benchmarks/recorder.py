"""The recorder in a full cluster: how soon it is synced, what it holds, what it costs idle, how fast it writes.

All of it on one real API server, one after the other; what each figure's peer is, and why that is fair, stands with
the function that takes it and in docs/benchmarks.md.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import NamedTuple

import msgspec

from benchmarks import population, process, rawpatches
from benchmarks.measure import percentiles, table
from benchmarks.population import Member
from benchmarks.sightings import Sightings
from deploy.local.component import Component
from deploy.local.stack import Stack
from recorder import contract, decision, envelope, memory, wire
from recorder.api import load
from recorder.listwatch import PAGE_SIZE

NODES = 100
WRITERS = 8  # the recorder's default
RATE = 100.0  # sessions a second
IDLE_SECONDS = 30.0
_COME_LATE = "late-00"
_LIMIT = 600.0  # seconds after which the bench gives up waiting for anything
_WATCHED = ("nodes", "pods", "agentruntimes", "codeinterpreters", "sandboxes")


class Cast(NamedTuple):
    """The sessions by their part in the bench, together as many as the scale."""

    settled: list[Member]  # Ready and written down before anything is measured
    burst: list[Member]  # Ready on a node that does not exist until they shall be written, all at once
    steady: list[Member]  # not Ready until their turn comes, 100 a second

    @property
    def all(self) -> list[Member]:
        return [*self.settled, *self.burst, *self.steady]


class Figure(NamedTuple):
    what: str
    value: str
    peer: str = ""


def run(scale: int) -> str:
    """A table of figures with their peers, at ``scale`` workloads, Sandboxes and pods."""
    with Stack.start() as stack:
        bench = _Bench(stack, scale)
        steps = (bench.filled, bench.settled, bench.synced, bench.idle, bench.relisted, bench.written, bench.followed)
        figures: list[Figure] = []
        for step in steps:
            taken = step()
            figures += taken
            print(*taken, sep="\n", file=sys.stderr, flush=True)  # the whole takes minutes: show that it moves
    return table(["what", "recorder", "peer of the same run"], figures)


def cast(scale: int) -> Cast:
    """A tenth in the burst, up to 30 s of steady sessions, the rest settled."""
    names = [f"agent-{number:05d}" for number in range(scale)]
    nodes = itertools.cycle(_node_names())
    burst, steady = scale // 10, min(int(30 * RATE), scale // 4)
    return Cast(
        [Member(name, next(nodes), ready=True) for name in names[burst + steady :]],
        [Member(name, _COME_LATE, ready=True) for name in names[:burst]],
        [Member(name, next(nodes), ready=False) for name in names[burst : burst + steady]],
    )


class _Bench:
    """The steps, in the order of :func:`run`: each finds the cluster as the one before left it."""

    def __init__(self, stack: Stack, scale: int) -> None:
        self._stack = stack
        self._scale = scale
        self._cast = cast(scale)
        self._api = load(str(stack.cp.kubeconfig), "lastnode-bench", 16)

    @property
    def _recorder(self) -> Component:
        assert self._stack.recorder is not None
        return self._stack.recorder

    def filled(self) -> list[Figure]:
        """The cluster: how large, and what an object weighs."""
        for name in _node_names():
            population.add_node(self._api, name)
        started = time.perf_counter()
        # Mixed, as they would be: a burst's pods do not stand side by side in a list.
        members = sorted(self._cast.all, key=lambda member: member.workload[::-1])
        population.fill(self._api, self._stack.cp.etcd.url, members, _node_names()[1:5])
        collections = (population.WORKLOADS, population.SANDBOXES, population.PODS)
        sizes = " + ".join(f"{population.mean_bytes(self._api, path) / 1000:.1f}" for path in collections)
        seconds = time.perf_counter() - started
        return [Figure(f"{self._scale:,} workloads + Sandboxes + pods, KB each", sizes, f"filled in {seconds:.0f} s")]

    def settled(self) -> list[Figure]:
        """The first start in a cluster where every session is new: it lists, and writes all of them down."""
        started = time.perf_counter()
        self._start()
        writes = 'lastnode_record_writes_total{result="written"}'
        wanted = len(self._cast.settled)
        self._until(lambda: self._stack.metrics(self._stack.recorder_url)[writes] >= wanted, f"{wanted} writes")
        seconds = time.perf_counter() - started
        figures = [Figure(f"first start: all {wanted:,} Ready sessions written, s", f"{seconds:.1f}")]
        figures += self._memory("first start, everything written")
        self._recorder.stop()
        return figures

    def synced(self) -> list[Figure]:
        """A start in a cluster where there is nothing to write, from exec to /readyz 200, beside bare lists of what it
        lists: raw pages, nothing decoded but the next page's token."""
        in_turn, at_once = self._bare_lists(1), self._bare_lists(len(_LISTED))
        seconds = _seconds(self._start)
        ratios = f"{seconds / at_once:.2f}, {seconds / in_turn:.2f}"
        peer = f"bare lists: {at_once:.1f} at once, {in_turn:.1f} in turn ({ratios})"
        return [Figure("start to synced, s", f"{seconds:.1f}", peer), *self._memory("synced")]

    def idle(self) -> list[Figure]:
        """CPU time, and requests as the API server counted them; nobody else asks for these resources meanwhile."""
        self._pause(5.0)
        cpu, requests = process.cpu_seconds(self._recorder.pid), self._requests()
        self._pause(IDLE_SECONDS)
        now = process.cpu_seconds(self._recorder.pid)
        percent = "no /proc" if cpu is None or now is None else f"{(now - cpu) / IDLE_SECONDS * 100:.2f}"
        asked = self._requests() - requests
        return [
            Figure(f"CPU while idle for {IDLE_SECONDS:.0f} s, % of a core", percent),
            Figure("requests in that time", f"{asked:.0f}"),
        ]

    def relisted(self) -> list[Figure]:
        """Every watch's version is too old after this: the API server starts with an empty watch cache, and others
        have written meanwhile."""
        before = self._lists()
        process.forget_peak(self._recorder.pid)
        self._recorder.pause()
        members = self._cast.settled[:50]
        for member in members:
            self._api.merge_patch(f"{population.WORKLOADS}/{member.workload}", {"metadata": {"labels": {"n": "1"}}})
        self._stack.cp.apiserver.restart()
        self._recorder.resume()
        self._until(lambda: self._lists() > before, "a list")
        self._pause(20.0)
        lists = self._lists() - before
        return self._memory(f"after the API server's restart ({lists:.0f} of {len(_LISTED)} lists anew)")

    def written(self) -> list[Figure]:
        """Writes a second, as seen by the bench's own watch, from the first to the last of them.

        The recorder has seen every pod of the burst Ready and only their node is missing: when it comes, all of them
        are due at once, with no pod events beside. The peer's patches are of the same size, on as many other
        workloads, from a process of its own over as many connections: once with the recorder watching (the server
        then has the same watchers to serve) and once without.
        """
        count = len(self._cast.burst)
        groups = self._cast.settled[:count], self._cast.settled[count : 2 * count]
        beside = self._raw(groups[0])
        ours = self._rate(count, lambda: population.add_node(self._api, _COME_LATE))
        self._recorder.stop()
        alone = self._raw(groups[1])
        peer = (
            f"raw: {beside:.0f} beside the recorder, {alone:.0f} without it ({ours / beside:.2f}, {ours / alone:.2f})"
        )
        return [Figure(f"writes a second, {count:,} workloads at once, {WRITERS} connections", f"{ours:.0f}", peer)]

    def followed(self) -> list[Figure]:
        """From sending a pod's Ready to seeing its workload's annotation, both in this process. The peer is the same
        pod's Ready on the same kind of watch: what the API server alone takes for the first half of the way."""
        self._start()
        steady = self._cast.steady
        workloads = Sightings(self._api, population.WORKLOADS)
        pods = Sightings(self._api, population.PODS)
        with workloads, pods:
            sent = self._make_ready(steady)
            names = {member.workload for member in steady}
            self._until(lambda: names <= workloads.first(_name).keys(), "the annotations")
        annotated, ready = workloads.first(_name), pods.first(_name)
        ours = percentiles([annotated[member.workload] - sent[member] for member in steady])
        peer = percentiles([ready[member.pod] - sent[member] for member in steady])
        what = f"a pod's Ready to its annotation, {len(steady):,} sessions at {RATE:.0f} a second, p50 / p99 ms"
        return [Figure(what, _pair(ours), f"the pod's Ready on a watch: {_pair(peer)}")]

    def _start(self) -> None:
        self._stack.start_recorder("--writers", str(WRITERS))

    def _make_ready(self, members: Sequence[Member]) -> dict[Member, float]:
        """One every 1/RATE s, whether or not the ones before are through; returns when each was sent."""
        sent: dict[Member, float] = {}

        def one(member: Member) -> None:
            sent[member] = time.perf_counter()
            population.make_ready(self._api, member.pod)

        started = time.perf_counter()
        with ThreadPoolExecutor(WRITERS) as pool:
            asked = []
            for number, member in enumerate(members):
                self._pause(started + number / RATE - time.perf_counter())
                asked.append(pool.submit(one, member))
            for answer in wait(asked).done:
                answer.result()
        return sent

    def _raw(self, members: Sequence[Member]) -> float:
        patches = [self._patch(member) for member in members]
        return self._rate(len(patches), lambda: rawpatches.send(str(self._stack.cp.kubeconfig), patches, WRITERS))

    def _patch(self, member: Member) -> rawpatches.Patch:
        """As large as what the recorder would send; what it changes needs no putting right by the recorder."""
        path = f"{population.WORKLOADS}/{member.workload}"
        workload = wire.workload(contract.WORKLOAD_RESOURCES[0], self._api.get(path))
        known = memory.parse_text(workload.last_node, workload.recent_nodes)
        changed = memory.render((*known[:-1], msgspec.structs.replace(known[-1], pod_uid=workload.uid)))
        return path, decision.patch_body(workload, changed)

    def _rate(self, count: int, begin: Callable[[], object]) -> float:
        with Sightings(self._api, population.WORKLOADS) as seen:
            begin()
            seen.wait(count, _LIMIT)
            times = seen.times()[:count]
        return (count - 1) / (times[-1] - times[0])

    def _bare_lists(self, at_a_time: int) -> float:
        with ThreadPoolExecutor(at_a_time) as pool:
            return _seconds(lambda: list(pool.map(self._bare_list, _LISTED)))

    def _bare_list(self, path: str) -> None:
        query = {"limit": str(PAGE_SIZE)}
        while token := envelope.page(self._api.get(path, query)).token:
            query["continue"] = token

    def _memory(self, when: str) -> list[Figure]:
        used = process.memory(self._recorder.pid)
        value = f"{used.now:.0f} / {used.peak:.0f}" if used else "no /proc"
        return [Figure(f"{when}: resident memory now / peak, MB", value)]

    def _requests(self) -> float:
        text = self._api.get("/metrics").decode()
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("apiserver_request_total{"))
        watched = [f'resource="{resource}"' for resource in _WATCHED]
        return sum(float(value) for name, value in lines if any(resource in name for resource in watched))

    def _lists(self) -> float:
        samples = self._stack.metrics(self._stack.recorder_url)
        return sum(value for name, value in samples.items() if name.startswith("lastnode_list_duration_seconds_count"))

    def _until(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _LIMIT
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {_LIMIT:g} s in vain for {what}\n{self._stack.cp.logs_tail(8)}")
            self._pause(0.25)

    def _pause(self, seconds: float) -> None:
        """Let time pass: what is measured here is what happens in it."""
        Event().wait(max(0.0, seconds))


_LISTED = (
    population.NODES,
    population.WORKLOADS,
    population.WORKLOADS.replace("agentruntimes", "codeinterpreters"),
    population.SANDBOXES,
    population.PODS,
)


def _node_names() -> list[str]:
    return [f"node-{number:02d}" for number in range(NODES)]


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _name(obj: msgspec.Raw) -> str:
    return str(json.loads(bytes(obj))["metadata"]["name"])


def _pair(values: tuple[float, float]) -> str:
    return f"{values[0]:.0f} / {values[1]:.0f}"
