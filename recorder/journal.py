"""The newest sessions that this replica counted, kept packed for whoever asks."""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock

import msgspec

from lastnode.outcome import SessionRecord


class SessionLog:
    """At most ``size`` records of about 350 bytes. Safe to share between threads. ``clock``: Unix time."""

    def __init__(self, size: int, replica: str, clock: Callable[[], float] = time.time) -> None:
        self._records: deque[bytes] = deque(maxlen=size)
        self._replica = replica
        self._since = datetime.fromtimestamp(int(clock()), UTC)
        self._dropped = 0
        self._lock = Lock()

    def add(self, record: SessionRecord) -> None:
        packed = msgspec.json.encode(record)
        with self._lock:
            self._dropped += len(self._records) == self._records.maxlen
            self._records.append(packed)

    def journal(self, leading: bool, pod_uid: str = "") -> bytes:
        """A :class:`lastnode.outcome.Journal` as JSON; of one pod only, where its UID is given."""
        with self._lock:
            records, dropped = list(self._records), self._dropped
        if pod_uid:
            wanted = msgspec.json.encode(pod_uid)
            records = [record for record in records if b'"podUID":' + wanted in record]
        sessions = [msgspec.Raw(record) for record in records]
        head = {"replica": self._replica, "leading": leading, "since": self._since, "dropped": dropped}
        return msgspec.json.encode(head | {"sessions": sessions})
