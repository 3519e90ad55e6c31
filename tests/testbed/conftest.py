"""One control plane for the tests that only use it; those that end one start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed import Binaries, ControlPlane, find


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return find()


@pytest.fixture(scope="session")
def plane(binaries: Binaries) -> Iterator[ControlPlane]:
    with ControlPlane.start(binaries=binaries, users={"reader": ["readers"]}) as plane:
        yield plane
        print(plane.logs_tail())
