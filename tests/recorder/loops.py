"""Single parts of the recorder, run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any


@contextmanager
def running(loop: Any) -> Iterator[None]:
    """A list-watch, an elector or a writer in a thread of its own, which has ended afterwards."""
    thread = Thread(target=getattr(loop, "run", None) or loop.work)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(30)
        assert not thread.is_alive()


class Nobody:
    """Who counts nothing."""

    def write(self, result: str) -> None: ...

    def lag(self, seconds: float) -> None: ...
