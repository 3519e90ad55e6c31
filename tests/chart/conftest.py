"""helm and kubectl, once a run; a control plane where a module asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.binaries import Tools, find_tools
from testbed.stack import Stack
from tools.render import SETUPS, Object, setup


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
    """Setup -> what the chart gives with it."""
    return {name: setup(helm, name) for name in sorted(path.stem for path in SETUPS.glob("*.yaml"))}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A control plane with the custom resources as agentcube releases them: no spec.nodeStickiness."""
    with Stack.start(crds=("without-stickiness",)) as stack:
        yield stack
