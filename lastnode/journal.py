"""What the programs tell of the past: the recorder's ``/sessions`` and the extender's ``/decisions``, one format each
for those who write and those who read.

JSON, camelCase, times in RFC 3339 UTC. Fields that are empty are left out; readers ignore fields that they do not know.
"""

from datetime import datetime
from typing import Final

import msgspec

from lastnode.outcome import Outcome
from lastnode.reasons import Reason


class SessionRecord(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """One session that became Ready. ``pod``/``pod_uid``: its pod, in ``namespace``; ``workload`` and ``kind``: whose
    it was.

    ``node``: where it ran; ``last_node``: where it should have come back to, empty for a first session; ``asked``: who
    asked for that node: ``term`` (in the pod's spec: webhook or library), ``extender``, ``nobody``, or empty where that
    is not known. ``reason``: set exactly when it moved. Times are the API server's, in whole seconds.
    """

    namespace: str
    pod: str
    pod_uid: str = msgspec.field(name="podUID")
    workload: str
    kind: str
    node: str
    outcome: Outcome
    reason: Reason | None = None
    last_node: str = ""
    asked: str = ""
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    ready_at: datetime | None = None

    @property
    def startup_seconds(self) -> float | None:
        """From the pod's creation to its Ready; None where one of the two is not known."""
        if self.created_at is None or self.ready_at is None:
            return None
        return max(0.0, (self.ready_at - self.created_at).total_seconds())

    @property
    def phases(self) -> dict[str, float]:
        """Its start-up in parts, in seconds: ``scheduled`` from creation to being bound, ``ready`` from there on."""
        if self.created_at is None or self.scheduled_at is None or self.ready_at is None:
            return {}
        waited, started = self.scheduled_at - self.created_at, self.ready_at - self.scheduled_at
        return {"scheduled": max(0.0, waited.total_seconds()), "ready": max(0.0, started.total_seconds())}


class Journal(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer of ``/sessions``. ``since``: what was counted before is not in it; ``dropped``: how many it has
    forgotten to stay bounded. Each replica lists the sessions that it counted itself: readers join all journals.
    """

    replica: str
    leading: bool
    since: datetime
    dropped: int = 0
    sessions: list[SessionRecord]


JOURNAL: Final = msgspec.json.Decoder(Journal)


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """What the extender answered kube-scheduler about a session's pod, the last time it was asked.

    ``result`` as in ``lastnode_prioritize_total``; ``node``: the one it had in mind, empty where it had none.
    """

    pod_uid: str = msgspec.field(name="podUID")
    result: str
    node: str = ""
    at: datetime


class Decisions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``since``: of what was decided before, some or all is not known any more."""

    since: datetime
    decisions: list[Decision]


DECISIONS: Final = msgspec.json.Decoder(Decisions)
