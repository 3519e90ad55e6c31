"""For all tests: a failing one prints its components' logs; no property may pass or fail by how fast the machine is."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from testbed.stack import Stack

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """What runs on this machine is reached without a proxy, by Python's own clients too."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "localhost,127.0.0.1,::1"]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """The end of every component's log goes into the report of a test that failed."""
    report = yield
    if report.failed:
        for stack in _stacks(getattr(item, "funcargs", {}).values()):
            report.sections.append(("logs of the components", stack.cp.logs_tail()))
    return report


def _stacks(fixtures: Any) -> Iterator[Stack]:
    """Each control plane that a test had, also inside of what it was given."""
    found = [fixture if isinstance(fixture, Stack) else getattr(fixture, "stack", None) for fixture in fixtures]
    yield from {id(stack): stack for stack in found if isinstance(stack, Stack)}.values()
