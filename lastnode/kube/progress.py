"""How a list-watch is doing."""


class Progress:
    """What the probes and metrics may ask a stream, from any thread.

    ``synced``: one complete list was seen (or the resource is not served, which is a complete answer too).
    ``moved_at``: monotonic seconds of the loop's last sign of life. ``heard_at``: of the server's last answer, None
    before the first. ``trouble``: why it does not work just now, empty when it does. ``lost``: the server does not
    answer as it should, so what is known may be old; an absent resource is no such thing.
    """

    def __init__(self, moved_at: float) -> None:
        self.synced = False
        self.moved_at = moved_at
        self.heard_at: float | None = None
        self.trouble = ""
        self.lost = False

    def works(self) -> None:
        """The server answered as it should."""
        self.trouble = ""
        self.lost = False
