"""Threads that belong together: started by name, stopped in order, joined with a limit; one that dies ends all."""

import logging
import time
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

log = logging.getLogger(__name__)


class Flag:
    """May be set by a signal's handler too. An Event may not: its handler would wait for ever where it interrupts its
    own thread inside that Event, as a second signal interrupts the handler of the first."""

    def __init__(self) -> None:
        self._set: SimpleQueue[None] = SimpleQueue()

    def set(self) -> None:
        self._set.put(None)

    def is_set(self) -> bool:
        return not self._set.empty()

    def wait(self) -> None:
        """Until it is set; any number of threads may."""
        self._set.get()
        self._set.put(None)


class Worker(Protocol):
    """What a thread is for."""

    def run(self) -> None:
        """Until :meth:`stop`, which any thread may call."""

    def stop(self) -> None: ...


class Crew:
    """``add`` what shall run, then ``start``; ``stop`` ends the last added first.

    ``ended``: set when a thread died, and from outside when somebody asks to stop.
    """

    def __init__(self, ended: Flag) -> None:
        self._threads: list[Thread] = []
        self._stops: list[Callable[[], None]] = []
        self.ended = ended
        self.failed = False

    def add(self, name: str, worker: Worker, threads: int = 1) -> None:
        """``threads``: in which its ``run`` goes on at the same time."""
        self._threads += [
            Thread(target=self._guard, args=(name, worker.run), name=name, daemon=True) for _ in range(threads)
        ]
        self._stops.append(worker.stop)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, within: float) -> bool:
        """Stop and join all of them. False when some were still running after ``within`` seconds."""
        self.ended.set()
        for stop in reversed(self._stops):
            stop()
        deadline = time.monotonic() + within
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck:
            log.warning("still running after %.0f s: %s", within, ", ".join(stuck))
        return not stuck

    def _guard(self, name: str, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException:
            log.critical("%s ended by an error", name, exc_info=True)
            self.failed = True
        finally:
            if not self.ended.is_set():
                # None of them is meant to return by itself: what is left would look alive and do only half the work.
                self.failed = True
                self.ended.set()
