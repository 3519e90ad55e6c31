"""One control plane for all of kubectl lastnode's tests; a failing test prints its logs."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest

from deploy.local.stack import Stack
from tests.recorder.space import Space


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """The end of every component's log goes into the report of a test that failed."""
    report = (yield).get_result()
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("logs of the components", stack.cp.logs_tail(8)))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Without recorder and extender: a test starts what it needs."""
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def space(stack: Stack) -> Space:
    """A namespace of the test's own."""
    return Space(stack)
