"""The arms of the demo: how each starts its sessions, and one round of them."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal, TypeVar

from extender import prefer_last_node
from lastnode import memory, reading
from lastnode.contract import DEFAULT_REDATE_SECONDS, SANDBOX_KIND
from lastnode.kinds import BUILT_IN, Ways, kind_named
from lastnode.kube.store import ObjectKey
from testbed.demo.outcome import Run, outcome_of
from testbed.sessions import Object, Session, Sessions, SessionTimeout
from testbed.stack import Stack
from testbed.webhook import OPT_OUT_LABEL
from testbed.workloads import agent_runtime, code_interpreter, sandbox_for

# On a busy machine a session takes minutes, and to give up loses all that ran before it.
READY_SECONDS = 300.0
WRITTEN_SECONDS = 20.0
_REDATED = timedelta(seconds=DEFAULT_REDATE_SECONDS)
# So many at most are on their way to a node. On a busy machine a flood of Sandboxes reaches the extender later than
# their pods reach kube-scheduler, by more than it waits.
ON_THEIR_WAY = 8

T = TypeVar("T")
# How a pod comes by its preference. One of another face than the webhook's is not shown to the webhook.
Face = Literal["webhook", "library", "extender"]


@dataclass
class Arm:
    """Workloads that are treated alike. ``at_a_time``: so many sessions of each run in a round; of a Sandbox, which is
    suspended and resumed, just one.

    ``former``: workload -> the nodes of its sessions before, as this program saw it; not what lastnode remembers.
    """

    name: str
    sticky: bool
    face: Face
    workloads: list[Object]
    at_a_time: int = 1
    former: dict[str, list[str]] = field(default_factory=dict)

    @property
    def last_nodes(self) -> dict[str, str]:
        """The last of these."""
        return {workload: nodes[-1] for workload, nodes in self.former.items()}

    def part(self, *workloads: Object) -> Arm:
        """These of its workloads, one session at a time."""
        return replace(self, workloads=list(workloads), at_a_time=1)


def make_arm(
    sessions: Sessions,
    name: str,
    count: int,
    *,
    sticky: bool,
    face: Face = "webhook",
    builders: Sequence[Callable[..., Object]] = (agent_runtime, code_interpreter),
    at_a_time: int = 1,
    annotations: Mapping[str, str] | None = None,
    **template: Any,
) -> Arm:
    """``count`` workloads, made by the ``builders`` in turn, each with an image of its own unless ``template`` has one
    for all. ``template``: for the builders."""
    workloads = []
    for number in range(count):
        label = f"{name}-{number:02d}"
        own: dict[str, Any] = {"image": f"registry.example/{label}:1", **template}
        workload = builders[number % len(builders)](label, sticky=sticky, **own)
        workload["metadata"].setdefault("annotations", {}).update(annotations or {})
        workloads.append(sessions.create(workload))
    return Arm(name, sticky, face, workloads, at_a_time)


class Rounds:
    """Runs rounds of sessions: all of a round are alive together, in an order shuffled anew each time.

    ``alone``: each is Ready before the next is asked for, so that none slows the start of another."""

    def __init__(self, stack: Stack, sessions: Sessions, rng: random.Random, *, alone: bool = False) -> None:
        self._stack = stack
        self._alone = alone
        self._sessions = sessions
        self._rng = rng

    def run(self, arms: Sequence[Arm], session: str) -> list[Run]:
        """The sessions of every workload of these arms, one or as many as run at a time; ended again, and written down,
        when this returns."""
        runs, ends = self.start(arms, session)
        for end in ends.values():
            end()
        self._sessions.wait_gone(ends, READY_SECONDS)
        return runs

    def start(self, arms: Sequence[Arm], session: str) -> tuple[list[Run], dict[ObjectKey, Callable[[], None]]]:
        """The same, but they go on running. Returns also what ends each of them."""
        wanted = [(arm, each, name) for arm in arms for each in arm.workloads for name in _names(arm, session)]
        self._rng.shuffle(wanted)
        ends: dict[ObjectKey, Callable[[], None]] = {}
        for arm, workload, name in wanted:
            if len(ends) >= ON_THEIR_WAY:
                self._await_bound(list(ends)[-ON_THEIR_WAY])
            key, end = self._begin(arm, workload, name)
            ends[key] = end
            if self._alone:
                self._sessions.wait_ready([key], READY_SECONDS)
        seen = self._sessions.wait_ready(ends, READY_SECONDS)
        runs = [self._seen(*which, seen[key]) for which, key in zip(wanted, ends, strict=True)]
        return sorted(runs, key=lambda run: run.workload), ends

    def _begin(self, arm: Arm, workload: Object, session: str) -> tuple[ObjectKey, Callable[[], None]]:
        if workload["kind"] == SANDBOX_KIND:
            return self._sessions.resume(workload), functools.partial(self._sessions.suspend, workload)
        sandbox = self._sandbox(arm, workload, session)
        return self._sessions.start(sandbox), functools.partial(self._sessions.delete, sandbox)

    def _sandbox(self, arm: Arm, workload: Object, session: str) -> Object:
        transform = None
        if arm.face == "library":
            transform = functools.partial(prefer_last_node, workload=self._sessions.read(workload))
        sandbox = sandbox_for(workload, session, transform=transform)
        if arm.face != "webhook":
            sandbox["spec"]["podTemplate"]["metadata"]["labels"][OPT_OUT_LABEL] = "disabled"
        return sandbox

    def _await_bound(self, key: ObjectKey) -> None:
        def bound() -> bool:
            seen = self._sessions.get(key)
            return seen is not None and bool(seen.node)

        self._sessions.wait_until(bound, READY_SECONDS, f"{key} has no node")

    def _seen(self, arm: Arm, workload: Object, session: str, seen: Session) -> Run:
        """What became of a session, which is written down where it is to be."""
        name = workload["metadata"]["name"]
        pod = self._sessions.api.get(f"/api/v1/namespaces/{seen.key.namespace}/pods/{seen.key.name}")
        outcome = outcome_of(seen.node, arm.former.get(name, ()))
        arm.former.setdefault(name, []).append(seen.node)
        if arm.sticky:
            self._await_written(workload, pod, one=arm.at_a_time == 1)
        told = "affinity" in json.loads(pod)["spec"]
        run = Run(arm.name, workload["kind"], name, session, seen.node, outcome, seen.seconds or 0.0)
        return replace(run, pod=seen.key.name, uid=seen.uid, told=told, bound=seen.bound_seconds or 0.0)

    def _await_written(self, workload: Object, data: bytes, *, one: bool) -> None:
        """Until the workload's memory has that session, or leads to its node with a date that need not be redated:
        first of all, where ``one`` runs at a time."""
        # By time, not by the pod's UID: of two sessions that became Ready on a node in the same second (the API's
        # resolution) only one is kept, and it need not be the later one.
        pod = reading.read_session(Ways(BUILT_IN), data)
        prefix = kind_named(workload["kind"]).prefix

        def dated(entry: memory.Entry, behind: timedelta) -> bool:
            if entry.node != pod.node or entry.ready_at is None or pod.ready_at is None:
                return False
            return entry.ready_at >= pod.ready_at - behind

        def written() -> bool:
            entries = memory.parse(self._sessions.read(workload)["metadata"].get("annotations", {}), prefix)
            leading = entries[:1] if one else entries
            return any(dated(entry, timedelta(0)) for entry in entries) or any(dated(e, _REDATED) for e in leading)

        self._stack.wait(written, f"the recorder to write down session {pod.key}", WRITTEN_SECONDS)


def as_far_as(parts: Iterable[T]) -> tuple[list[T], str]:
    """What came, and which session ended it, as it was not Ready in time; empty where none did."""
    found: list[T] = []
    try:
        for part in parts:
            found.append(part)
    except SessionTimeout as error:
        return found, str(error)
    return found, ""


def _names(arm: Arm, session: str) -> list[str]:
    return [session] if arm.at_a_time == 1 else [f"{session}-{number}" for number in range(1, arm.at_a_time + 1)]
