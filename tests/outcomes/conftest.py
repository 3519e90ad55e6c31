"""One control plane for all tests here: recorder, extender, and schedulers that ask it and that do not."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from deploy.local.stack import Stack
from tests.extender.cluster import start_scheduler
from tests.outcomes.scene import Scene

# Names of schedulers: one has no extender, the other an extender that follows no AgentRuntimes.
SILENT = "asks-nobody"
IGNORANT = "asks-in-vain"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """The end of every component's log goes into the report of a test that failed."""
    report = (yield).get_result()
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("logs of the components", stack.cp.logs_tail()))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        stack.start_extender("--workload-resources", "codeinterpreters.runtime.agentcube.volcano.sh", name=IGNORANT)
        ignorant = stack.extender_url
        _start_scheduler(stack, IGNORANT, extender=True)
        stack.start_extender()
        stack.start_recorder("--extender-url", f"{stack.extender_url},{ignorant}")
        start_scheduler(stack)
        _start_scheduler(stack, SILENT, extender=False)
        yield stack


def _start_scheduler(stack: Stack, name: str, extender: bool) -> None:
    """A kube-scheduler beside the default one, that scores all nodes."""
    config = stack.scheduler_config("extender.yaml" if extender else "sticky.yaml")
    config["profiles"] = [{"schedulerName": name, "percentageOfNodesToScore": 100}]
    for each in config.get("extenders", ()):
        each["httpTimeout"] = "20s"
    stack.cp.start_scheduler(f"scheduler-{name}", config, 2)


@pytest.fixture
def scene(stack: Stack) -> Iterator[Scene]:
    scene = Scene(stack)
    yield scene
    scene.close()
