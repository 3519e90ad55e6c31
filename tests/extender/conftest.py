"""One control plane with an extender and a scheduler for the tests here; those that need another cluster start it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from testbed.component import Component
from testbed.stack import Stack
from tests.extender.cluster import Wire, start_scheduler

_numbers = itertools.count(1)


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
