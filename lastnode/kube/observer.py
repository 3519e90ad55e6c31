"""What a list-watch tells of itself: to whoever counts, and to whoever asks how it goes."""

from dataclasses import dataclass
from typing import Final

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
    answer as it should, so what is known may be old; an absent resource is no such thing.
    """

    moved_at: float
    synced: bool = False
    heard_at: float | None = None
    trouble: str = ""
    lost: bool = False

    def works(self) -> None:
        """The server answered as it should."""
        self.trouble = ""
        self.lost = False
