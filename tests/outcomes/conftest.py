"""One control plane for all tests here: recorder, extender, and schedulers that ask it and that do not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.stack import Stack
from tests.extender.cluster import start_scheduler
from tests.monitoring.conftest import program
from tests.monitoring.observed import RULES, SCRAPE_SECONDS
from tests.monitoring.promserver import PromServer
from tests.outcomes.scene import Scene

# Names of schedulers: one has no extender, the other an extender that follows no AgentRuntimes.
SILENT = "asks-nobody"
IGNORANT = "asks-in-vain"


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


@pytest.fixture(scope="session")
def dashboard(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> PromServer:
    """What a dashboard asks; skips where there is no Prometheus."""
    server = PromServer(stack, program("prometheus"), tmp_path_factory.mktemp("outcomes"), RULES, SCRAPE_SECONDS)
    server.scrape(recorder=stack.recorder_url)
    return server


@pytest.fixture
def scene(stack: Stack) -> Iterator[Scene]:
    scene = Scene(stack)
    yield scene
    scene.close()
