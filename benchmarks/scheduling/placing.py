"""One round: pods wait, or come while it is at work, and kube-scheduler places them; how fast, where, at what cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from benchmarks import population, process
from benchmarks.scheduling.arms import Arm
from benchmarks.scheduling.fleet import Fleet
from benchmarks.sightings import Sightings
from lastnode.kube.api import load
from testbed.component import Component
from testbed.stack import Stack

# No pod is looked at longer than this for being bound; 300 pods on 5,000 nodes take 10 s.
_LIMIT: Final = 240.0
_BOUND: Final = {"fieldSelector": "spec.nodeName!=", "labelSelector": "bench=measured"}
_NOBODY_LISTENS: Final = "http://127.0.0.1:1"
_CALL: Final = "lastnode_prioritize_duration_seconds"
_NOMINATED: Final = 'lastnode_nominations_total{result="nominated"}'
_CYCLE: Final = "scheduler_scheduling_algorithm_duration_seconds"


class Placed(msgspec.Struct):
    """``rate``: pods a second, from the first binding to the last. ``returned``: pods that are on a node they remember.

    ``cpu``: milliseconds of CPU a pod by program, from the scheduler being ready to the last binding; the scheduler
    begins with them a moment before. ``cycle_ms``: kube-scheduler's own mean of the time from taking a pod to having
    its node (scheduling_algorithm_duration), in which it does nothing else. ``calls``: requests to the extender a
    pod; ``call_ms``: its own time for one. ``nominated``: the part of the pods whose node was to be tried first.
    """

    pods: int
    rate: float
    returned: int
    cpu: dict[str, float]
    cycle_ms: float
    calls: float
    call_ms: float
    nominated: float = 0.0


def place(stack: Stack, fleet: Fleet, kind: str, arm: Arm, most: int | None = None) -> Placed:
    """Create the pods, at most so many, place them, and remove them again.

    :raises TimeoutError: some were not placed.
    """
    arriving = arm.recorder is not None
    count = 0 if arriving else fleet.create_pods(kind, arm, most)
    recorder = stack.start_recorder(*arm.recorder or ()) if arriving else None
    api = load(str(stack.cp.kubeconfig), "lastnode-bench-watch", 2)
    before = stack.metrics(stack.extender_url)
    with Sightings(api, population.PODS, selectors=_BOUND) as seen:
        scheduler = _scheduler(stack, arm)
        programs = {"scheduler": scheduler, "API server": stack.cp.apiserver, "etcd": stack.cp.etcd,
                    "extender": stack.extender, "recorder": recorder}  # fmt: skip
        used = _cpu(programs)
        count = count or fleet.create_pods(kind, arm, most)
        seen.wait(count, _LIMIT)
        spent = {name: value - used[name] for name, value in _cpu(programs).items()}
        times, bound = seen.times(), seen.first(_binding)
    nominated = stack.metrics(stack.recorder_url)[_NOMINATED] if recorder else 0.0
    cycle_ms = _mean_ms(stack.metrics(scheduler.url), _CYCLE)
    scheduler.stop()
    if recorder:
        recorder.stop()
    fleet.delete_pods()
    after = stack.metrics(stack.extender_url)
    calls = after[f"{_CALL}_count"] - before[f"{_CALL}_count"]
    return Placed(
        pods=count,
        rate=(count - 1) / (times[count - 1] - times[0]),
        returned=sum(node in fleet.warm.get(pod, ()) for pod, node in bound),
        cpu={name: seconds / count * 1000 for name, seconds in spent.items()},
        cycle_ms=cycle_ms,
        calls=calls / count,
        nominated=nominated / count,
        call_ms=_mean_ms({name: value - before.get(name, 0.0) for name, value in after.items()}, _CALL),
    )


def _scheduler(stack: Stack, arm: Arm) -> Component:
    if arm.config is None:
        return stack.cp.start_scheduler("kube-scheduler")
    config = stack.scheduler_config(arm.config)
    if arm.percentage is not None:
        config["profiles"][-1]["percentageOfNodesToScore"] = arm.percentage
    if arm.without:
        plugins = config["profiles"][-1].setdefault("plugins", {})
        plugins.setdefault("multiPoint", {}).setdefault("disabled", []).append({"name": arm.without})
    for extender in config.get("extenders", ()):
        extender["urlPrefix"] = _NOBODY_LISTENS if arm.down else extender["urlPrefix"]
    return stack.cp.start_scheduler("kube-scheduler", config)


def _mean_ms(samples: Mapping[str, float], histogram: str) -> float:
    """The mean of a histogram of seconds, in milliseconds; 0 when nothing was observed."""
    count = samples[f"{histogram}_count"]
    return samples[f"{histogram}_sum"] / count * 1000 if count else 0.0


class _Meta(msgspec.Struct):
    name: str


class _Spec(msgspec.Struct):
    node: str = msgspec.field(name="nodeName", default="")


class _Pod(msgspec.Struct):
    metadata: _Meta
    spec: _Spec


_POD: Final = msgspec.json.Decoder(_Pod)


def _binding(obj: msgspec.Raw) -> tuple[str, str]:
    pod = _POD.decode(obj)
    return pod.metadata.name, pod.spec.node


def _cpu(programs: Mapping[str, Component | None]) -> dict[str, float]:
    """Seconds of each program that runs, with its children; 0 where there is no /proc."""
    return {
        name: process.family_cpu_seconds(program.pid) or 0.0
        for name, program in programs.items()
        if program is not None
    }
