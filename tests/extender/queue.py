"""A queue of sessions' pods put before a real kube-scheduler, and what became of them and of its extender's answers."""

from __future__ import annotations

import itertools
import re
import ssl
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from testbed.component import Component
from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import create, pod_spec, remove, scheduled, session_pod

PODS = 5
# Far beyond anything that the extender may add: whatever else a busy machine needs for a handful of pods.
PATIENCE_SECONDS = 60.0

_ALGORITHM = "scheduler_scheduling_algorithm_duration_seconds"
_FAILED = re.compile(r"Failed to run extender's priority function.*")
# Their order is not that of every version.
_POD, _ERROR = re.compile(r' pod="[^"/]+/([^"]+)"'), re.compile(r' error="((?:[^"\\]|\\.)*)"')
_numbers = itertools.count(1)


class Outcome(NamedTuple):
    """``nodes``: pod -> node; ``dropped``: pod -> why kube-scheduler did without the extender's points;
    ``seconds``: what kube-scheduler needed to choose a node, on average."""

    nodes: dict[str, str]
    dropped: dict[str, str]
    seconds: float

    @property
    def all_dropped(self) -> bool:
        return set(self.dropped) == set(self.nodes)


class Line:
    """A kube-scheduler of its own, with the shipped configuration and its time-out, that asks ``url``."""

    def __init__(self, stack: Stack, name: str, url: str, namespace: str, workload: str) -> None:
        self._stack = stack
        self._name = name
        self._namespace = namespace
        self._workload = workload
        config = stack.scheduler_config("extender.yaml")
        config["extenders"][0]["urlPrefix"] = url
        config["profiles"] = [{"schedulerName": name}]
        self.timeout_seconds = milliseconds(config["extenders"][0]["httpTimeout"]) / 1000
        self.scheduler: Component = stack.cp.start_scheduler(name, config, verbosity=5)

    def restart(self) -> None:
        self.scheduler.restart()

    def pods(self, count: int = PODS) -> list[Object]:
        """Sessions of the workload, not created yet."""
        spec = pod_spec(schedulerName=self._name)
        spec["containers"][0]["resources"] = {"requests": {"cpu": "100m", "memory": "64Mi"}}
        names = [f"{self._name}-{next(_numbers)}" for _ in range(count)]
        return [session_pod(self._namespace, name, workload=self._workload, spec=spec) for name in names]

    def run(self, count: int = PODS) -> Outcome:
        """All of them at once; each must be bound, however the extender does, within what its time-out allows."""
        pods = self.pods(count)
        before = self._algorithm()
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(lambda pod: create(self._stack, pod), pods))
            nodes = self.bound(pods)
            after = self._algorithm()
            list(threads.map(lambda pod: remove(self._stack, pod), pods))
        runs, seconds = (late - early for early, late in zip(before, after, strict=True))
        dropped = {pod: why for pod, why in self._dropped().items() if pod in nodes}
        return Outcome(nodes, dropped, seconds / runs if runs else 0.0)

    def bound(self, pods: list[Object]) -> dict[str, str]:
        """Name -> node of pods that exist, once each is bound."""
        limit = len(pods) * self.timeout_seconds + PATIENCE_SECONDS
        return {pod["metadata"]["name"]: scheduled(self._stack, pod, limit) for pod in pods}

    def one(self) -> str:
        """The node of one more session."""
        return next(iter(self.run(1).nodes.values()))

    def _dropped(self) -> dict[str, str]:
        lines = _FAILED.findall(self.scheduler.log.read_text(encoding="utf-8", errors="replace"))
        return {pod[1]: error[1] for line in lines if (pod := _POD.search(line)) and (error := _ERROR.search(line))}

    def _algorithm(self) -> tuple[float, float]:
        """How many pods kube-scheduler chose a node for so far, and the seconds that it took."""
        trust = ssl.create_default_context(cafile=str(self._stack.cp.ca_file))
        with urllib.request.urlopen(f"{self.scheduler.url}/metrics", timeout=30, context=trust) as answer:
            page = answer.read().decode()
        return tuple(float(re.findall(rf"^{_ALGORITHM}_{end} (\S+)$", page, re.M)[0]) for end in ("count", "sum"))  # type: ignore[return-value]


def milliseconds(text: str) -> float:
    """A duration as scheduler-config/ writes it."""
    number, unit = re.fullmatch(r"(\d+)(ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * (1 if unit == "ms" else 1000)
