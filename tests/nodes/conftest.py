"""Two real nodes for the tests that only use them; those about endings start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.errors import BinaryError
from testbed.nodes import programs
from testbed.nodes.programs import Unsupported
from testbed.nodes.realnodes import RealNodes, control_plane
from testbed.sessions import Sessions
from testbed.stack import Stack
from tests.nodes.field import Field


@pytest.fixture(scope="session")
def supported() -> None:
    """Skips, with the reason, where real nodes cannot run; finds or fetches their programs."""
    try:
        programs.find()
    except (Unsupported, BinaryError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="package")
def stack(supported: None) -> Iterator[Stack]:
    with Stack.start(**control_plane(2)) as stack:
        yield stack


@pytest.fixture(scope="package")
def nodes(stack: Stack) -> RealNodes:
    return RealNodes.start(stack, 2)


@pytest.fixture(scope="package")
def sessions(stack: Stack, nodes: RealNodes) -> Iterator[Sessions]:
    """With all that brings sessions back. A crash is an early one however busy the machine is that runs these tests."""
    stack.start_agent(0)
    stack.start_recorder("--early-crash-seconds", "600")
    stack.start_webhook()
    stack.start_scheduler("sticky.yaml")
    with Sessions.connect(stack.cp.kubeconfig) as sessions:
        yield sessions


@pytest.fixture
def field(stack: Stack, nodes: RealNodes, sessions: Sessions) -> Iterator[Field]:
    field = Field(stack, nodes, sessions)
    yield field
    field.end()
