"""Both programs end in order and with exit code 0, whatever signals come, from their first moment to their last."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from testbed.paths import REPOSITORY
from testbed.stack import Stack

SECONDS_TO_STOP = 10
# Says when the signals are heeded: before that Python itself and the program's modules are being loaded.
TELLING = """
import sys
from lastnode.daemon import signals
heed = signals.heed
def told():
    asked = heed()
    print("heeding", flush=True)
    return asked
signals.heed = told
from {module} import main
sys.exit(main())
"""
PROGRAMS = pytest.mark.parametrize("module", ["recorder.program", "extender.program"])


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        yield stack


def started(stack: Stack, module: str) -> subprocess.Popen[str]:
    alone = ["--no-leader-elect"] if module.startswith("recorder") else []
    flags = ["--kubeconfig", str(stack.cp.kubeconfig), "--bind", f"127.0.0.1:{stack.cp.free_port()}", *alone]
    program = subprocess.Popen(
        [sys.executable, "-c", TELLING.format(module=module), *flags],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert program.stdout
    assert program.stdout.readline() == "heeding\n"
    return program


def ended(program: subprocess.Popen[str]) -> None:
    """Well, and in time."""
    try:
        _, said = program.communicate(timeout=SECONDS_TO_STOP)
    finally:
        program.kill()
    assert program.returncode == 0, said
    assert "Traceback" not in said


@PROGRAMS
@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_a_signal_while_it_starts_ends_it_soon_with_exit_code_0(stack: Stack, module: str, seconds: float) -> None:
    program = started(stack, module)
    with program:
        time.sleep(seconds)  # how far it is by then is the machine's affair: it has to be right everywhere
        program.send_signal(signal.SIGTERM)
        ended(program)


@PROGRAMS
@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_further_signals_until_its_very_end_change_nothing(stack: Stack, module: str, first: signal.Signals) -> None:
    dice = random.Random(first)
    with started(stack, module) as program:
        time.sleep(dice.random())
        program.send_signal(first)
        until = time.monotonic() + SECONDS_TO_STOP
        while program.poll() is None and time.monotonic() < until:
            program.send_signal(dice.choice([signal.SIGTERM, signal.SIGINT]))
            time.sleep(dice.random() / 1000)
        ended(program)


INTERRUPTED = """
import signal
from lastnode.daemon.threads import Flag
flag = Flag()
signal.signal(signal.SIGALRM, lambda *_: flag.set())
signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)
for _ in range(200_000):
    flag.set()
signal.setitimer(signal.ITIMER_REAL, 0)
flag.wait()
"""


def test_a_flag_is_set_by_a_handler_that_interrupts_its_being_set() -> None:
    subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=REPOSITORY, check=True, timeout=60)
