"""What the tests of scheduler-config/ ask a running kube-scheduler and the API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testbed.component import Component
from testbed.stack import Stack
from tests.extender.cluster import path_of
from tests.waiting import eventually


@contextmanager
def running(scheduler: Component) -> Iterator[Component]:
    """The started scheduler, stopped at the end: the next test may want another with the same profiles."""
    try:
        yield scheduler
    finally:
        scheduler.stop()


def bound_by(stack: Stack, scheduler: Component, profile: str) -> float:
    """How many pods that profile of the scheduler has bound."""
    name = f'scheduler_schedule_attempts_total{{profile="{profile}",result="scheduled"}}'
    return stack.metrics(scheduler.url).get(name, 0.0)


def unschedulable(stack: Stack, pod: dict[str, Any]) -> str:
    """Why the scheduler says that the pod fits nowhere, once it says so."""

    def reason() -> str:
        conditions = stack.api.get(path_of(pod)).get("status", {}).get("conditions") or []
        return next((c["message"] for c in conditions if c.get("reason") == "Unschedulable"), "")

    return eventually(reason, f"{path_of(pod)} to be called unschedulable")
