"""What is known of one session while it is followed, and what follows from that. Pure."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from lastnode import memory
from lastnode.attribution import Attribution, Awaited, Verdict
from lastnode.contract import DEFAULT_RECENT_NODES
from lastnode.memory import Crash, Entry, Memory
from lastnode.objects import Linked, Node, Session, Workload
from lastnode.outcome import Expected
from lastnode.reasons import Meant, Reason

# While a workload cannot be written, its sessions go on crashing: of those crashes only the latest are kept. There are
# 32 entries at most to take back, and those of older crashes are seldom among them.
MAX_CRASHES: Final = 64
# Less than the API's times can tell.
_BEFORE: Final = timedelta(milliseconds=1)


class Pending(NamedTuple):
    """What has to reach one workload: its UID, placements that are not written down yet, and crashes that take
    placements back, written down or not; bounded, however long it has to wait. ``pressing``: the memory has to change,
    if only in a date."""

    uid: str
    memory: Memory = ()
    crashes: frozenset[Crash] = frozenset()
    pressing: bool = False

    def plus(self, other: "Pending") -> "Pending":
        """Both; in whatever order things come, the same comes out. Of another workload's nothing is taken over."""
        if self.uid != other.uid:
            return other
        crashes = _latest(_one_each(self.crashes | other.crashes))
        return Pending(self.uid, memory.merge(self.memory, other.memory), crashes, self.pressing or other.pressing)


def _one_each(crashes: frozenset[Crash]) -> frozenset[Crash]:
    """Of what may be known of a crash, the last: that its pod was Ready again in the same second."""
    if len(crashes) < 2:
        return crashes
    return frozenset({(crash.pod_uid, crash.since): crash for crash in sorted(crashes, reverse=True)}.values())


def _latest(crashes: frozenset[Crash]) -> frozenset[Crash]:
    if len(crashes) <= MAX_CRASHES:
        return crashes
    return frozenset(sorted(crashes, key=lambda crash: (crash.at, crash), reverse=True)[:MAX_CRASHES])


class Write(Meant):
    """What came of an attempt to write a workload's memory."""

    WRITTEN = "written", "the annotations were written"
    CONFLICT = "conflict", "somebody else wrote in between: tried again on what is there now"
    RETRIED = "retried", "the API server or a webhook failed: tried again later"
    REFUSED = "refused", "403, 422 or too large: tried again with the workload's next session or change"
    GONE = "gone", "the workload does not exist any more"
    REPLACED = "replaced", "the workload is another one of the same name"
    NOT_STICKY = "not_sticky", "the workload has not opted in any more"
    UNCHANGED = "unchanged", "it says so already, at most with a slightly older date (--redate-seconds)"


def decide(
    workload: Workload | None,
    known: Memory,
    pending: Pending,
    nodes: Mapping[str, Node] | None,
    now: datetime,
    most: int = DEFAULT_RECENT_NODES,
    redate: timedelta = timedelta(0),
) -> Memory | Write:
    """The memory to write, or why there is nothing to write.

    ``known``: the memory that ``workload`` carries. ``nodes``: every node by name, for leaving out those that are gone
    or replaced; None while they are not all known. ``most``: how many entries are kept. ``redate``: a memory in which
    only dates would change, by less, is left as it is.
    """
    if workload is None:
        return Write.GONE
    if workload.uid != pending.uid:
        return Write.REPLACED
    if not workload.sticky:
        return Write.NOT_STICKY
    # Before: what is taken back must not keep its date. And after: what is pending may have crashed meanwhile.
    kept = memory.take_back(known, pending.crashes)
    merged = memory.take_back(memory.add(kept, pending.memory, now), pending.crashes)
    if nodes is not None:
        merged = memory.prune(merged, nodes)
    merged = memory.bounded(merged, most)
    # What is taken back goes at once, even where a later session on the same node says the same.
    within = timedelta(0) if pending.pressing or kept != known else redate
    said = memory.tells(memory.merge(known, now=now), merged, within)
    if said and workload.last_node == (merged[0].node if merged else None):
        return Write.UNCHANGED
    return merged


