"""Follows each session from being bound to being written down, and hands it over to be counted, once.

What was remembered is looked up when the session's pod is bound, because its own placement changes the memory later. It
is counted by the replica that writes its placement; another replica, which keeps warm, sees it written and lets it go.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Final, Protocol

from lastnode.attribution import Verdict, attribute
from lastnode.memory import Entry, Memory
from lastnode.objects import Node, Session, Workload, WorkloadKey
from lastnode.outcome import Expected, expect
from lastnode.view import View
from recorder.case import Case, Finished

# Of one workload. Only a standby comes near it: what the leader may not write stays pending here for ever.
MOST_DUE: Final = 1000
# While one of these may still become FOUND the session is followed.
_OPEN = (Verdict.SANDBOX_UNKNOWN, Verdict.WORKLOAD_UNKNOWN, Verdict.AMBIGUOUS)


class Desk(Protocol):
    """Who asks why a session moved and counts what is finished, one thing after the other: see ``reporter``."""

    def inquire(self, case: Case) -> None: ...

    def count(self, finished: Finished) -> None: ...


class Ledger:
    """``recall``: what is written on a workload; ``ttl``: seconds that it counts; ``known``: whether every resource was
    listed once; ``now``: the time of day."""

    def __init__(
        self,
        view: View,
        recall: Callable[[Workload], Memory],
        ttl: float,
        desk: Desk,
        known: Callable[[], bool],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._view = view
        self._recall = recall
        self._ttl = ttl
        self._desk = desk
        self._known = known
        self._now = now
        self._open: dict[str, Case] = {}  # pod UID -> its case, from bound to Ready
        self._due: dict[WorkloadKey, deque[Finished]] = {}  # Ready, and not written yet
        self._lock = Lock()

    def follow(self) -> None:
        """Subscribe to the view; before those who tell :meth:`placed`."""
        self._view.sessions.subscribe(self._on_session)

    def placed(self, session: Session, workload: Workload, node: Node) -> None:
        """``session`` is Ready on ``node`` and its placement is pending on ``workload``. Repeats are ignored."""
        with self._lock:
            case = self._open.pop(session.uid, None)
        if case is None:
            return
        memory = self._recall(workload)
        if case.late and _is_written(memory, session):
            return  # counted before this replica saw it, or overtaken by a later session of its workload
        expected = case.expected or self._expect(_without(memory, session), session.created_at if case.late else None)
        finished = Finished(case, session, workload, node, expected)
        with self._lock:
            self._due.setdefault(workload.workload_key, deque(maxlen=MOST_DUE)).append(finished)

    def settle(self, key: WorkloadKey, ours: bool) -> None:
        """Nothing is pending on that workload any more. ``ours``: this replica wrote it, or may write."""
        with self._lock:
            due = self._due.pop(key, ())
        for finished in due if ours else ():
            self._desk.count(finished)

    def __len__(self) -> int:
        """Sessions that are followed and not counted yet."""
        return len(self._open) + sum(map(len, list(self._due.values())))

    def _on_session(self, before: Session | None, after: Session | None) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            with self._lock:
                self._open.pop(before.uid, None)
            before = None
        if after is not None and before is None and not after.over:
            self._begin(after)

    def _begin(self, session: Session) -> None:
        found = attribute(session, self._view.sandboxes, self._view.workloads.values())
        if found.verdict not in _OPEN and not (found.workload and found.workload.sticky):
            return
        # While a recorder starts, half of the nodes would pass for all, and an older entry step in for one not listed.
        late = session.ready_at is not None or not self._known()
        expected = None if late or found.workload is None else self._expect(self._recall(found.workload))
        case = Case(session, late=late, expected=expected)
        with self._lock:
            self._open[session.uid] = case
        if case.strayed:
            self._desk.inquire(case)

    def _expect(self, memory: Memory, at: datetime | None = None) -> Expected:
        nodes = self._view.nodes_by_name if self._known() else None
        return expect(memory, now=at or self._now(), ttl=self._ttl, nodes=nodes)


def _is_written(memory: Memory, session: Session) -> bool:
    return any(entry.pod_uid == session.uid or _later(entry, session) for entry in memory)


def _later(entry: Entry, session: Session) -> bool:
    return bool(entry.ready_at and session.ready_at and entry.ready_at > session.ready_at)


def _without(memory: Memory, session: Session) -> Memory:
    return tuple(entry for entry in memory if entry.pod_uid != session.uid)
