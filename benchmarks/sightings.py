"""A watch of the bench's own: when did which event come? On this process's clock, to the microsecond."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Condition, Thread
from types import TracebackType
from typing import Any, Self

import msgspec

from lastnode.kube import wire
from lastnode.kube.api import Api
from lastnode.kube.errors import KubeError

_SILENCE = 300.0


class Sightings:
    """Every event of one collection from now on, with the time at which it came; decoded afterwards, by whoever asks.

    ``selectors``: labelSelector, fieldSelector of the watch. A context manager; the watch is open when it is entered
    and joined when it is left.
    """

    def __init__(
        self,
        api: Api,
        collection: str,
        clock: Callable[[], float] = time.perf_counter,
        selectors: Mapping[str, str] | None = None,
    ) -> None:
        self._clock = clock
        self._lines: list[tuple[float, bytes]] = []
        self._came = Condition()
        self._ended = ""
        version = wire.page(api.get(collection, {"limit": "1"})).version
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "3600", **(selectors or {})}
        self._stream = api.stream(collection, query, _SILENCE)
        self._thread = Thread(target=self._read, name=f"sightings {collection}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stream.abort()
        self._thread.join(5.0)

    def wait(self, count: int, seconds: float) -> None:
        """Until that many events came. Raises TimeoutError, which says so where the watch broke."""
        with self._came:
            self._came.wait_for(lambda: len(self._lines) >= count or self._ended, seconds)
            if len(self._lines) < count:
                why = self._ended or f"within {seconds:g} s"
                raise TimeoutError(f"{len(self._lines)} of {count} events came: {why}")

    def times(self) -> list[float]:
        """When each event came, in order."""
        return [moment for moment, _ in self._lines]

    def first(self, key: Callable[[msgspec.Raw], Any]) -> dict[Any, float]:
        """``key`` of an event's object -> when it was first seen; objects whose key is None are left out."""
        seen: dict[Any, float] = {}
        for moment, line in self._lines:
            if (found := key(wire.event(line).object)) is not None:
                seen.setdefault(found, moment)
        return seen

    def _read(self) -> None:
        try:
            with self._stream as stream:
                for line in stream:
                    with self._came:
                        self._lines.append((self._clock(), line))
                        self._came.notify_all()
            why = "the server ended the watch"
        except KubeError as error:
            why = f"the watch broke: {error}"  # or was aborted, when nobody waits any more
        with self._came:
            self._ended = why
            self._came.notify_all()
