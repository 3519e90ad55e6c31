"""What a session costs beside the scan: CPU time of each program, and the API server's requests, with and without us.

40 nodes, which kube-scheduler scores all anyway. CPU times are divided by the stand-in's for machines, which does the
same for a session in every arm, and shown as if it took 4 ms: so a slow moment of the machine weighs on both. Etcd, the
control plane and the stand-in stay; the arms follow each other, every second round backwards.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final, NamedTuple

from benchmarks.headline import meter, others
from benchmarks.measure import table
from benchmarks.population import SANDBOXES
from testbed.component import Component
from testbed.sessions import Sessions
from testbed.stack import Stack
from testbed.workloads import Object, agent_runtime, sandbox_for

NODES: Final = 40
SESSIONS: Final = 400
WAVE: Final = 100
ROUNDS: Final = 3
STAND_IN: Final = "stand-in for machines and agent-sandbox"
STAND_IN_MS: Final = 4.0
_SHOWN: Final = ("kube-apiserver", "etcd", "kube-scheduler", "recorder", "webhook")
_ALL: Final = "all, these and the experiment's own"
_LIMIT: Final = 300.0
_PENDING: Final = "lastnode_record_pending_workloads"
_REQUEST: Final = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


class Arm(NamedTuple):
    """``opted_in``: its workloads; without ``recorder`` nobody else runs either. ``soon``: sessions count as back so
    soon after the one before that nothing is written; else each is written, where the recorder would wait 5 minutes."""

    name: str
    recorder: bool = True
    opted_in: bool = True
    webhook: bool = False
    soon: bool = False


NONE: Final = Arm("none", recorder=False, opted_in=False)
ARMS: Final = (
    NONE,
    Arm("recorder, nobody opted in", opted_in=False),
    Arm("recorder and webhook, all came back soon", webhook=True, soon=True),
    Arm("recorder and webhook, all came back, each written", webhook=True),
    Arm("recorder alone, nearly all moved"),
)


class Cost(NamedTuple):
    """Of a session: ``cpu``, program -> ms; ``requests``, verb and resource -> how many; ``back``: the share that came
    back; ``rate``: sessions a second from being asked for to Ready; ``busy``: the share of the machine's CPU time that
    was used meanwhile, None where that cannot be known."""

    cpu: dict[str, float]
    requests: dict[str, float]
    back: float
    rate: float
    busy: float | None


class _Wave(NamedTuple):
    back: int
    seconds: float
    busy: float | None


def run(rounds: int = ROUNDS) -> str:
    """A table; medians of the rounds."""
    made: dict[Arm, list[Cost]] = {arm: [] for arm in ARMS}
    with Stack.start() as stack, Sessions.connect(stack.cp.kubeconfig, 32) as sessions:
        stack.start_agent(NODES, "--no-sandbox-status", "--time-scale", "0.02")
        scheduler = stack.start_scheduler("sticky.yaml")
        cluster = _Cluster(stack, sessions, scheduler)
        for arm in ARMS:
            cluster.measure(arm)  # what is remembered from here on; and everybody is warm
        for number in range(rounds):
            for arm in ARMS[:: 1 if number % 2 == 0 else -1]:
                made[arm].append(one := cluster.measure(arm))
                line = ", ".join(f"{name} {ms:.2f}" for name, ms in one.cpu.items())
                _say(f"round {number + 1}, {arm.name}: {one.back:.0%} back, {one.rate:.0f} a second; ms: {line}")
    heading = ("arm", "came back", "a second", "cores busy", *_SHOWN, _ALL, "requests more than none")
    return table(heading, [[*_row(arm, made[arm], made[NONE])] for arm in ARMS])


class _Cluster:
    def __init__(self, stack: Stack, sessions: Sessions, scheduler: Component) -> None:
        self._stack, self._sessions, self._scheduler = stack, sessions, scheduler
        self._workloads: dict[Arm, list[Object]] = {}
        self._on: dict[str, str] = {}  # workload -> where its last session ran
        self._numbers = count()

    def measure(self, arm: Arm) -> Cost:
        """A session of each of the arm's workloads, in waves, with the arm's programs running from before to after."""
        if arm not in self._workloads:
            names = [f"w{ARMS.index(arm)}-{number:03d}" for number in range(SESSIONS)]
            made = [agent_runtime(name, sticky=arm.opted_in, cpu="800m", memory="2Gi") for name in names]
            self._workloads[arm] = self._each(self._sessions.create, made)
        with _Programs(self._stack, arm):
            before, asked = meter.read(self._stack, self._scheduler), self._requests()
            waves = [self._wave(self._workloads[arm][at : at + WAVE]) for at in range(0, SESSIONS, WAVE)]
            if arm.recorder:
                url = self._stack.recorder_url
                self._stack.wait(lambda: not self._stack.metrics(url)[_PENDING], "the recorder to write")
            after, more = meter.read(self._stack, self._scheduler), self._requests()
        cpu = meter.cpu_ms(before, after, SESSIONS)
        requests = {what: (number - asked.get(what, 0.0)) / SESSIONS for what, number in more.items()}
        back, seconds = sum(wave.back for wave in waves), sum(wave.seconds for wave in waves)
        busy = [wave.busy for wave in waves if wave.busy is not None]
        return Cost(cpu, requests, back / SESSIONS, SESSIONS / seconds, statistics.mean(busy) if busy else None)

    def _wave(self, workloads: Sequence[Object]) -> _Wave:
        sandboxes = [sandbox_for(workload, f"s{next(self._numbers)}") for workload in workloads]
        before = others.clock()
        keys = self._each(self._sessions.start, sandboxes)
        seen = self._sessions.wait_ready(keys, _LIMIT)
        busy = others.busy(before, others.clock())
        self._stack.api.delete(f"{SANDBOXES}?gracePeriodSeconds=0")
        self._sessions.wait_gone(keys, _LIMIT)
        names = [workload["metadata"]["name"] for workload in workloads]
        nodes = [seen[key].node for key in keys]
        back = sum(self._on.get(name) == node for name, node in zip(names, nodes, strict=True))
        self._on |= zip(names, nodes, strict=True)
        return _Wave(back, max(seen[key].seconds or 0.0 for key in keys), busy)

    def _requests(self) -> dict[str, float]:
        """By verb and resource, as the API server counts them; a watch counts when it ends."""
        found: dict[str, float] = {}
        for labels, value in _REQUEST.findall(self._stack.api.get("/metrics")):
            label = dict(_LABEL.findall(labels))
            what = "/".join(filter(None, (label["resource"], label["subresource"])))
            name = f"{label['verb']} {what}"
            found[name] = found.get(name, 0.0) + float(value)
        return found

    def _each(self, call: Callable[[Any], Any], arguments: Iterable[Any]) -> list[Any]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(call, arguments))


class _Programs:
    """The arm's, while it is entered."""

    def __init__(self, stack: Stack, arm: Arm) -> None:
        self._stack, self._arm = stack, arm

    def __enter__(self) -> None:
        if self._arm.recorder:
            self._stack.start_recorder("--redate-seconds", "1h" if self._arm.soon else "0")
        if self._arm.webhook:
            self._stack.start_webhook()

    def __exit__(self, *_: object) -> None:
        if self._stack.webhook:
            self._stack.unregister_webhook()
        for program in (self._stack.recorder, self._stack.webhook):
            if program is not None:
                program.stop()
        self._stack.recorder = self._stack.webhook = None


def _row(arm: Arm, costs: Sequence[Cost], none: Sequence[Cost]) -> Iterator[str]:
    yield arm.name
    yield f"{statistics.median(cost.back for cost in costs):.0%}"
    yield f"{statistics.median(cost.rate / other.rate for cost, other in zip(costs, none, strict=True)):.2f} of none"
    busy = [cost.busy for cost in costs if cost.busy is not None]
    yield f"{statistics.median(busy):.0%}" if busy else ""
    for program in (*_SHOWN, _ALL):
        used = [cost.cpu | {_ALL: sum(cost.cpu.values())} for cost in costs]
        units = [cpu[program] / cpu[STAND_IN] * STAND_IN_MS for cpu in used if program in cpu]
        yield f"{statistics.median(units):.1f} ({min(units):.1f} to {max(units):.1f})" if units else ""
    more = {what: statistics.mean(cost.requests.get(what, 0.0) for cost in costs)
            - statistics.mean(cost.requests.get(what, 0.0) for cost in none)
            for what in {what for cost in costs for what in cost.requests}}  # fmt: skip
    yield ", ".join(f"{number:.2f} {what}" for what, number in sorted(more.items()) if number >= 0.05)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
