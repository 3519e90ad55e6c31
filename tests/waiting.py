"""Waiting for what follows from something else, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(get: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """The first true answer of ``get``, or a failure that names ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not (found := get()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.03)
    return found


def second_after(moment: float) -> None:
    """Wait for a later second than that of ``moment``, a time.time(). Ready times have whole seconds: of two sessions
    Ready in the same one, either may count as the last."""
    eventually(lambda: int(time.time()) > int(moment), "the next second")