class Explanation(NamedTuple):
    """Why a session moved. ``asked``: who asked for its node (term, extender, nobody), empty where not known."""

    reason: Reason
    asked: str = ""


UNEXPLAINED: Final = Explanation(Reason.UNKNOWN)


@dataclass(eq=False, slots=True)
class Life:
    """One session until it is counted.

    ``late``: first seen when it was Ready already, or while the recorder was starting, so that nodes may have changed
    since it was placed. ``counts``: whether it will be counted: it was seen before it was Ready for the first time, and
    nobody has counted it. ``found``: whose it is. ``told``: the verdict that was counted last. ``expected``: what was
    remembered when it was placed, None while its workload is not known. ``explanation``: why it moved, once somebody
    has asked. ``node``: where it became Ready. ``bound``: when it was seen to be bound, if it was not late, in
    seconds of this recorder's clock; ``seen``: how long it took from there to Ready.
    """

    session: Session
    found: Attribution
    _: KW_ONLY
    late: bool
    counts: bool
    told: Verdict | None = None
    awaits: tuple[Awaited, ...] = ()
    expected: Expected | None = None
    explanation: Explanation | None = None
    node: Node | None = None
    bound: float | None = None
    seen: float | None = None

    def timed(self, session: Session, clock: float) -> None:
        """The session was seen like this."""
        if self.bound is None and session.node and not self.late:
            self.bound = clock
        if self.seen is None and self.bound is not None and is_ready(session):
            self.seen = round(clock - self.bound, 3)

    @property
    def strayed_from(self) -> Node | None:
        """The node that it should have come back to, where it is bound to none that is remembered."""
        wanted, older = (self.expected.wanted, self.expected.older) if self.expected else (None, ())
        if wanted is None or self.session.node in (wanted.name, *(one.name for one in older)):
            return None
        return wanted


# As the API's times have whole seconds, between two of them lies up to a second more or less than there was. What
# differs by more is not believed: a watch brought it late, or the node's clock is wrong.
_MOST_APART: Final = 1.5


def believed(seen: float | None, session: Session) -> float | None:
    """``seen`` where the API's times of the session do not contradict it."""
    bound, ready = session.scheduled_at, session.first_ready_at
    if seen is None or bound is None or ready is None:
        return None
    return seen if abs(seen - (ready - bound).total_seconds()) <= _MOST_APART else None


# A pod that is found Ready so long after it was bound may have been Ready before; a start that takes longer, because it
# pulls tens of gigabytes, is rare.
LONGEST_START: Final = timedelta(minutes=10)


def dated(before: Session | None, session: Session, early_crash: timedelta, now: datetime) -> Session:
    """``session`` with the date of its placement: since when its pod was Ready for the first time, or for the first one
    after an early crash. ``before``: what was known of the pod of that name.

    A later change of the Ready condition (readiness that flaps, a machine that reboots) is no new placement. Of a pod
    that is found Ready nobody knows whether it was before: there the time when it was bound, which cannot change, says
    whether to believe its condition. And no date is later than ``now``, whatever the node's clock says.
    """
    same = before is not None and before.uid == session.uid
    first = before.first_ready_at if before is not None and same else None
    if first is None or _began_anew(first, session, early_crash):
        first = _first_ready(session, seen=same, now=now)
    return session if first is None else msgspec.structs.replace(session, first_ready_at=first)


def _began_anew(first: datetime, session: Session, early_crash: timedelta) -> bool:
    """Whether it crashed so early that the crash takes its placement back, and nothing but its next Ready counts."""
    crashed = session.crashed_at
    if not early_crash or crashed is None or not first <= crashed <= first + early_crash:
        return False
    return session.ready_at is None or session.ready_at >= crashed


