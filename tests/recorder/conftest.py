"""Real control planes, one for all tests of a worker that need the same CRDs; a failing test prints their logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.stack import Stack
from tests.recorder.space import Space


def _running(stack: Stack) -> Iterator[Stack]:
    with stack:
        yield stack


@pytest.fixture(scope="session")
def plane() -> Iterator[Stack]:
    """A control plane whose CRDs know nodeStickiness, and Sandbox as v1beta1. No recorder runs."""
    yield from _running(Stack.start())


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The same with a recorder."""
    stack = Stack.start()
    for running in _running(stack):
        running.start_recorder()
        yield running


@pytest.fixture(scope="session")
def published() -> Iterator[Stack]:
    """As published: CRDs without nodeStickiness, and Sandbox served as v1alpha1 and v1beta1; with a recorder."""
    stack = Stack.start(crds=("without-stickiness",), sandbox=("v1alpha1", "v1beta1"))
    for running in _running(stack):
        running.start_recorder()
        yield running


@pytest.fixture
def space(stack: Stack) -> Space:
    return Space(stack)


@pytest.fixture(params=["v1alpha1", "v1beta1"])
def published_space(published: Stack, request: pytest.FixtureRequest) -> Space:
    return Space(published, request.param)
