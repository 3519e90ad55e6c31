"""POST /prioritize over one kept-alive connection to the real program, in the bytes that kube-scheduler sends.

nginx's static reply to the same bytes is the peer: it is asked in turn with the program, one request each.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import yaml

from benchmarks import nginx, population, process
from benchmarks.asker import Asker, post
from benchmarks.measure import percentiles, table
from benchmarks.population import Member
from lastnode import contract
from lastnode.kinds import AGENT_RUNTIME
from lastnode.kube.api import load
from lastnode.kube.fetch import fetch
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from testbed.workloads import SANDBOX_VERSION

NODES: Final = 5000
REQUESTS: Final = 2000  # of each sort in each measurement
# Sessions of that many workloads ask in turn, so that a memory is seldom one that was parsed a moment ago.
ASKING: Final = 500
# kube-scheduler's fastest: 234 pods a second were measured on this control plane without any extender.
PACE_SECONDS: Final = 0.004
RELISTS: Final = 6
# A watch that lived for 5 s counts as healthy, and after a healthy one the next list begins within a second.
HEALTHY_SECONDS: Final = 5.5
# A list of everything takes some 15 s beside the requests, in pages of 100; on a busy machine more.
_LIST_LIMIT: Final = 90.0
_POD: Final = REPOSITORY / "tests" / "extender" / "golden" / "many-containers.json"


class Sort(NamedTuple):
    """A sort of request: whose pod, how many names, and what has to be in the answer."""

    title: str
    requests: Sequence[bytes]
    answer: bytes


class Sample(NamedTuple):
    at: float  # time.monotonic() when it was sent
    seconds: float


class Row(NamedTuple):
    what: str
    ours: Sequence[Sample]
    nginx: Sequence[Sample]

    def cells(self) -> list[str]:
        p50, p99 = percentiles([sample.seconds for sample in self.ours])
        if not self.nginx:
            return [self.what, f"{p50:.2f}", f"{p99:.2f}", nginx.MISSING, "", ""]
        base, tail = percentiles([sample.seconds for sample in self.nginx])
        return [self.what, f"{p50:.2f}", f"{p99:.2f}", f"{base:.2f}", f"{tail:.2f}", f"{p50 / base:.1f}"]


def run(scale: int) -> str:
    """A table of p50 and p99 in milliseconds, and lines with what was there meanwhile."""
    with Stack.start() as stack, ExitStack() as open_until_then:
        bench = _Bench(stack, scale, open_until_then)
        rows: list[Row] = []
        for step in (bench.small, bench.full, bench.paced, bench.relisted):
            taken = step()
            rows += taken
            print(*(row.cells() for row in taken), sep="\n", file=sys.stderr, flush=True)  # minutes: it moves
        heading = ["request", "p50 ms", "p99 ms", "nginx p50 ms", "nginx p99 ms", "p50 of nginx's"]
        return "\n\n".join([table(heading, [row.cells() for row in rows]), *bench.remarks])


class _Bench:
    """The steps, in the order of :func:`run`: each finds the cluster as the one before left it."""

    def __init__(self, stack: Stack, scale: int, closing: ExitStack) -> None:
        self._stack = stack
        self._closing = closing
        self._api = load(str(stack.cp.kubeconfig), "lastnode-bench")
        self._nodes = [f"node-{number:05d}" for number in range(NODES)]
        self._members = [Member(f"agent-{n:05d}", self._nodes[n % NODES], ready=True) for n in range(scale)]
        self._nginx = nginx.start(stack)
        self._proxy = ""
        self.remarks: list[str] = []

    def small(self) -> list[Row]:
        """One workload: what an answer costs at the least."""
        population.add_nodes(self._api, self._stack.cp.etcd.url, self._nodes)
        self._fill(self._members[:1])
        self._stack.start_extender()
        sorts = [*self._sessions(self._members[:1], "session, one workload"), *self._nobodys()]
        rows = self._measure(sorts)
        assert self._stack.extender is not None
        self._stack.extender.stop()
        self._compare(rows)
        return rows

    def full(self) -> list[Row]:
        """A full view, and the memory that it takes."""
        self._fill(self._members[1:])
        self._proxy = _start_proxy(self._stack)
        config = _through(self._proxy, self._stack.cp.kubeconfig, self._stack.cp.dir / "proxied.kubeconfig")
        self._stack.start_extender("--kubeconfig", str(config))
        self._say_memory("when synced")
        return self._measure(self._sessions(self._members, f"session, {len(self._members):,} workloads"))

    def paced(self) -> list[Row]:
        """As kube-scheduler asks, which does something else between two requests."""
        sort = self._sessions(self._members, f"session, {len(self._members):,} workloads, one every 4 ms")[:1]
        return self._measure(sort, PACE_SECONDS)

    def relisted(self) -> list[Row]:
        """The same while the program lists everything again, because the API server no longer has the history."""
        [sort, _] = self._sessions(self._members, "the same while everything is listed again")
        before = self._lists()
        taken: list[Sample] = []
        beside: list[Sample] = []
        for number in range(1, RELISTS + 1):
            time.sleep(HEALTHY_SECONDS)
            _get(f"{self._proxy}/-/expire", self._stack)
            until = time.monotonic() + _LIST_LIMIT
            while self._lists() < before + number and time.monotonic() < until:
                ours, theirs = self._ask(sort, int(1 / PACE_SECONDS), PACE_SECONDS)
                taken += ours
                beside += theirs
        done = self._lists() - before
        spans = [(begin, end) for path, begin, end in self._spans() if path.endswith("/agentruntimes")]
        during = [[s for s in samples if any(b <= s.at <= e for b, e in spans)] for samples in (taken, beside)]
        seconds = ", ".join(f"{end - begin:.1f}" for begin, end in spans[1:])
        self.remarks.append(f"{done:.0f} complete lists of all {len(self._members):,} workloads, in {seconds} s.")
        if done < RELISTS or not during[0]:
            raise RuntimeError(f"{done:.0f} lists instead of {RELISTS}")
        self._say_memory(f"after {done:.0f} more lists")
        return [Row(sort.title, *during)]

    def _measure(self, sorts: Sequence[Sort], pace: float = 0.0) -> list[Row]:
        rows = []
        for sort in sorts:
            ours, theirs = self._ask(sort, REQUESTS, pace)
            rows.append(Row(sort.title, ours[REQUESTS // 10 :], theirs[REQUESTS // 10 :]))
        return rows

    def _ask(self, sort: Sort, count: int, pace: float) -> tuple[list[Sample], list[Sample]]:
        """``count`` requests to the program and as many to nginx, in turn, on a connection each."""
        port = urlsplit(self._stack.extender_url).port or 0
        samples: tuple[list[Sample], list[Sample]] = ([], [])
        with ExitStack() as connections:
            askers = [connections.enter_context(Asker(port)) for port in (port, self._nginx) if port]
            for request in itertools.islice(itertools.cycle(sort.requests), count):
                for asker, taken, expected in zip(askers, samples, (sort.answer, b"[]"), strict=False):
                    at = time.monotonic()
                    seconds, answer = asker.ask(request)
                    taken.append(Sample(at, seconds))
                    if expected not in answer:
                        raise RuntimeError(f"{sort.title}: not what was asked for: {answer!r}")
                    time.sleep(max(0.0, pace - seconds) if pace else 0.0)
        return samples

    def _sessions(self, members: Sequence[Member], title: str) -> list[Sort]:
        """Requests for sessions of these workloads, with 500 and with 5,000 names."""
        chosen = random.Random(0).sample(members, min(ASKING, len(members)))
        uids = {member.pod: self._sandbox_uid(member) for member in chosen}
        pods = [_session(member, uids[member.pod]) for member in chosen]
        return [
            Sort(f"{title}, {count:,} names", [_args(pod, self._offered(count)) for pod in pods], b'"Score":10')
            for count in (500, NODES)
        ]

    def _nobodys(self) -> list[Sort]:
        return [
            Sort(f"nobody's session, {count:,} names", [_args(golden(), self._offered(count))], b"[]")
            for count in (500, NODES)
        ]

    def _offered(self, count: int) -> list[str]:
        """In no order, as the scheduler sends them; the remembered node is among them wherever chance has put it."""
        names = self._nodes[:count]
        return random.Random(count).sample(names, len(names))

    def _sandbox_uid(self, member: Member) -> str:
        return str(json.loads(self._api.get(f"{population.SANDBOXES}/{member.pod}"))["metadata"]["uid"])

    def _fill(self, members: Sequence[Member]) -> None:
        population.fill(self._api, self._stack.cp.etcd.url, members, self._nodes[100:104])

    def _lists(self) -> float:
        name = f'lastnode_list_duration_seconds_count{{resource="{AGENT_RUNTIME.resource}"}}'
        return self._stack.metrics(self._stack.extender_url)[name]

    def _spans(self) -> list[tuple[str, float, float]]:
        return [(path, begin, end) for path, begin, end in json.loads(_get(f"{self._proxy}/-/lists", self._stack))]

    def _compare(self, rows: Sequence[Row]) -> None:
        few, many = (percentiles([sample.seconds for sample in row.ours])[0] for row in rows[:2])
        self.remarks.append(f"A session's p50 at 5,000 names is {many / few:.2f} of that at 500.")

    def _say_memory(self, when: str) -> None:
        assert self._stack.extender is not None
        pids = [self._stack.extender.pid, *process.children(self._stack.extender.pid)]
        taken = [memory for pid in pids if (memory := process.memory(pid))]
        names = ("gunicorn's arbiter", "worker")
        text = ", ".join(f"{name} {m.now:.0f} (peak {m.peak:.0f})" for name, m in zip(names, taken, strict=False))
        what = f"{len(self._members):,} workloads, as many Sandboxes and {NODES:,} nodes"
        self.remarks.append(f"Resident memory with {what}, {when}, MB: {text or 'no /proc'}.")


def golden() -> dict[str, Any]:
    """A pod of 7 KB as kube-scheduler sent it once; nobody's session."""
    pod: dict[str, Any] = json.loads(_POD.read_text(encoding="utf-8"))["Pod"]
    pod["metadata"]["labels"] = {"app": "other"}
    return pod


