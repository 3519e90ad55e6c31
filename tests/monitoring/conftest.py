"""Prometheus' own programs, where they are installed: nothing else in the project needs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


def program(name: str) -> Path:
    """Where it is; skips the test, and says what is missing, where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH (Debian, Ubuntu: apt install prometheus; macOS: brew install prometheus)")
    return Path(found)


@pytest.fixture(scope="session")
def promtool() -> Path:
    return program("promtool")


@pytest.fixture(scope="session")
def prometheus() -> Path:
    return program("prometheus")
