"""What an object takes in the programs' view, and what reading it costs: in a process of its own for each sort."""

from __future__ import annotations

import multiprocessing
import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final, NamedTuple

import msgspec

from benchmarks import process
from lastnode import contract
from lastnode.kinds import AGENT_RUNTIME, SANDBOX
from lastnode.kube import wire
from lastnode.kube.pages import PAGE_SIZE
from lastnode.kube.store import Store
from lastnode.reading import read_node, read_session
from lastnode.view import View

GROUPED: Final = "workload in a cache group"
RELATIVES: Final = 33


class Sample(NamedTuple):
    """An object as the API server sends it, and what of it is another one's in each copy."""

    data: bytes
    name: str
    uid: str


def in_process(samples: Mapping[str, Sample], sizes: Sequence[int]) -> dict[str, dict[int, float]]:
    """MB held, and CPU seconds to read, of so many copies of each sample."""
    series: dict[str, dict[int, float]] = defaultdict(dict)
    for sort, sample in {**samples, GROUPED: samples["workload"]}.items():
        for size in sizes:
            # Spawned, so that nothing is freed memory of another sort.
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                held, read = pool.submit(_measured, sort, sample, size).result()
            series[f"{sort}: held, MB"][size] = held
            series[f"{sort}: read, CPU s"][size] = read
    return series


def _measured(sort: str, sample: Sample, size: int) -> tuple[float, float]:
    read, store = _reader(sort)
    _take(_page(sort, sample, [size]), read, store)  # whatever is made once is made now
    before, spent = (process.memory(os.getpid()) or process.Memory(0, 0)).now, 0.0
    for start in range(0, size, PAGE_SIZE):
        page = _page(sort, sample, range(start, min(size, start + PAGE_SIZE)))
        spent += _take(page, read, store)
        del page
    return (process.memory(os.getpid()) or process.Memory(0, 0)).now - before, spent


def _reader(sort: str) -> tuple[Callable[[msgspec.Raw], Any], Store[Any]]:
    view = View()
    if sort == GROUPED:
        view.follow_groups()
    kind = SANDBOX if sort == "Sandbox" else AGENT_RUNTIME
    return {
        "node": (read_node, view.nodes),
        "session pod": (lambda data: read_session(view.ways, data), view.sessions),
    }.get(sort, (lambda data: view.read(kind.resource, data), view.workloads[kind.resource]))


def _page(sort: str, sample: Sample, numbers: Sequence[int]) -> bytes:
    return b'{"metadata":{"resourceVersion":"1"},"items":[' + b",".join(_copies(sort, sample, numbers)) + b"]}"


def _copies(sort: str, sample: Sample, numbers: Sequence[int]) -> Iterator[bytes]:
    for number in numbers:
        name = f"{number:0{len(sample.name)}d}"
        data = sample.data.replace(sample.name.encode(), name.encode())
        data = data.replace(sample.uid.encode(), str(uuid.uuid4()).encode())
        if sort == GROUPED:
            group = f'"annotations":{{"{AGENT_RUNTIME.annotation(contract.CACHE_GROUP)}":"{number // RELATIVES}",'
            data = data.replace(b'"annotations":{', group.encode(), 1)
        yield data


def _take(page: bytes, read: Callable[[msgspec.Raw], Any], store: Store[Any]) -> float:
    """CPU seconds that it took."""
    started = time.process_time()
    for item in wire.page(page).items or ():
        store.upsert(read(item))
    return time.process_time() - started