def _session(member: Member, sandbox_uid: str) -> dict[str, Any]:
    pod = golden()
    sandbox = {"apiVersion": SANDBOX_VERSION, "kind": contract.SANDBOX_KIND, "controller": True}
    pod["metadata"] |= {
        "name": member.pod,
        "namespace": "default",
        "creationTimestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "labels": {contract.SESSION_LABEL: population.SESSION_ID},
        "ownerReferences": [{**sandbox, "name": member.pod, "uid": sandbox_uid}],
    }
    return pod


def _args(pod: Mapping[str, Any], names: Iterable[str]) -> bytes:
    return post(json.dumps({"Pod": pod, "Nodes": None, "NodeNames": list(names)}, separators=(",", ":")).encode())


def _start_proxy(stack: Stack) -> str:
    port = stack.cp.free_port()
    argv: list[str | Path] = [sys.executable, "-m", "benchmarks.relists", stack.cp.url, stack.cp.ca_file.parent]
    url = f"https://127.0.0.1:{port}"
    stack.cp.spawn("relists", [*argv, str(port)], ready_url=f"{url}/-/lists", cwd=REPOSITORY)
    return url


def _through(url: str, of: Path, to: Path) -> Path:
    document = yaml.safe_load(of.read_text(encoding="utf-8"))
    for cluster in document["clusters"]:
        cluster["cluster"]["server"] = url
    to.write_text(yaml.safe_dump(document), encoding="utf-8")
    return to


def _get(url: str, stack: Stack) -> bytes:
    return fetch(url, seconds=10, ca=str(stack.cp.ca_file))
