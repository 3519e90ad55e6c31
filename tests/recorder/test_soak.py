"""A soak: sessions all the time, faults at random, beside tenants and clients who cost what they can; and at the end,
with these still there, the memory that the whole history makes.

Its seed is printed; SOAK_SEED plays the same faults again, SOAK_SECONDS makes it longer (``make soak``: 3 min).
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import pytest

from testbed.api import answers
from testbed.component import Component
from testbed.stack import Stack
from tests.extender.standin import Drip
from tests.recorder.history import History
from tests.recorder.hostile import hostile_tenants, unread
from tests.recorder.httpproxy import Answer, Asked, Fault, HttpProxy, refusal
from tests.recorder.space import Space

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
SEED = int(os.environ.get("SOAK_SEED") or random.randrange(10**6))
WORKLOADS, NODES = 12, 8
# The back-off waits 30 s at most when the last fault ends; the rest is for a busy machine.
MENDED_SECONDS = 90.0
# In which a session is written when nothing but the others is wrong, and a probe is answered at any time.
GOOD_SECONDS = 15.0
FRESH = 6
DRIPPING = 40


@pytest.fixture
def plane() -> Iterator[Stack]:
    """A control plane of its own: what such tenants leave behind is nothing for other tests."""
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def proxy(plane: Stack) -> Iterator[HttpProxy]:
    with HttpProxy(plane.cp) as proxy:
        yield proxy


@pytest.fixture
def recorder(plane: Stack, proxy: HttpProxy, tmp_path: Path) -> Iterator[Component]:
    kubeconfig = proxy.kubeconfig(tmp_path / "kubeconfig")
    flags = ["--kubeconfig", str(kubeconfig), "--page-size", "5", "--redate-seconds", "0"]
    component = plane.start_recorder(*flags, name=f"recorder-{time.monotonic_ns()}")
    yield component
    proxy.fault = None
    component.resume()
    component.kill()


class Trouble:
    """The faults, each begun and ended by a call; ``play`` throws the dice."""

    def __init__(self, plane: Stack, proxy: HttpProxy, recorder: Component, dice: random.Random) -> None:
        self._plane, self._proxy, self._recorder, self._dice = plane, proxy, recorder, dice
        self.played: list[str] = []

    def play(self, meanwhile: Callable[[float], None]) -> None:
        """One fault for a second or two, while ``meanwhile`` goes on for so many seconds; then it is over."""
        fault = self._dice.choice(
            [self.refusals, self.refusals, self.cuts, self.hangs, self.kill, self.sleep, self.server_restarts]
        )
        self.played.append(fault.__name__)
        fault(lambda: meanwhile(self._dice.uniform(0.5, 2.5)))

    def refusals(self, meanwhile: Callable[[], None]) -> None:
        """Some of all requests are refused, in every way there is."""
        share, code = self._dice.random(), self._dice.choice([403, 404, 409, 410, 422, 429, 500, 503])
        dice = random.Random(self._dice.random())
        # A 404 or a 403 of one request is believed: those belong to reads, where the next list finds out.
        reads_only = code in (403, 404, 422)

        def fault(asked: Asked) -> Answer | None:
            if reads_only and asked.method != "GET":
                return None
            return refusal(code, "Soak") if dice.random() < share else None

        self._during(fault, meanwhile)

    def cuts(self, meanwhile: Callable[[], None]) -> None:
        self._proxy.cut()
        meanwhile()
        self._proxy.cut()

    def hangs(self, meanwhile: Callable[[], None]) -> None:
        """No write is answered."""
        over = Event()
        self._during(lambda asked: over.wait(60) and None if asked.method == "PATCH" else None, meanwhile, over.set)

    def kill(self, meanwhile: Callable[[], None]) -> None:
        self._recorder.kill()
        meanwhile()
        self._recorder.start()

    def sleep(self, meanwhile: Callable[[], None]) -> None:
        guard, name = self._recorder.guard, self._recorder.name
        guard.signal(name, signal.SIGSTOP)
        meanwhile()
        guard.signal(name, signal.SIGCONT)

    def server_restarts(self, meanwhile: Callable[[], None]) -> None:
        self._plane.cp.apiserver.restart()
        meanwhile()

    def _during(self, fault: Fault, meanwhile: Callable[[], None], over: Callable[[], None] = lambda: None) -> None:
        self._proxy.fault = fault
        try:
            self._proxy.cut()
            meanwhile()
        finally:
            self._proxy.fault = None
            over()


@pytest.fixture
def hostile(plane: Stack, recorder: Component, dice: random.Random) -> Iterator[None]:
    """From the first to the last moment: tenants and clients who do what is forbidden to nobody."""
    address = urlsplit(plane.recorder_url)
    host, port = str(address.hostname), int(address.port or 0)
    with hostile_tenants(plane, dice), Drip(host, port, DRIPPING), unread(host, port):
        yield


@pytest.fixture
def dice() -> random.Random:
    print(f"SOAK_SEED={SEED} SOAK_SECONDS={SECONDS:g}")
    return random.Random(SEED)


@pytest.mark.timeout(SECONDS + 400)
def test_after_random_faults_the_memory_is_that_of_the_whole_history(
    plane: Stack, proxy: HttpProxy, recorder: Component, hostile: None, dice: random.Random
) -> None:
    space = Space(plane)
    history = History(space)
    nodes = [space.node(f"n{number}") for number in range(NODES)]
    for number in range(WORKLOADS):
        space.workload(f"w{number}")
    seconds = list(range(7000))
    dice.shuffle(seconds)  # ready times come in any order
    trouble = Trouble(plane, proxy, recorder, dice)

    def sessions(so_long: float) -> None:
        end = time.monotonic() + so_long
        while time.monotonic() < end:
            second = seconds.pop()
            history.session(f"s{second}", dice.choice(nodes), second, f"w{dice.randrange(WORKLOADS)}")
            time.sleep(dice.uniform(0, 0.1))

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        trouble.play(sessions)
        sessions(dice.uniform(0, 1))
        plane.wait(lambda: answers(f"{plane.recorder_url}/livez"), "a probe to be answered", GOOD_SECONDS)
    print(f"{7000 - len(seconds)} sessions, faults: {' '.join(trouble.played)}")
    history.holds(MENDED_SECONDS, note=f"SOAK_SEED={SEED}")
    for number in range(FRESH):
        node = space.node(f"fresh-{number}")
        space.session(f"fresh-{number}", node, 7001 + number, "w0")
        plane.wait(lambda n=node: space.last_node("w0") == n, "a session to be written", GOOD_SECONDS)  # type: ignore[misc]
    assert recorder.alive
    assert space.metric('lastnode_record_writes_total{result="retried"}'), "nothing was hostile"
