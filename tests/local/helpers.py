"""What several of these tests need: waiting with a deadline, and seeing whether a process is still there."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(get: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    """The first true answer of `get`, or a failure that names `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := get()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return found


def lives(pid: int) -> bool:
    """A zombie that nobody has collected yet is dead."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")
