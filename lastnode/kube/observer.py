"""What a list-watch tells of itself: to whoever counts, and to whoever asks how it goes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from lastnode.kube.unforeseen import Unforeseen


class Observer:
    """Who counts; this one counts nothing. Called from the streams' threads, and has to return quickly."""

    unforeseen = Unforeseen()

    def listed(self, resource: str, seconds: float, objects: int) -> None: ...
    def event(self, resource: str, kind: str) -> None: ...
    def skipped(self, resource: str) -> None: ...
    def failed(self, resource: str, reason: str) -> None: ...


NOBODY: Final = Observer()


@dataclass(eq=False)
class Progress:
    """What the probes and metrics may ask a stream, from any thread.

    ``synced``: one complete list was seen (or the resource is not served, which is a complete answer too).
    ``moved_at``: monotonic seconds of the loop's last sign of life. ``heard_at``: of the server's last answer, None
    before the first. ``trouble``: why it does not work just now, empty when it does. ``lost``: the server does not
    answer as it should, so what is known may be old; an absent resource is no such thing. ``when_synced``: called at
    the end of each list.
    """

    moved_at: float
    synced: bool = False
    heard_at: float | None = None
    trouble: str = ""
    lost: bool = False
    when_synced: Callable[[], None] = lambda: None

    def has_synced(self) -> None:
        """A complete list was seen."""
        self.synced = True
        self.when_synced()

    def works(self) -> None:
        """The server answered as it should."""
        self.trouble = ""
        self.lost = False


class Watched(Protocol):
    """A list-watch, as far as it tells how it goes."""

    resource: str
    progress: Progress


class Together:
    """The progress of all streams of one resource, as one."""

    def __init__(self, parts: Iterable[Progress]) -> None:
        self._parts = tuple(parts)

    @property
    def synced(self) -> bool:
        return all(part.synced for part in self._parts)

    @property
    def moved_at(self) -> float:
        return min(part.moved_at for part in self._parts)

    @property
    def heard_at(self) -> float | None:
        heard = [part.heard_at for part in self._parts]
        return None if None in heard else min(at for at in heard if at is not None)

    @property
    def trouble(self) -> str:
        return next((part.trouble for part in self._parts if part.trouble), "")

    @property
    def lost(self) -> bool:
        return any(part.lost for part in self._parts)


def by_resource(watches: Iterable[Watched]) -> Mapping[str, Together]:
    """How each resource goes; of one there may be several streams."""
    parts: dict[str, list[Progress]] = {}
    for watch in watches:
        parts.setdefault(watch.resource, []).append(watch.progress)
    return {resource: Together(found) for resource, found in parts.items()}
