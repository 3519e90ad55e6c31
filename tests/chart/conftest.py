"""helm and kubectl, once a run; a control plane where a module asks for one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local.binaries import Tools, find_tools
from deploy.local.stack import Stack
from deploy.render import PROFILES, Object, profile


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """The end of every component's log goes into the report of a test that failed."""
    report = (yield).get_result()
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("logs of the components", stack.cp.logs_tail()))


@pytest.fixture(scope="session")
def tools() -> Tools:
    return find_tools()


@pytest.fixture(scope="session")
def helm(tools: Tools) -> Path:
    return tools.helm.path


@pytest.fixture(scope="session")
def kubectl(tools: Tools) -> Path:
    return tools.kubectl.path


@pytest.fixture(scope="session")
def rendered(helm: Path) -> dict[str, list[Object]]:
    """Profile -> what the chart gives with it."""
    return {name: profile(helm, name) for name in sorted(path.stem for path in PROFILES.glob("*.yaml"))}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A control plane with the custom resources as agentcube releases them: no spec.nodeStickiness."""
    with Stack.start(crds=("without-stickiness", "sandbox-v1alpha1")) as stack:
        yield stack
