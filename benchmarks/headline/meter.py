"""What the programs of an arm used up between two moments: kube-scheduler's cycles, and everybody's CPU time."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from benchmarks import process
from testbed.component import Component
from testbed.stack import Stack

_CYCLE: Final = "scheduler_scheduling_algorithm_duration_seconds"


class Reading(NamedTuple):
    """Seconds of all scheduling cycles so far, and how many; program -> its CPU seconds, with its children's."""

    seconds: float
    cycles: float
    cpu: dict[str, float]


def read(stack: Stack, scheduler: Component) -> Reading:
    """Of now. No CPU times where there is no /proc, as on a Mac."""
    samples = stack.metrics(scheduler.url)
    programs = {
        "kube-scheduler": scheduler,
        "kube-apiserver": stack.cp.apiserver,
        "etcd": stack.cp.etcd,
        "recorder": stack.recorder,
        "webhook": stack.webhook,
        "stand-in for machines and agent-sandbox": stack.agent,
    }
    pids = {name: component.pid for name, component in programs.items() if component is not None}
    used = {name: process.family_cpu_seconds(pid) for name, pid in pids.items()}
    used["the experiment itself"] = process.cpu_seconds(os.getpid())  # all others descend from it
    known = {name: seconds for name, seconds in used.items() if seconds is not None}
    return Reading(samples[f"{_CYCLE}_sum"], samples[f"{_CYCLE}_count"], known)


def cycle_ms(before: Reading, after: Reading) -> float:
    """kube-scheduler's mean from taking a pod to having its node."""
    return (after.seconds - before.seconds) / (after.cycles - before.cycles) * 1000


def cpu_ms(before: Reading, after: Reading, sessions: int) -> dict[str, float]:
    """Program -> CPU milliseconds for each of so many sessions."""
    return {name: (seconds - before.cpu[name]) / sessions * 1000 for name, seconds in after.cpu.items()}
