"""Why a session ran where it ran: from the recorder's record, else from the Event, else from what can be derived. Pure.

What is not known stays empty, and a note says why. Nothing here guesses.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from lastnode.contract import MOVED_REASON_ANNOTATION
from lastnode.memory import Entry, Memory, parse_text
from lastnode.objects import Node, Session, Workload
from lastnode.outcome import Outcome, SessionRecord, expect
from lastnode.preference import carried
from lastnode.ranking import WEIGHTS, Preferred, Standing, Weights
from lastnode.reasons import INVALID, Meant, Reason

Nodes = Mapping[str, Node]

MOVED_EVENT: Final = "SessionMoved"
# As the recorder words it; the annotation says the reason too, for Events whose text is cut.
_MESSAGE: Final = re.compile(r"session (?P<pod>\S+) ran on (?P<node>\S+) and not on (?P<last>[^\s:]+): (?P<reason>\w+)")


# What a record and an explanation call alike.
_SAME: Final = ("namespace", "pod", "pod_uid", "workload", "kind", "last_node", "asked", "nominated", "node")


class Source(Meant):
    """Where an explanation comes from."""

    JOURNAL = "journal", "the recorder's journal"
    EVENT = "event", "an Event on the workload"
    DERIVED = "derived", "derived from the pod and the memory as they are now"


class Ranked(msgspec.Struct, frozen=True):
    """One node of a preference."""

    node: str
    weight: int
    standing: Standing

    @classmethod
    def of(cls, one: Preferred) -> "Ranked":
        return cls(one.node, one.weight, one.standing)


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """``last_node``: where it should have come back to; ``preferred``: the same, but empty where that could not be
    preferred. ``asked``: term, extender, nobody, or empty where not known. ``entry``: the memory's entry of
    ``last_node``, if it is still there. ``ranked``: what its workload would like now. ``nominated``: the node that was
    to be tried first, empty for none. ``reason``/``meaning``: empty unless it moved, or could not come back because its
    workload is not sticky. ``*_seconds``: None where not known."""

    namespace: str
    pod: str
    pod_uid: str = msgspec.field(name="podUID")
    exists: bool
    workload: str = ""
    kind: str = ""
    source: Source
    last_node: str = ""
    preferred: str = ""
    entry: Entry | None = None
    ranked: list[Ranked] = []
    asked: str = ""
    nominated: str = ""
    node: str = ""
    outcome: str = ""
    reason: str = ""
    meaning: str = ""
    startup_seconds: float | None = None
    scheduled_seconds: float | None = None
    ready_seconds: float | None = None
    notes: list[str] = []


class Live(NamedTuple):
    """A session's pod as it is now. ``terms``: its preferred terms in builtins."""

    session: Session
    terms: object
    scheduled_at: datetime | None


def from_record(record: SessionRecord, workload: Workload | None, *, exists: bool) -> Explanation:
    """What the recorder knew when the session became Ready; ``workload`` as it is now."""
    last, others = record.last_node, (entry for entry in _memory(workload) if entry.pod_uid != record.pod_uid)
    phases = record.phases
    return Explanation(
        **{name: getattr(record, name) for name in _SAME}, exists=exists, source=Source.JOURNAL,
        outcome=str(record.outcome), preferred=_unless(record.reason, last),
        entry=next((entry for entry in others if entry.node == last), None),
        **_because(record.reason), startup_seconds=record.startup_seconds,
        scheduled_seconds=phases.get("scheduled"), ready_seconds=phases.get("ready"),
    )  # fmt: skip


def from_event(event: Mapping[str, Any], *, exists: bool) -> Explanation:
    """What a SessionMoved Event says; it is written for sessions that moved only."""
    pod, workload = event.get("related") or {}, event.get("involvedObject") or {}
    match = _MESSAGE.match(event.get("message") or "")
    said = match.groupdict("") if match else dict.fromkeys(_MESSAGE.groupindex, "")
    reason = (event.get("metadata", {}).get("annotations") or {}).get(MOVED_REASON_ANNOTATION) or said["reason"]
    known = Reason(reason) if reason in {*Reason} else Reason.UNKNOWN
    return Explanation(
        namespace=pod.get("namespace", ""), pod=pod.get("name", ""), pod_uid=pod.get("uid", ""), exists=exists,
        source=Source.EVENT, workload=workload.get("name", ""), kind=workload.get("kind", ""), last_node=said["last"],
        preferred=_unless(known, said["last"]), node=said["node"], outcome=str(Outcome.MOVED), **_because(known),
        notes=["An Event does not tell whether the extender was asked, nor how long the start took."],
    )  # fmt: skip