def _first_ready(session: Session, *, seen: bool, now: datetime) -> datetime | None:
    ready, bound = session.ready_at, session.scheduled_at
    if ready is not None and bound is not None:
        ready = bound if not seen and ready - bound > LONGEST_START else max(ready, bound)
    return ready and min(ready, now.replace(microsecond=0))


def said(session: Session) -> tuple[object, ...]:
    """What of a session makes a difference here."""
    return session.node, session.ready_at, session.crashed_at, session.over, session.ways


def matters(obj: Linked | Node | None) -> tuple[object, ...]:
    """What of an object makes a difference to the sessions that wait for it."""
    if isinstance(obj, Workload):
        return obj.uid, obj.sticky, obj.created_at, obj.claims, obj.controller_uid
    if isinstance(obj, Linked):
        return obj.uid, obj.claims, obj.controller_uid
    return (obj.uid,) if obj else ()


def is_ready(session: Session) -> bool:
    """Whether it has a placement to be remembered."""
    return session.ready_at is not None and not session.over and session.node is not None


def is_of_interest(found: Attribution) -> bool:
    """Whether a session of that attribution may yet come back to something."""
    return found.is_open or bool(found.workload and found.workload.sticky)


def awaited_by(session: Session, found: Attribution, node: Node | None) -> tuple[Awaited, ...]:
    """What would change the answer; nothing when the answer is final."""
    if found.workload is None or not found.workload.sticky:
        return found.awaits
    return (Awaited("nodes", "", session.node or ""),) if node is None and is_ready(session) else ()


def had_sessions(controller: Linked | None, *memories: Memory) -> bool:
    """Whether what controls a session's pod may have had one before, such as a Sandbox that was suspended: it is older
    than the newest placement. The next session's pod has the same name and controller then, and a webhook that sees the
    same memory as well takes it for one that was refused (extender.holding)."""
    made = controller.created_at if controller else None
    dates = [entry.ready_at for entries in memories for entry in entries[:1] if entry.ready_at is not None]
    return any(made is None or date >= made for date in dates)


def news(uid: str, session: Session, node: Node | None, early_crash: timedelta) -> Pending:
    """What has to reach its workload, of that UID: its placement, once it is Ready on ``node``, and its crash."""
    placed = (placement(session, node),) if node is not None and is_ready(session) else ()
    if not has_crashed(session, early_crash) or session.crashed_at is None:
        return Pending(uid, placed)
    # A container may be killed and run again within a second. Where both have one date, Ready was later: it is so now.
    at = session.crashed_at - _BEFORE if session.ready_at == session.crashed_at else session.crashed_at
    return Pending(uid, placed, frozenset({Crash(session.uid, session.crashed_at - early_crash, at)}))


def has_crashed(session: Session, early_crash: timedelta) -> bool:
    """Whether it may have to take something back; how soon after its Ready it failed, the memory knows."""
    return bool(early_crash) and session.crashed_at is not None and session.node is not None


def placement(session: Session, node: Node) -> Entry:
    """What is remembered of a session that became Ready on that node."""
    return Entry(
        node=node.name, hostname=node.hostname, node_uid=node.uid, ready_at=session.first_ready_at, pod_uid=session.uid
    )


def is_written(known: Memory, placed: Entry, now: datetime, redate: timedelta = timedelta(0)) -> bool:
    """Whether the memory has a session's placement, or a later one that replaced it, or need not have it: see
    :func:`decide`."""
    believed = [entry for entry in known if not memory.is_ahead(entry, now)]
    if believed and memory.redates(believed[0], placed, redate):
        return True
    return any(entry.pod_uid == placed.pod_uid or _later(entry, placed) for entry in believed)


def _later(entry: Entry, other: Entry) -> bool:
    return bool(entry.ready_at and other.ready_at and entry.ready_at > other.ready_at)
