"""Whether a session came back, by where it really ran, and the closed set of reasons why not. Pure."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from lastnode.memory import Memory, Validity, choose
from lastnode.objects import Node


class Outcome(StrEnum):
    """What became of a session. A closed set: metrics use it as label values."""

    FIRST = "first"  # nothing was remembered
    REUSED = "reused"  # it ran on the last node
    MOVED = "moved"  # there was a last node, and it ran elsewhere


class Reason(StrEnum):
    """Why a session moved. A closed set: metrics use it as label values.

    The first five are the memory's own: there was no valid entry. The next three say that the node could not take the
    pod. The rest is about who asked for it, and what the scheduler made of that.
    """

    EXPIRED = "expired"
    NODE_GONE = "node_gone"
    NODE_REPLACED = "node_replaced"  # another machine of the same name
    NODE_NOT_READY = "node_not_ready"
    NODE_CORDONED = "node_cordoned"
    NO_ROOM = "no_room"
    TAINTED = "tainted"  # the node has a NoSchedule or NoExecute taint that the pod does not tolerate
    PINNED = "pinned"  # the pod's own node selector or required affinity excludes the node
    NOT_ASKED = "not_asked"  # no extender call and no term
    UNAWARE = "unaware"  # the extender was asked and knew no node: not synced, or the memory came too late
    NOT_OFFERED = "not_offered"  # the scheduler did not offer the node: sampled out, or filtered for another reason
    NOT_CHOSEN = "not_chosen"  # a term asked for it; sampled out or outscored, and nobody can tell which
    OUTSCORED = "outscored"
    UNKNOWN = "unknown"


# What each reason means, for Events and for people. Each completes "the session ran elsewhere: ...".
MEANING: Mapping[Reason, str] = {
    Reason.EXPIRED: "the placement was older than the memory counts",
    Reason.NODE_GONE: "the node does not exist any more",
    Reason.NODE_REPLACED: "the node was replaced by another machine of the same name",
    Reason.NODE_NOT_READY: "the node was not Ready",
    Reason.NODE_CORDONED: "the node was cordoned",
    Reason.NO_ROOM: "the node had no room for the pod",
    Reason.TAINTED: "the node has a taint that the pod does not tolerate",
    Reason.PINNED: "the pod's own node selector or required affinity excludes the node",
    Reason.NOT_ASKED: "nobody asked for the node: no extender call, and no preferred term in the pod",
    Reason.UNAWARE: "the extender was asked and did not know the node yet",
    Reason.NOT_OFFERED: "the scheduler did not offer the node to the extender: sampled out, or filtered",
    Reason.NOT_CHOSEN: "the scheduler chose another node: this one was sampled out or outscored",
    Reason.OUTSCORED: "the scheduler gave another node more points",
    Reason.UNKNOWN: "nothing that is known explains it",
}


class Expected(NamedTuple):
    """What was remembered when a session was placed, in few words: thousands may be on their way at a time.

    ``wanted``: the node to come back to, None where no entry was valid. ``last_node`` and ``last_uid``: that node, else
    the newest entry's, which could not be it for ``reason``; empty where nothing was remembered. An entry that is VALID
    without a ``wanted`` node is so by its age: the nodes were not known.
    """

    wanted: Node | None
    last_node: str
    last_uid: str
    reason: Validity


def expect(memory: Memory, *, now: datetime, ttl: float, nodes: Mapping[str, Node] | None) -> Expected:
    """What ``memory`` says at the moment of placement. ``ttl`` in seconds, 0 for ever; ``nodes``: every node by name,
    None while they are not all known."""
    choice = choose(memory, now=now, ttl=ttl, nodes=nodes)
    node = nodes.get(choice.entry.node) if choice.entry and nodes is not None else None
    if node is not None:
        return Expected(node, node.name, node.uid, choice.reason)
    told = choice.entry or next(iter(memory), None)
    return Expected(None, told.node, told.node_uid, choice.reason) if told else Expected(None, "", "", choice.reason)


def judge(expected: Expected, node: Node) -> tuple[Outcome, Reason | None]:
    """The outcome of a session that ran on ``node``. MOVED without a reason: the memory was valid, so that only the
    scheduler, the node and the pod can explain it."""
    if not expected.last_node:
        return Outcome.FIRST, None
    if expected.last_node == node.name and expected.last_uid in ("", node.uid):
        return Outcome.REUSED, None
    return Outcome.MOVED, None if expected.reason is Validity.VALID else Reason(expected.reason)


class SessionRecord(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """One session. ``pod``/``pod_uid``: its pod, in ``namespace``; ``workload`` and ``kind``: whose it was.

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
