"""python -m benchmarks.scheduling.serving [ROUNDS]: what the extender's short cuts in serving HTTP bring to scheduling.

One kube-scheduler after the other places the same pods on 1,000 nodes, each asking another extender: the program as it
is, one whose threads do not stay with a connection (extender/server.py), and one that answers the verbs through Flask's
routing (extender/http.py). What is compared is compared within a round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.measure import machine, table
from benchmarks.scheduling.arms import Arm
from benchmarks.scheduling.fleet import MEMORY, Fleet
from benchmarks.scheduling.placing import Placed, place
from extender import http, program, server
from testbed.component import Component
from testbed.paths import REPOSITORY
from testbed.stack import Stack

NODES: Final = 1000
PODS: Final = 300
ROUNDS: Final = 15
AS_IS, NOT_STAYING, THROUGH_FLASK = "as it is", "threads do not stay", "through Flask"
_ARM: Final = Arm("extender.yaml", "extender.yaml")


def run(rounds: int = ROUNDS) -> str:
    """A table: medians over the rounds, and the extremes."""
    with Stack.start() as stack:
        fleet = Fleet(stack, NODES, PODS)
        fleet.fill()
        extenders = {name: _start(stack, name) for name in (AS_IS, NOT_STAYING, THROUGH_FLASK)}
        placed: dict[str, list[Placed]] = {name: [] for name in extenders}
        for number in range(rounds):
            for name in list(extenders)[:: 1 if number % 2 == 0 else -1]:
                stack.extender, stack.extender_url = extenders[name]
                placed[name].append(one := place(stack, fleet, MEMORY, _ARM))
                print(f"round {number + 1} of {rounds}, {name}: {one.rate:.0f} pods/s", file=sys.stderr, flush=True)
    heading = ["extender", "pods/s", "of the first", "cycle ms", "extender's CPU ms a pod"]
    return table(heading, [_row(name, made, placed[AS_IS]) for name, made in placed.items()])


def _start(stack: Stack, name: str) -> tuple[Component, str]:
    url = f"http://127.0.0.1:{stack.cp.free_port()}"
    argv = [sys.executable, "-m", "benchmarks.scheduling.serving", name, "--kubeconfig", str(stack.cp.kubeconfig)]
    argv += ["--bind", url.removeprefix("http://")]
    return stack.cp.spawn(name.replace(" ", "-"), argv, ready_url=f"{url}/readyz", cwd=REPOSITORY), url


def _row(name: str, made: Sequence[Placed], first: Sequence[Placed]) -> list[str]:
    ratios = [one.rate / other.rate for one, other in zip(made, first, strict=True)]
    return [
        name,
        f"{statistics.median(one.rate for one in made):.0f}",
        f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{statistics.median(one.cycle_ms for one in made):.2f}",
        f"{statistics.median(one.cpu['extender'] for one in made):.2f}",
    ]


def _serve(name: str, flags: Sequence[str]) -> int:
    """Run an extender without one of its short cuts."""
    short_cut: Any = {NOT_STAYING: (server, "STAYING", 0), THROUGH_FLASK: (http, "directly", lambda _verbs, app: app)}
    if name in short_cut:
        setattr(*short_cut[name])
    return program.main(flags)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in (AS_IS, NOT_STAYING, THROUGH_FLASK):
        raise SystemExit(_serve(sys.argv[1], sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduling.serving", description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=ROUNDS, metavar="ROUNDS")
    print(f"{machine()}\n\n{run(parser.parse_args().rounds)}")
