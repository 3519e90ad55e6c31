"""One control plane for all of kubectl lastnode's tests; a failing test prints its logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.stack import Stack
from tests.recorder.space import Space


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Without recorder and extender: a test starts what it needs."""
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def space(stack: Stack) -> Space:
    """A namespace of the test's own."""
    return Space(stack)
