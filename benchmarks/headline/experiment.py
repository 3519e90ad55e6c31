"""One arm: the shipped programs as processes, the real kube-scheduler, every session of every wave."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.headline import meter, model
from benchmarks.headline.arms import Arm
from benchmarks.headline.fleet import Fleet
from benchmarks.headline.ran import Memories, Ran, why
from benchmarks.headline.world import Round, Size
from benchmarks.population import PODS
from benchmarks.sightings import Sightings
from lastnode.contract import SESSION_LABEL
from lastnode.kube.api import load
from testbed.sessions import Sessions
from testbed.stack import Stack
from testbed.workloads import Object, sandbox_for

# Real seconds for one of the model's: a pull of 50 s takes a second, so that a wave is scheduled while nodes pull.
TIME_SCALE: Final = 0.02
_LIMIT: Final = 900.0
# With Go's default of 100 a fifth of kube-apiserver's CPU time collects garbage here, on two cores that everything
# shares; with this a twelfth, for 6.5 GB at the full size. kube-scheduler, which is measured, keeps the default.
_APISERVER_ENV: Final = {"GOGC": "400"}
Say = Callable[[str], None]
_BOUND: Final = {"fieldSelector": "spec.nodeName!=", "labelSelector": SESSION_LABEL}


class Wave(msgspec.Struct, frozen=True):
    """``rate``: pods bound a second, from the first binding to the last. ``returning``: of its sessions, how many."""

    round: int
    wave: int
    rate: float
    returning: int


class Result(NamedTuple):
    """Over all rounds but the first: ``cycle_ms``, kube-scheduler's mean from taking a pod to having its node;
    ``cpu_ms``, what each program took for a session, see meter.cpu_ms."""

    ran: list[Ran]
    waves: list[Wave]
    cycle_ms: float
    cpu_ms: dict[str, float]


def run(arm: Arm, size: Size, world: Sequence[Round], seed: int, say: Say) -> Result:
    """Every session, one wave after the other. ``say`` hears of the progress, a line a wave.

    :raises SessionTimeout, TimeoutError: sessions did not become Ready.
    """
    with Stack.start(apiserver_env=_APISERVER_ENV) as stack, Sessions.connect(stack.cp.kubeconfig, 32) as sessions:
        images = model.catalogue(size.workloads, seed)
        _start(stack, arm, images)
        scheduler = stack.start_scheduler("sticky.yaml")  # kube-scheduler as it is, with a second profile beside
        fleet = Fleet(stack, arm.sticky, model.environments(images) if arm.preference == "groups" else {})
        try:
            runner = _Runner(stack, sessions, fleet, arm, size)
            for number, now in enumerate(world):
                if number <= 1:
                    before = meter.read(stack, scheduler)
                fleet.become(now)
                runner.round(now, say)
            after = meter.read(stack, scheduler)
        finally:
            fleet.close()
    sessions_after = size.workloads * size.at_a_time * (len(world) - 1)
    return Result(runner.ran, runner.waves, meter.cycle_ms(before, after), meter.cpu_ms(before, after, sessions_after))


def _start(stack: Stack, arm: Arm, images: Mapping[str, object]) -> None:
    path = Path(stack.cp.dir) / "catalogue.json"
    path.write_text(json.dumps(images))
    flags = {
        "--image-catalogue": path,
        "--image-cache": model.IMAGE_CACHE,
        "--bandwidth": model.SPEED.bandwidth,
        "--unpack-megabyte": model.SPEED.unpack_megabyte,
        "--unpack-files": model.SPEED.unpack_files,
        "--container-start": model.CONTAINER_START,
        "--time-scale": TIME_SCALE,
    }
    stack.start_agent(0, "--no-sandbox-status", *(str(word) for pair in flags.items() for word in pair))
    if arm.sticky:
        stack.start_recorder()
        stack.start_webhook(*arm.flags)


class _Runner:
    def __init__(self, stack: Stack, sessions: Sessions, fleet: Fleet, arm: Arm, size: Size) -> None:
        self._stack = stack
        self._sessions = sessions
        self._fleet = fleet
        self._arm = arm
        self._workloads = fleet.workloads(size.workloads)
        self._at_a_time = size.at_a_time
        self._memories = Memories()
        self.ran: list[Ran] = []
        self.waves: list[Wave] = []

    def round(self, now: Round, say: Say) -> None:
        named = self._fleet.remembered() if self._arm.sticky else {}
        for number, wave in enumerate(now.waves):
            done = self._wave(now, number, wave, self._noted(wave, named))
            back = sum(one.remembered for one in self.ran[-len(wave) :])
            say(
                f"{self._arm.name}: round {now.number}, wave {number + 1} of {len(now.waves)}: "
                f"{done.rate:.0f} pods/s, {back} of {done.returning} on a remembered node"
            )

    def _wave(self, now: Round, number: int, wave: Sequence[int], noted: Mapping[int, Container[str]]) -> Wave:
        api = load(str(self._stack.cp.kubeconfig), "lastnode-headline-watch", 2)
        with Sightings(api, PODS, selectors=_BOUND) as bound:
            sandboxes = [self._sandbox(now.number, at, workload) for at, workload in enumerate(wave)]
            keys = self._fleet.each(self._sessions.start, sandboxes)
            seen = self._sessions.wait_ready(keys, _LIMIT)
            bound_at = bound.first(_name)
        api.close()
        known = [self._memories.of(workload) for workload in wave]
        on = Counter(seen[key].node for key in keys)
        ready: list[tuple[float, int, str]] = []
        for workload, key, nodes in zip(wave, keys, known, strict=True):
            node, pulled, seconds = seen[key].node, seen[key].pulled_bytes or 0, seen[key].model_seconds or 0.0
            reason = why(node, self._arm.wanted(nodes), now, on, noted.get(workload, nodes))
            self.ran.append(Ran(now.number, number, workload, node, seconds, pulled, nodes, reason))
            ready.append((bound_at.get(key.name, math.inf) + seconds * TIME_SCALE, workload, node))
        for _, workload, node in sorted(ready):
            self._memories.add(workload, node)
        self._fleet.end_sessions()
        self._sessions.wait_gone(keys, _LIMIT)
        times = sorted(bound_at.values())
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
        self.waves.append(Wave(now.number, number, rate, sum(map(bool, known))))
        return self.waves[-1]

    def _noted(self, wave: Sequence[int], named: Mapping[str, Container[str]]) -> dict[int, Container[str]]:
        """Workload -> the nodes that its annotations name now, given what was ``named`` when the round began; empty in
        arms without memory. Only those are asked again whose memory was behind then: none of them had a session since,
        and listing everybody each time is a second of the API server's."""
        noted = {number: named[name] for number in {*wave} if (name := _label(self._workloads[number])) in named}
        behind = [number for number, nodes in noted.items() if nodes != {*self._memories.of(number)}]
        names = [_label(self._workloads[number]) for number in behind]
        return noted | dict(zip(behind, self._fleet.each(self._fleet.named, names), strict=True))

    def _sandbox(self, number: int, at: int, workload: int) -> Object:
        """Of the session at that place in a wave: no two of a workload have the same remainder."""
        return sandbox_for(self._workloads[workload], f"s{number}-{at % self._at_a_time}")


def _label(workload: Object) -> str:
    name: str = workload["metadata"]["name"]
    return name


class _Meta(msgspec.Struct):
    name: str


class _Pod(msgspec.Struct):
    metadata: _Meta


_POD: Final = msgspec.json.Decoder(_Pod)


def _name(obj: msgspec.Raw) -> str:
    return _POD.decode(obj).metadata.name


def rates(waves: Sequence[Wave]) -> Iterator[float]:
    """Pods a second of the waves in which everybody returned: the first round is the same in all arms."""
    return (wave.rate for wave in waves if wave.returning)
