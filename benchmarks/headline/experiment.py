"""One arm: the shipped programs as processes, the real kube-scheduler, every session of every wave."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.headline import meter, model
from benchmarks.headline.arms import DEFAULT, STICKY, Arm
from benchmarks.headline.fleet import Fleet
from benchmarks.headline.ran import Ran, why
from benchmarks.headline.world import Round, Size
from benchmarks.population import PODS
from benchmarks.sightings import Sightings
from extender import prefer_last_node
from lastnode.contract import SESSION_LABEL
from lastnode.kube.api import load
from testbed.sessions import Sessions, key_of
from testbed.stack import Stack
from testbed.workloads import Object, sandbox_for

# Real seconds for one of the model's: a pull of 20 s takes 0.4 s, so that a wave is scheduled while nodes pull.
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
        _start(stack, arm, model.catalogue(size.workloads, seed))
        scheduler = stack.start_scheduler(arm.config)
        fleet = Fleet(stack, sticky=arm.face != "none")
        try:
            runner = _Runner(stack, sessions, fleet, arm, fleet.workloads(size.workloads))
            for number, now in enumerate(world):
                if number <= 1:
                    before = meter.read(stack, scheduler)
                fleet.become(now)
                runner.round(now, say)
            after = meter.read(stack, scheduler)
        finally:
            fleet.close()
    sessions_after = size.workloads * (len(world) - 1)
    return Result(runner.ran, runner.waves, meter.cycle_ms(before, after), meter.cpu_ms(before, after, sessions_after))


def _start(stack: Stack, arm: Arm, images: Mapping[str, object]) -> None:
    path = Path(stack.cp.dir) / "catalogue.json"
    path.write_text(json.dumps(images))
    flags = {
        "--image-catalogue": path,
        "--image-cache": model.IMAGE_CACHE,
        "--bandwidth": model.BANDWIDTH,
        "--container-start": model.CONTAINER_START,
        "--time-scale": TIME_SCALE,
    }
    stack.start_agent(0, "--no-sandbox-status", *(str(word) for pair in flags.items() for word in pair))
    if arm.face != "none":
        stack.start_recorder()
    if arm.face == "extender":
        stack.start_extender()
    if arm.face == "webhook":
        stack.start_webhook(*(("--sticky-scheduler", STICKY) if arm.profile == STICKY else ()))


class _Runner:
    def __init__(self, stack: Stack, sessions: Sessions, fleet: Fleet, arm: Arm, workloads: Sequence[Object]) -> None:
        self._stack = stack
        self._sessions = sessions
        self._fleet = fleet
        self._arm = arm
        self._workloads = workloads
        self._last: dict[int, str] = {}
        self.ran: list[Ran] = []
        self.waves: list[Wave] = []

    def round(self, now: Round, say: Say) -> None:
        named = self._named()
        for number, wave in enumerate(now.waves):
            done = self._wave(now, number, wave, self._noted(wave, named))
            back = sum(one.came_back for one in self.ran[-len(wave) :])
            say(
                f"{self._arm.name}: round {now.number}, wave {number + 1} of {len(now.waves)}: "
                f"{done.rate:.0f} pods/s, {back} of {done.returning} came back"
            )

    def _wave(self, now: Round, number: int, wave: Sequence[int], noted: Mapping[int, str]) -> Wave:
        api = load(str(self._stack.cp.kubeconfig), "lastnode-headline-watch", 2)
        with Sightings(api, PODS, selectors=_BOUND) as bound:
            sandboxes = self._fleet.each(functools.partial(self._sandbox, now.number), wave)
            keys = self._fleet.each(self._sessions.start, sandboxes)
            seen = self._sessions.wait_ready(keys, _LIMIT)
            times = sorted(bound.first(_name).values())
        api.close()
        nodes = [seen[key].node for key in keys]
        load_of = Counter(nodes)
        for workload, key, node in zip(wave, keys, nodes, strict=True):
            last = self._last.get(workload, "")
            reason = why(workload, node, last, now, load_of[last], noted)
            pulled, seconds = seen[key].pulled_bytes or 0, seen[key].model_seconds or 0.0
            self.ran.append(Ran(now.number, number, workload, node, seconds, pulled, last, reason))
        returning = sum(workload in self._last for workload in wave)
        self._last |= dict(zip(wave, nodes, strict=True))
        self._fleet.each(self._sessions.delete, sandboxes)
        self._sessions.wait_gone([key_of(sandbox) for sandbox in sandboxes], _LIMIT)
        rate = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0
        self.waves.append(Wave(now.number, number, rate, returning))
        return self.waves[-1]

    def _named(self) -> dict[int, str]:
        """Workload -> the node that its memory names, "" for none; empty in arms without memory."""
        if self._arm.face == "none":
            return {}
        named = self._fleet.remembered()
        return {number: named.get(_label(workload), "") for number, workload in enumerate(self._workloads)}

    def _noted(self, wave: Sequence[int], named: Mapping[int, str]) -> dict[int, str]:
        """The same of one wave, now, given what was ``named`` when the round began. Only those are asked again whose
        memory was behind then: none of them had a session since, and listing everybody each time is a second of the
        API server's."""
        noted = {number: named[number] for number in wave if number in named}
        behind = [number for number, node in noted.items() if node != self._last.get(number, "")]
        names = [_label(self._workloads[number]) for number in behind]
        return noted | dict(zip(behind, self._fleet.each(self._fleet.last_node, names), strict=True))

    def _sandbox(self, session: int, number: int) -> Object:
        workload, profile = self._workloads[number], DEFAULT
        # The webhook names the profile itself.
        if number in self._last and self._arm.face != "webhook":
            profile = self._arm.profile
        if self._arm.face != "injector":
            return sandbox_for(workload, f"s{session}", scheduler_name=profile)
        fresh = self._fleet.read(_label(workload))
        inject = functools.partial(prefer_last_node, workload=fresh)
        return sandbox_for(workload, f"s{session}", scheduler_name=profile, transform=inject)


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