def derived(
    live: Live,
    workload: Workload | None,
    nodes: Nodes,
    *,
    now: datetime,
    ttl: float,
    relatives: Memory = (),
    weights: Weights = WEIGHTS,
) -> Explanation:
    """From the live pod and the memory as it is now. ``relatives``: what its cache group remembers.

    Terms in the pod's spec are certain. Without them, the memory is taken as it was before the pod was made, as far as
    that can be seen: the session's own entry has replaced an older one of its node, if there was one.
    """
    session, memory = live.session, _memory(workload)
    weights = weights.of_a_workload(workload.older_weight if workload else None)
    asked = _asked_by_terms(live.terms, memory, nodes, weights)
    wanted = next((node for node, standing in asked.items() if standing is Standing.LAST), "")
    before = tuple(entry for entry in memory if _was_there(entry, session))
    recorded = any(entry.pod_uid == session.uid for entry in memory)
    expected = expect(before, now=now, ttl=ttl, nodes=nodes, relatives=relatives)
    last = wanted or ("" if recorded else expected.last_node)
    warm = {one.name: Standing.OLDER for one in expected.older} | {one.name: Standing.GROUP for one in expected.group}
    outcome, notes = _outcome(session, last, (warm | asked).get(session.node or ""), recorded=recorded and not wanted)
    reason = Reason.UNKNOWN if outcome is Outcome.MOVED else None
    preferred = wanted or _unless(expected.reason, last)
    if workload and not workload.sticky and not wanted:
        outcome, reason, preferred = None, Reason.NOT_STICKY, ""
        notes = ["Its workload is not sticky: nothing is written down, and nothing was preferred."]
    return Explanation(
        namespace=session.namespace, pod=session.name, pod_uid=session.uid, exists=True, source=Source.DERIVED,
        workload=workload.name if workload else "", kind=workload.kind if workload else "", last_node=last,
        preferred=preferred,
        entry=next((entry for entry in before if entry.node == last), None), asked="term" if asked else "",
        node=session.node or "", outcome=str(outcome or ""), notes=notes,
        **_because(reason),
        **_times(session.created_at, live.scheduled_at, session.ready_at),
    )  # fmt: skip


def with_asker(
    found: Explanation, terms: object, workload: Workload | None, nodes: Nodes, weights: Weights = WEIGHTS
) -> Explanation:
    """Who asked, where only the pod's own ``terms`` say it: the recorder finds it out for sessions that moved, and an
    Event does not tell."""
    weights = weights.of_a_workload(workload.older_weight if workload else None)
    asked = _asked_by_terms(terms, _memory(workload), nodes, weights)
    return msgspec.structs.replace(found, asked="term" if found.last_node in asked else "")


def newest_event(events: Iterable[Mapping[str, Any]], pod: str, pod_uid: str) -> Mapping[str, Any] | None:
    """The SessionMoved Event of this pod: by its UID, or by its name where that is not known."""
    wanted = {"uid": pod_uid} if pod_uid else {"kind": "Pod", "name": pod}
    mine = [each for each in events if wanted.items() <= (each.get("related") or {}).items()]
    return max(mine, key=_time, default=None)


def newest_record(records: Iterable[SessionRecord], namespace: str, pod: str, pod_uid: str) -> SessionRecord | None:
    """In the same way, out of the journals, which are in the order of time."""
    mine = [r for r in records if (r.pod_uid == pod_uid if pod_uid else (r.namespace, r.pod) == (namespace, pod))]
    return mine[-1] if mine else None


def _time(event: Mapping[str, Any]) -> str:
    return event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""


def _outcome(
    session: Session, last: str, ran_on: Standing | None, *, recorded: bool
) -> tuple[Outcome | None, list[str]]:
    if session.node is None:
        return None, ["It is not bound to a node yet."]
    if recorded:
        return None, ["Its own placement is written already, over what was remembered before: it may have come back."]
    if session.ready_at is None:
        return None, ["It is not Ready: whether it counts as come back is decided then."]
    if not last:
        outcome = Outcome.GROUP if ran_on is Standing.GROUP else Outcome.FIRST
        return outcome, ["Nothing that is remembered now is older than this session."]
    if session.node == last:
        return Outcome.REUSED, []
    return (Outcome.OLDER if ran_on is Standing.OLDER else Outcome.MOVED), []


def _asked_by_terms(terms: object, memory: Memory, nodes: Nodes, weights: Weights) -> dict[str, Standing]:
    """The nodes that terms of ours in the pod's spec name, as far as memory or cluster know those nodes; the last node
    comes first."""
    known = {entry.node: entry.hostname for entry in memory} | {node.name: node.hostname for node in nodes.values()}
    asked: dict[str, Standing] = {}
    for standing in Standing:
        weight = weights.of(standing)
        for node in carried(terms, [Preferred(node, hostname, "", weight) for node, hostname in known.items()]):
            # Those beside the last node, in a term of its weight, are older ones.
            first = standing is not Standing.LAST or not asked
            asked.setdefault(node, standing if first else Standing.OLDER)
    return asked


def _was_there(entry: Entry, session: Session) -> bool:
    if entry.pod_uid == session.uid != "":
        return False
    return entry.ready_at is None or session.created_at is None or entry.ready_at <= session.created_at


def _memory(workload: Workload | None) -> Memory:
    return parse_text(workload.last_node, workload.recent_nodes) if workload else ()


def _unless(reason: Reason | None, last: str) -> str:
    """The last node, unless nothing on it could be preferred."""
    return "" if reason in INVALID else last


def _because(reason: Reason | None) -> dict[str, Any]:
    return {"reason": str(reason), "meaning": reason.meaning} if reason else {}


def _times(created: datetime | None, scheduled: datetime | None, ready: datetime | None) -> dict[str, Any]:
    spans = {"startup_seconds": (created, ready), "scheduled_seconds": (created, scheduled),
             "ready_seconds": (scheduled, ready)}  # fmt: skip
    return {name: max(0.0, (end - start).total_seconds()) for name, (start, end) in spans.items() if start and end}
