"""The arms of the demo: how each starts its sessions, and one round of them."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from extender import prefer_last_node
from lastnode import memory, reading
from lastnode.contract import AGENTCUBE_PREFIX
from lastnode.kinds import BUILT_IN, Ways
from lastnode.kube.store import ObjectKey
from testbed.demo.outcome import Run, outcome_of
from testbed.sessions import Object, Session, Sessions
from testbed.stack import Stack
from testbed.workloads import agent_runtime, code_interpreter, sandbox_for

READY_SECONDS = 60.0
WRITTEN_SECONDS = 20.0
# So many at most are on their way to a node. On a busy machine a flood of Sandboxes reaches the extender later than
# their pods reach kube-scheduler, by more than it waits.
ON_THEIR_WAY = 8


@dataclass
class Arm:
    """Workloads that are treated alike. ``injected``: their pods' specs go through prefer_last_node. ``at_a_time``: so
    many sessions of each run in a round.

    ``former``: workload -> the nodes of its sessions before, as this program saw it; not what lastnode remembers.
    """

    name: str
    sticky: bool
    injected: bool
    workloads: list[Object]
    at_a_time: int = 1
    former: dict[str, list[str]] = field(default_factory=dict)

    @property
    def last_nodes(self) -> dict[str, str]:
        """The last of these."""
        return {workload: nodes[-1] for workload, nodes in self.former.items()}


def make_arm(
    sessions: Sessions,
    name: str,
    count: int,
    *,
    sticky: bool,
    injected: bool = False,
    at_a_time: int = 1,
    annotations: Mapping[str, str] | None = None,
    **template: Any,
) -> Arm:
    """``count`` workloads, half AgentRuntimes and half CodeInterpreters, each with an image of its own unless
    ``template`` has one for all. ``template``: for testbed.workloads."""
    workloads = []
    for number in range(count):
        make = code_interpreter if number % 2 else agent_runtime
        label = f"{name}-{number:02d}"
        own: dict[str, Any] = {"image": f"registry.example/{label}:1", **template}
        workload = make(label, sticky=sticky or None, **own)
        workload["metadata"]["annotations"] = dict(annotations or {})
        workloads.append(sessions.create(workload))
    return Arm(name, sticky, injected, workloads, at_a_time)


class Rounds:
    """Runs rounds of sessions: all of a round are alive together, in an order shuffled anew each time."""

    def __init__(self, stack: Stack, sessions: Sessions, rng: random.Random) -> None:
        self._stack = stack
        self._sessions = sessions
        self._rng = rng

    def run(self, arms: Sequence[Arm], session: str) -> list[Run]:
        """The sessions of every workload of these arms, one or as many as run at a time; ended again, and written down,
        when this returns."""
        wanted = [(arm, each, name) for arm in arms for each in arm.workloads for name in _names(arm, session)]
        self._rng.shuffle(wanted)
        sandboxes = [self._sandbox(arm, workload, name) for arm, workload, name in wanted]
        keys = self._start(sandboxes)
        seen = self._sessions.wait_ready(keys, READY_SECONDS)
        runs = [_run(*which, seen[key]) for which, key in zip(wanted, keys, strict=True)]
        for (arm, workload, _), run, key in zip(wanted, runs, keys, strict=True):
            arm.former.setdefault(run.workload, []).append(run.node)
            if arm.sticky:
                self._await_written(workload, key)
        for sandbox in sandboxes:
            self._sessions.delete(sandbox)
        self._sessions.wait_gone(keys, READY_SECONDS)
        return sorted(runs, key=lambda run: run.workload)

    def one(self, arm: Arm, workload: Object, session: str) -> Run:
        """A single session of one workload."""
        alone = Arm(arm.name, arm.sticky, arm.injected, [workload], former=arm.former)
        return self.run([alone], session)[0]

    def _start(self, sandboxes: Sequence[Object]) -> list[ObjectKey]:
        keys: list[ObjectKey] = []
        for sandbox in sandboxes:
            if len(keys) >= ON_THEIR_WAY:
                self._await_bound(keys[-ON_THEIR_WAY])
            keys.append(self._sessions.start(sandbox))
        return keys

    def _await_bound(self, key: ObjectKey) -> None:
        def bound() -> bool:
            seen = self._sessions.get(key)
            return seen is not None and bool(seen.node)

        self._sessions.wait_until(bound, READY_SECONDS, f"{key} has no node")

    def _sandbox(self, arm: Arm, workload: Object, session: str) -> Object:
        if not arm.injected:
            return sandbox_for(workload, session)
        fresh = self._sessions.read(workload)
        return sandbox_for(workload, session, transform=functools.partial(prefer_last_node, workload=fresh))

    def _await_written(self, workload: Object, key: ObjectKey) -> None:
        # By time, not by the pod's UID: of two sessions that became Ready on a node in the same second (the API's
        # resolution) only one is kept, and it need not be the later one.
        pod = reading.read_session(
            Ways(BUILT_IN), self._sessions.api.get(f"/api/v1/namespaces/{key.namespace}/pods/{key.name}")
        )

        def written() -> bool:
            entries = memory.parse(self._sessions.read(workload)["metadata"].get("annotations", {}), AGENTCUBE_PREFIX)
            return any(
                e.node == pod.node and e.ready_at and pod.ready_at and e.ready_at >= pod.ready_at for e in entries
            )

        self._stack.wait(written, f"the recorder to write down session {key}", WRITTEN_SECONDS)


def _run(arm: Arm, workload: Object, session: str, seen: Session) -> Run:
    name = workload["metadata"]["name"]
    outcome = outcome_of(seen.node, arm.former.get(name, ()))
    return Run(arm.name, workload["kind"], name, session, seen.node, outcome, seen.seconds or 0.0)


def _names(arm: Arm, session: str) -> list[str]:
    return [session] if arm.at_a_time == 1 else [f"{session}-{number}" for number in range(1, arm.at_a_time + 1)]
