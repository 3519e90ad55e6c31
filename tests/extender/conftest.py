"""One control plane with an extender and a scheduler for the tests here; those that need another cluster start it."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from deploy.local.component import Component
from deploy.local.stack import Stack
from tests.extender.cluster import Wire, start_scheduler

_numbers = itertools.count(1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """The end of every component's log goes into the report of a test that failed."""
    report = (yield).get_result()
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("logs of the components", stack.cp.logs_tail()))


@pytest.fixture(scope="session")
def shared() -> Iterator[Stack]:
    with Stack.start() as stack:
        stack.start_extender()
        yield stack


@pytest.fixture(scope="session")
def shared_scheduler(shared: Stack) -> Component:
    """kube-scheduler with our extender; at this verbosity it logs every score."""
    return start_scheduler(shared, verbosity=10)


@pytest.fixture
def stack(shared: Stack) -> Stack:
    return shared


@pytest.fixture
def scheduler(shared_scheduler: Component) -> Component:
    return shared_scheduler


@pytest.fixture
def wire(stack: Stack) -> Wire:
    return Wire(stack.extender_url)


@pytest.fixture
def namespace(stack: Stack) -> str:
    """A new namespace; names of nodes may begin with it, so that tests stay out of each other's way."""
    name = f"t{next(_numbers)}"
    stack.api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    return name
