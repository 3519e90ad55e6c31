"""What every step of the recorder's benchmark stands on: the cluster, the recorder in it, and ways to ask and wait."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Final, NamedTuple

import msgspec

from benchmarks import process
from benchmarks.population import Member
from lastnode.kube.api import load
from testbed.component import Component
from testbed.stack import Stack

NODES: Final = 100
WRITERS: Final = 8  # the recorder's default
ROUNDS: Final = 5  # of each comparison whose two sides take turns
RATES: Final = (25.0, 100.0)  # sessions a second: a rate that small machines bear, and that of the aim
_LIMIT: Final = 600.0  # seconds after which the bench gives up waiting for anything


class Figure(NamedTuple):
    what: str
    value: str
    peer: str = ""


class Cast(NamedTuple):
    """The sessions by their part in the bench, together as many as the scale."""

    settled: list[Member]  # Ready and written down before anything is measured
    bursts: list[list[Member]]  # each Ready on a node that does not exist until all of them shall be written at once
    steady: list[list[Member]]  # not Ready until their turn comes, each of RATES a second


def cast(scale: int) -> Cast:
    """A fifth in the bursts, up to 24 s of steady sessions at each rate, the rest settled."""
    names = [f"agent-{number:05d}" for number in range(scale)]
    nodes = itertools.cycle(node_names())
    each, most = scale // 5 // ROUNDS, scale // 8
    bursts = [[Member(names.pop(), late_node(number), ready=True) for _ in range(each)] for number in range(ROUNDS)]
    steady = [
        [Member(names.pop(), next(nodes), ready=False) for _ in range(min(int(24 * rate), most))] for rate in RATES
    ]
    return Cast([Member(name, next(nodes), ready=True) for name in names], bursts, steady)


class Bench:
    """A cluster with the recorder, which steps find as the one before left it."""

    def __init__(self, stack: Stack, scale: int) -> None:
        self.stack = stack
        self.scale = scale
        self.cast = cast(scale)
        self.api = load(str(stack.cp.kubeconfig), "lastnode-bench", 16)

    @property
    def recorder(self) -> Component:
        assert self.stack.recorder is not None
        return self.stack.recorder

    def start(self) -> None:
        """The recorder, synced when this returns; one that runs is stopped first."""
        self.stop()
        self.stack.start_recorder("--writers", str(WRITERS))

    def stop(self) -> None:
        if self.stack.recorder is not None:
            self.recorder.stop()
            self.stack.recorder = None

    def metric(self, name: str) -> float:
        """One sample of the recorder's."""
        return self.stack.metrics(self.stack.recorder_url)[name]

    def memory(self, when: str) -> list[Figure]:
        """The recorder's resident memory, now and at most."""
        used = process.memory(self.recorder.pid)
        value = f"{used.now:.0f} / {used.peak:.0f}" if used else "no /proc"
        return [Figure(f"{when}: resident memory now / peak, MB", value)]

    def calm(self) -> None:
        """Wait until API server and recorder have done what is left of the step before."""
        process.calm([self.stack.cp.apiserver.pid, *([self.recorder.pid] if self.stack.recorder else [])])

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Poll. Raises TimeoutError."""
        deadline = time.monotonic() + _LIMIT
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {_LIMIT:g} s in vain for {what}\n{self.stack.cp.logs_tail(8)}")
            self.pause(0.25)

    def pause(self, seconds: float) -> None:
        """Let time pass: what is measured here is what happens in it."""
        Event().wait(max(0.0, seconds))


Step = Callable[[Bench], Sequence[Figure]]


def node_names() -> list[str]:
    return [f"node-{number:02d}" for number in range(NODES)]


def late_node(number: int) -> str:
    """The node that a burst waits for; its name is as long as the others'."""
    return f"late-{number:02d}"


def seconds(call: Callable[[], object]) -> float:
    """How long it took."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def name_of(obj: msgspec.Raw) -> str:
    return str(json.loads(bytes(obj))["metadata"]["name"])
