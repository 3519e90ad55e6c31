"""Threads that belong together: started by name, stopped in order, joined with a limit; one that dies ends all."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

log = logging.getLogger(__name__)


class Crew:
    """``add`` what shall run and how to stop it, then ``start``; ``stop`` ends the last added first."""

    def __init__(self) -> None:
        self._threads: list[Thread] = []
        self._stops: list[Callable[[], None]] = []
        self.ended = Event()  # somebody asked to stop, or a thread died
        self.failed = False

    def add(self, name: str, run: Callable[[], None], stop: Callable[[], None]) -> None:
        self._threads.append(Thread(target=self._guard, args=(name, run), name=name, daemon=True))
        self._stops.append(stop)

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
