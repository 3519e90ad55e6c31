"""The recorder while nothing happens: how soon it is synced, what it holds, what it costs, what a re-list does."""

from __future__ import annotations

import itertools
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from benchmarks import population, process
from benchmarks.recorder.bench import Bench, Figure, node_names, seconds
from lastnode.kube import wire
from lastnode.kube.api import Api
from lastnode.kube.pages import PAGE_SIZE

IDLE_SECONDS: Final = 30.0
_SYNCS: Final = 3
_SCRAPES: Final = 20
_RELIST_SECONDS: Final = 120.0
_LISTED: Final = (
    population.NODES,
    population.WORKLOADS,
    population.WORKLOADS.replace("agentruntimes", "codeinterpreters"),
    population.SANDBOXES,
    population.PODS,
)
_LISTS: Final = "lastnode_list_duration_seconds_count"


def filled(bench: Bench) -> list[Figure]:
    """The cluster: how large, and what an object weighs."""
    for name in node_names():
        population.add_node(bench.api, name)
    started = time.perf_counter()
    everybody = itertools.chain(bench.cast.settled, *bench.cast.steady, *bench.cast.bursts)
    # Mixed, as they would be: a burst's pods do not stand side by side in a list.
    members = sorted(everybody, key=lambda member: member.workload[::-1])
    population.fill(bench.api, bench.stack.cp.etcd.url, members, node_names()[1:5])
    collections = (population.WORKLOADS, population.SANDBOXES, population.PODS)
    sizes = " + ".join(f"{population.mean_bytes(bench.api, path) / 1000:.1f}" for path in collections)
    took = time.perf_counter() - started
    return [Figure(f"{bench.scale:,} workloads + Sandboxes + pods, KB each", sizes, f"filled in {took:.0f} s")]


def settled(bench: Bench) -> list[Figure]:
    """The first start in a cluster where every session is new: it lists, and writes all of them down."""
    started = time.perf_counter()
    bench.start()
    wanted = len(bench.cast.settled)
    bench.until(lambda: bench.metric('lastnode_record_writes_total{result="written"}') >= wanted, f"{wanted} writes")
    took = time.perf_counter() - started
    figures = [Figure(f"first start: all {wanted:,} Ready sessions written, s", f"{took:.1f}")]
    return figures + bench.memory("first start, everything written")


def synced(bench: Bench) -> list[Figure]:
    """A start in a cluster where there is nothing to write, from exec to /readyz 200, beside bare lists of what it
    lists: raw pages, nothing decoded but the next page's token. They take turns; each figure is the median."""
    rounds = [_sync_round(bench) for _ in range(_SYNCS)]
    at_once, in_turn, ours = (statistics.median(values) for values in zip(*rounds, strict=True))
    peer = f"bare lists: {at_once:.1f} at once, {in_turn:.1f} in turn ({ours / at_once:.2f}, {ours / in_turn:.2f})"
    return [Figure(f"start to synced, s (median of {_SYNCS})", f"{ours:.1f}", peer), *bench.memory("synced")]


def _sync_round(bench: Bench) -> tuple[float, float, float]:
    bench.stop()
    bench.calm()
    at_once = _bare_lists(bench.api, len(_LISTED))
    bench.calm()
    in_turn = _bare_lists(bench.api, 1)
    bench.calm()
    return at_once, in_turn, seconds(bench.start)


def idle(bench: Bench) -> list[Figure]:
    """CPU time, and requests as the API server counted them; nobody else asks for these resources meanwhile."""
    bench.calm()
    cpu, requests = process.cpu_seconds(bench.recorder.pid), _requests(bench.api)
    bench.pause(IDLE_SECONDS)
    now = process.cpu_seconds(bench.recorder.pid)
    percent = "no /proc" if cpu is None or now is None else f"{(now - cpu) / IDLE_SECONDS * 100:.2f}"
    asked = _requests(bench.api) - requests
    return [
        Figure(f"CPU while idle for {IDLE_SECONDS:.0f} s, % of a core", percent),
        Figure("requests in that time", f"{asked:.0f}"),
    ]


def scraped(bench: Bench) -> list[Figure]:
    """What Prometheus gets and how long it waits for that, in a cluster of this size."""
    bench.calm()
    moments = [time.perf_counter()]
    for _ in range(_SCRAPES):
        samples = bench.stack.metrics(bench.stack.recorder_url)
        moments.append(time.perf_counter())
    slowest = max(later - earlier for earlier, later in itertools.pairwise(moments))
    return [
        Figure(f"slowest of {_SCRAPES} scrapes, ms", f"{slowest * 1000:.1f}"),
        Figure("series of a scrape", f"{len(samples)}"),
    ]


def relisted(bench: Bench) -> list[Figure]:
    """Every watch's version is too old after this: while the recorder is stopped (SIGSTOP), others write and the API
    server restarts, whose watch cache then begins after those writes. Says which lists were done anew."""
    before = _lists(bench)
    process.forget_peak(bench.recorder.pid)
    bench.recorder.pause()
    for member in bench.cast.settled[:50]:
        path = f"{population.WORKLOADS}/{member.workload}"
        bench.api.merge_patch(path, {"metadata": {"labels": {"n": "1"}}})
    bench.stack.cp.apiserver.restart()
    bench.recorder.resume()
    deadline = time.monotonic() + _RELIST_SECONDS
    while len(anew := _more(before, _lists(bench))) < len(_LISTED) and time.monotonic() < deadline:
        bench.pause(0.5)
    names = ", ".join(name.partition(".")[0] for name in anew) or "none"
    return bench.memory(f"after the API server's restart, lists done anew: {names}")


def _lists(bench: Bench) -> dict[str, float]:
    """How many complete lists there were, by resource."""
    samples = bench.stack.metrics(bench.stack.recorder_url)
    return {name.split('"')[1]: value for name, value in samples.items() if name.startswith(_LISTS)}


def _more(before: dict[str, float], now: dict[str, float]) -> list[str]:
    return sorted(name for name, value in now.items() if value > before.get(name, 0.0))


def _bare_lists(api: Api, at_a_time: int) -> float:
    with ThreadPoolExecutor(at_a_time) as pool:
        return seconds(lambda: list(pool.map(lambda path: _bare_list(api, path), _LISTED)))


def _bare_list(api: Api, path: str) -> None:
    query = {"limit": str(PAGE_SIZE)}
    while token := wire.page(api.get(path, query)).token:
        query["continue"] = token


def _requests(api: Api) -> float:
    lines = api.get("/metrics").decode().splitlines()
    counts = (line.rsplit(" ", 1) for line in lines if line.startswith("apiserver_request_total{"))
    watched = [f'resource="{path.rpartition("/")[2]}"' for path in _LISTED]
    return sum(float(value) for name, value in counts if any(resource in name for resource in watched))
