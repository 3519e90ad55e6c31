"""Whether a session came back, by where it really ran, and what the programs tell of it: the recorder's ``/sessions``
and the extender's ``/decisions``, one format each for those who write and those who read. Pure.

The formats are JSON, camelCase, times in RFC 3339 UTC. Fields that are empty are left out; readers ignore fields that
they do not know.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from lastnode.memory import Entry, Memory
from lastnode.objects import Node
from lastnode.ranking import rank
from lastnode.reasons import Meant, Reason


class Outcome(Meant):
    """What became of a session."""

    FIRST = "first", "nothing was remembered"
    GROUP = "group", "nothing was remembered, and it ran on a node of its workload's cache group"
    REUSED = "reused", "it ran on the last node"
    OLDER = "older", "it ran on an older node of its workload's memory"
    MOVED = "moved", "there was a last node, and it ran on none that is remembered"


# A session came back: to a node that is warm.
WARM: Final = (Outcome.REUSED, Outcome.OLDER)
# It had somewhere to come back to.
RETURNING: Final = (*WARM, Outcome.MOVED)


class Machine(NamedTuple):
    """A node as it is remembered. ``uid``: empty where that is not known."""

    name: str
    uid: str

    def is_same(self, node: Node) -> bool:
        """Whether ``node`` is it, and no other machine of its name."""
        return self.name == node.name and self.uid in ("", node.uid)


class Expected(NamedTuple):
    """What was remembered when a session was placed, in few words: thousands may be on their way at a time.

    ``wanted``: the node to come back to, None where no entry was valid. ``last_node`` and ``last_uid``: that node, else
    the newest entry's, which could not be it for ``reason``; empty where nothing was remembered. An entry that is VALID
    without a ``wanted`` node is so by its age: the nodes were not known. ``older``: the other nodes that were valid,
    whatever they weigh. ``group``: the nodes of the cache group, where nothing of its own was remembered.
    """

    wanted: Node | None
    last_node: str
    last_uid: str
    reason: Reason
    older: tuple[Machine, ...] = ()
    group: tuple[Machine, ...] = ()


NOTHING_EXPECTED: Final = Expected(None, "", "", Reason.NOTHING_REMEMBERED)


def expect(
    memory: Memory, *, now: datetime, ttl: float, nodes: Mapping[str, Node] | None, relatives: Iterable[Entry] = ()
) -> Expected:
    """What ``memory`` says at the moment of placement, or, where it is empty, ``relatives``, what its cache group
    remembers. ``ttl`` in seconds, 0 for ever; ``nodes``: every node by name, None while they are not all known."""
    preference = rank(memory, now=now, ttl=ttl, nodes=nodes, relatives=() if memory else relatives)
    found = tuple(Machine(one.node, one.uid) for one in preference.nodes)
    if not memory:
        return NOTHING_EXPECTED._replace(group=found)
    if not found:
        return Expected(None, memory[0].node, memory[0].node_uid, preference.reason)
    last, *older = found
    wanted = None if nodes is None else nodes.get(last.name)
    return Expected(wanted, *last, preference.reason, tuple(older))


def judge(expected: Expected, node: Node) -> tuple[Outcome, Reason | None]:
    """The outcome of a session that ran on ``node``. MOVED without a reason: the memory was valid, so that only the
    scheduler, the node and the pod can explain it."""
    if not expected.last_node:
        return Outcome.GROUP if _among(expected.group, node) else Outcome.FIRST, None
    if Machine(expected.last_node, expected.last_uid).is_same(node):
        return Outcome.REUSED, None
    if _among(expected.older, node):
        return Outcome.OLDER, None
    return Outcome.MOVED, None if expected.reason is Reason.VALID else expected.reason


def _among(machines: Iterable[Machine], node: Node) -> bool:
    return any(machine.is_same(node) for machine in machines)


class SessionRecord(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """One session that became Ready. ``pod``/``pod_uid``: its pod, in ``namespace``; ``workload`` and ``kind``: whose
    it was.

    ``node``: where it ran; ``last_node``: where it should have come back to, empty where nothing was remembered;
    ``asked``: who asked for that node: ``term`` (in the pod's spec: webhook or library), ``extender``, ``nobody``, or
    empty where that is not known. ``nominated``: the node that kube-scheduler was told to try first, empty where none
    was, or by another replica. ``reason``: set exactly when it moved. Times are the API server's, in whole seconds.
    ``seen_seconds``: from being bound to Ready, on the recorder's clock, as its watch brought both; None where it did
    not follow the session from there, or the server's times contradict it.
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
    nominated: str = ""
    created_at: datetime | None = None
    scheduled_at: datetime | None = None
    ready_at: datetime | None = None
    seen_seconds: float | None = None

    @property
    def startup_seconds(self) -> float | None:
        """From the pod's creation to its Ready; None where one of the two is not known."""
        if self.phases:
            return sum(self.phases.values())
        if self.created_at is None or self.ready_at is None:
            return None
        return max(0.0, (self.ready_at - self.created_at).total_seconds())

    @property
    def phases(self) -> dict[str, float]:
        """Its start-up in parts, in seconds: ``scheduled`` from creation to being bound, in whole ones; ``ready`` from
        there on, as it was seen, else in whole ones too."""
        if self.created_at is None or self.scheduled_at is None or self.ready_at is None:
            return {}
        waited, started = self.scheduled_at - self.created_at, self.ready_at - self.scheduled_at
        ready = started.total_seconds() if self.seen_seconds is None else self.seen_seconds
        return {"scheduled": max(0.0, waited.total_seconds()), "ready": max(0.0, ready)}


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
# By it a client shows that it may read all of ``/sessions``: the API server's proxy passes it on, and takes the usual
# Authorization away.
TOKEN_HEADER: Final = "X-Lastnode-Token"


class Decision(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """What the extender answered kube-scheduler about a session's pod, the last time it was asked.

    ``node``: the one that it preferred most, empty where it had none; ``result``: what became of that one, or why there
    is none, in the words of ``lastnode_prioritize_total``.
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
