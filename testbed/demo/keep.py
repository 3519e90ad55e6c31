"""After the demo: everything goes on running, and somebody tries it as its operator would."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from threading import Event

from rich.console import Console

from lastnode.contract import SANDBOX_KIND
from testbed.binaries import kubectl
from testbed.demo.arms import Arm, Rounds
from testbed.paths import REPOSITORY
from testbed.stack import Stack

ALIVE = 5
PATCH = """kubectl patch sandbox {name} --type=merge -p '{{"spec":{{"operatingMode":"{mode}"}}}}'"""


def stay(console: Console, stack: Stack, rounds: Rounds, arms: Sequence[Arm]) -> None:
    """Some sessions of each of these arms, what to try on them, and nothing more until SIGINT or SIGTERM. A second one
    does not keep the rest from being taken away."""
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    runs, _ = rounds.start([arm.part(*arm.workloads[:ALIVE]) for arm in arms], "kept")
    pods = {run.kind == SANDBOX_KIND: run.pod for run in runs}
    console.print("\n" + "\n".join(told(stack, pods[False], pods[True])), markup=False, soft_wrap=True)
    stopped.wait()


def told(stack: Stack, pod: str, sandbox: str) -> list[str]:
    """Where everything is, five commands to try, and how to stop it: lines for a shell."""
    suspend, resume = (PATCH.format(name=sandbox, mode=mode) for mode in ("Suspended", "Running"))
    programs = f"{REPOSITORY / '.venv' / 'bin'}:{kubectl().parent}"
    return [
        f"Everything goes on running: control plane, agent, recorder, extender, webhook, {2 * ALIVE} sessions.",
        f"  kube-apiserver {stack.cp.url}",
        f"  recorder       {stack.recorder_url}/metrics",
        f"  extender       {stack.extender_url}/metrics",
        f"  webhook        {stack.webhook_url}/metrics",
        "Try it in another terminal:",
        f"  export KUBECONFIG={stack.cp.kubeconfig} LASTNODE_RECORDER_URL={stack.recorder_url}",
        f"  export LASTNODE_EXTENDER_URL={stack.extender_url},{stack.webhook_url} LASTNODE_EXTENDER_CA={stack.trusted}",
        f'  export PATH="{programs}:$PATH"',
        "  kubectl lastnode list",
        f"  kubectl lastnode show sandbox/{sandbox}",
        f"  kubectl lastnode explain {pod}",
        "  kubectl lastnode report",
        f"  {suspend} && {resume} && kubectl lastnode explain {sandbox}",
        f"Stop it with Ctrl-C here, or kill {os.getpid()}: nothing is left behind.",
    ]
