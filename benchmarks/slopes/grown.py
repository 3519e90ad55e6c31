"""A real API server that gets more and more workloads, and the real programs started on them, one at a time."""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from benchmarks import population, process, rawpatches
from benchmarks.population import Member
from benchmarks.slopes.held import Sample
from lastnode import memory
from lastnode.contract import AGENTCUBE_PREFIX, DEFAULT_RECENT_NODES
from lastnode.kube.api import JSON, METADATA, load
from lastnode.kube.errors import KubeError
from lastnode.kube.fetch import fetch
from lastnode.kube.pages import PAGE_SIZE, Pages
from testbed.component import Component
from testbed.stack import Stack

_NODES: Final = [f"node-{number:05d}" for number in range(DEFAULT_RECENT_NODES)]
_FIRST: Final = Member("agent-first", _NODES[0], ready=True)
_PATCHES: Final = 400
_CONNECTIONS: Final = 8
_READY_SECONDS: Final = 1800.0
_IN_USE: Final = "etcd_mvcc_db_total_size_in_use_in_bytes "


class Grown:
    """``series``: what -> size -> value, filled by :meth:`measure`."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._api = load(str(stack.cp.kubeconfig), "lastnode-bench", _CONNECTIONS)
        self._names: list[str] = []
        self.series: dict[str, dict[int, float]] = defaultdict(dict)
        population.add_nodes(self._api, stack.cp.etcd.url, _NODES)
        population.fill(self._api, stack.cp.etcd.url, [_FIRST], _NODES)
        self._memory = tuple(
            msgspec.structs.replace(entry, pod_uid=str(uuid.uuid4()))  # as hard to pack as real ones
            for entry in population.old_memory(self._api, _NODES)
        )
        self._api.merge_patch(f"{population.WORKLOADS}/{_FIRST.workload}", self._patch())
        self._programs = {"recorder": stack.start_recorder(), "extender": stack.start_extender()}
        for program in self._programs.values():
            program.stop()
            program.ready_seconds = _READY_SECONDS

    def samples(self) -> dict[str, Sample]:
        """One object of each kind, as a program's watch gets it."""
        places = {
            "workload": (f"{population.WORKLOADS}/{_FIRST.workload}", JSON),
            "Sandbox": (f"{population.SANDBOXES}/{_FIRST.pod}", METADATA),
            "session pod": (f"{population.PODS}/{_FIRST.pod}", JSON),
            "node": (f"{population.NODES}/{_NODES[0]}", JSON),
        }
        found = {}
        for sort, (path, accept) in places.items():
            data = self._api.get(path, accept=accept.an_object)
            found[sort] = Sample(data, path.rpartition("/")[2], json.loads(data)["metadata"]["uid"])
        return found

    def measure(self, size: int) -> None:
        """With so many workloads."""
        new = [f"agent-{number:07d}" for number in range(len(self._names), size)]
        population.add_workloads(self._api, self._stack.cp.etcd.url, new, self._memory)
        self._names += new
        self._caught_up()
        self._at(size, {"API server: live heap, MB": self._heap(), "etcd: in use, MB": self._stored()})
        for what, accept in (("whole", JSON), ("metadata alone", METADATA)):
            spent = self._spent(partial(self._list, accept.a_list))
            self._at(size, {f"list, {what}: {unit}": value for unit, value in spent.items()})
        for name, program in self._programs.items():
            spent = self._spent(program.start)
            held = process.memory(_pid(program)) or process.Memory(0.0, 0.0)
            own = process.cpu_seconds(_pid(program)) or 0.0
            self._at(size, {f"{name}: resident, MB": held.now, f"{name}: at most, MB": held.peak})
            self._at(size, {f"{name}, start: its CPU s": own})
            self._at(size, {f"{name}, start: {unit}": value for unit, value in spent.items()})
        self._patched(size)
        for program in self._programs.values():
            program.stop()

    def _patched(self, size: int) -> None:
        """What a write costs everybody, with one recorder and one extender watching."""
        own = {"API server": self._stack.cp.apiserver.pid, "etcd": self._stack.cp.etcd.pid,
               **{name: _pid(program) for name, program in self._programs.items()}}  # fmt: skip
        names = self._names[:: max(1, size // _PATCHES)]
        patches = [(f"{population.WORKLOADS}/{name}", self._patch()) for name in names]
        before = {name: process.cpu_seconds(pid) or 0.0 for name, pid in own.items()}
        rawpatches.send(str(self._stack.cp.kubeconfig), patches, _CONNECTIONS)
        self._calm()
        for name, pid in own.items():
            spent = (process.cpu_seconds(pid) or 0.0) - before[name]
            self._at(size, {f"write: {name}, CPU ms": spent * 1000 / len(patches)})

    def _patch(self) -> dict[str, object]:
        newest = msgspec.structs.replace(self._memory[0], pod_uid=str(uuid.uuid4()))
        return {"metadata": {"annotations": memory.render((newest, *self._memory[1:]), AGENTCUBE_PREFIX)}}

    def _spent(self, call: Callable[[], object]) -> dict[str, float]:
        """Seconds, and the API server's."""
        self._calm()
        before, started = process.cpu_seconds(self._stack.cp.apiserver.pid) or 0.0, time.monotonic()
        call()
        took = time.monotonic() - started
        return {"s": took, "API server's CPU s": (process.cpu_seconds(self._stack.cp.apiserver.pid) or 0.0) - before}

    def _list(self, accept: str) -> None:
        for _ in Pages(self._api, {}, accept, PAGE_SIZE).of(population.WORKLOADS):
            pass

    def _heap(self) -> float:
        """After a collection."""
        query = {"gc": "1", "debug": "1"}
        text = self._api.request("GET", "/debug/pprof/heap", query=query, seconds=_READY_SECONDS).decode()
        return int(re.findall(r"^# HeapAlloc = (\d+)", text, re.MULTILINE)[0]) / 1e6

    def _stored(self) -> float:
        lines = fetch(f"{self._stack.cp.etcd.url}/metrics", seconds=10).decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(_IN_USE)) / 1e6

    def _caught_up(self) -> None:
        """Until the API server's watch cache has seen what etcd has, it refuses lists from there (504)."""
        until, pages = time.monotonic() + _READY_SECONDS, Pages(self._api, {}, JSON.a_list)
        query = {"limit": "1", "resourceVersionMatch": "NotOlderThan"}
        query["resourceVersion"] = pages.version(population.WORKLOADS)
        while True:
            try:
                self._api.get(population.WORKLOADS, query)
                return self._calm()
            except KubeError:
                if time.monotonic() > until:
                    raise

    def _calm(self) -> None:
        process.calm([self._stack.cp.apiserver.pid, self._stack.cp.etcd.pid])

    def _at(self, size: int, values: Mapping[str, float]) -> None:
        for what, value in values.items():
            self.series[what][size] = value
            print(f"{size:,}: {what}: {value:.3f}", file=sys.stderr, flush=True)


def _pid(program: Component) -> int:
    """Of what does the work: gunicorn's worker, where there is one."""
    return next(iter(process.children(program.pid)), program.pid)
