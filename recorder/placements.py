"""From events to what has to be written: a session becomes Ready, its placement becomes pending on its workload.

Events of different resources arrive in any order: a pod may be Ready before its Sandbox, its workload or its node has
been seen. Such a session waits, under the name of what it waits for, and is looked at again when that comes.
"""

import logging
from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from typing import NamedTuple

from lastnode.attribution import Attribution, Verdict, attribute
from lastnode.contract import WORKLOAD_KIND_LABEL
from lastnode.kube.records import ObjectKey, Record
from lastnode.memory import Crash, Entry
from lastnode.objects import Node, Sandbox, Session, Workload, WorkloadKey
from lastnode.view import View
from recorder.decision import Pending

log = logging.getLogger(__name__)


class _Awaited(NamedTuple):
    """What a session waits for: ``what`` is sandbox, workload or node."""

    what: str
    namespace: str
    name: str


class Placements:
    """Follows the view's stores; ``schedule`` is called whenever a workload has something pending.

    ``count`` is told each session's verdict: once when it is first seen Ready, once more when that changes.
    ``placed`` is told of each Ready session, its workload and node, before its placement is pending; even repeatedly.
    ``early_crash``: a session that fails so many seconds after it became Ready, or sooner, takes its placement back;
    0: none does.
    """

    def __init__(
        self,
        view: View,
        schedule: Callable[[WorkloadKey], None],
        count: Callable[[Verdict], None] = lambda _: None,
        early_crash: float = 0.0,
        placed: Callable[[Session, Workload, Node], None] = lambda *_: None,
    ) -> None:
        self._view = view
        self._schedule = schedule
        self._count = count
        self._early_crash = timedelta(seconds=early_crash)
        self._placed = placed
        self._pending: dict[WorkloadKey, Pending] = {}
        self._waiting: dict[_Awaited, dict[ObjectKey, Session]] = {}
        self._parked: dict[ObjectKey, _Parked] = {}  # session -> its place in _waiting
        self._lock = Lock()

    def follow(self) -> None:
        """Subscribe to the view; call it before the watches start."""
        self._view.sessions.subscribe(self._on_session)
        self._view.sandboxes.subscribe(self._on_sandbox)
        self._view.nodes.subscribe(self._on_node)
        for store in self._view.workloads.values():
            store.subscribe(self._on_workload)

    def pending(self, key: WorkloadKey) -> Pending | None:
        """What is not written on this workload yet."""
        with self._lock:
            return self._pending.get(key)

    def keys(self) -> list[WorkloadKey]:
        """The workloads with something pending."""
        with self._lock:
            return list(self._pending)

    def settle(self, key: WorkloadKey, written: Pending) -> bool:
        """``written`` needs no more work. False when something newer came meanwhile, which stays pending."""
        with self._lock:
            if self._pending.get(key) == written:
                del self._pending[key]
            return key not in self._pending

    def __len__(self) -> int:
        """Workloads with something pending."""
        return len(self._pending)

    def _on_session(self, before: Session | None, after: Session | None) -> None:
        if after is None or not (_is_ready(after) or self._has_crashed(after)):
            self._drop(after or before)
        elif before is None or _said(before) != _said(after):
            self._consider(after)

    def _on_sandbox(self, before: Sandbox | None, after: Sandbox | None) -> None:
        self._retry("sandbox", after)

    def _on_workload(self, before: Workload | None, after: Workload | None) -> None:
        # Also when one is removed: that may end an ambiguity, and what is pending for it has become pointless.
        self._retry("workload", after or before)
        # Or another replica has written it, which is for the writer to find out.
        changed = before or after
        if changed is not None and self.pending(changed.workload_key):
            self._schedule(changed.workload_key)

    def _on_node(self, before: Node | None, after: Node | None) -> None:
        if before is None:
            self._retry("node", after)

    def _drop(self, session: Session | None) -> None:
        if session is not None:
            with self._lock:
                self._unpark(session.key)

    def _retry(self, what: str, obj: Record | None) -> None:
        if obj is None:
            return
        with self._lock:
            sessions = list(self._waiting.get(_Awaited(what, obj.namespace, obj.name), {}).values())
        for session in sessions:
            self._consider(session)

    def _consider(self, session: Session) -> None:
        """Make the placement pending, or have it wait for what is missing."""
        # All under the lock, the look at the view included: what is missing may arrive at this very moment, and its
        # thread then finds the session waiting.
        with self._lock:
            found = attribute(session, self._view.sandboxes, self._view.workloads.values())
            node = self._view.nodes.get(ObjectKey("", session.node or ""))
            told = self._unpark(session.key)
            if told is not found.verdict and _is_ready(session):
                self._tell(session, found.verdict)
            awaited = _awaited(session, found, node)
            if awaited is not None:
                self._park(session, _Parked(awaited, found.verdict))
                return
            if found.workload is None:
                return
            if node is not None and _is_ready(session):
                self._placed(session, found.workload, node)
            key, uid = found.workload.workload_key, found.workload.uid
            self._pending[key] = self._pending.get(key, Pending(uid)).plus(self._news(uid, session, node))
        self._schedule(key)

    def _news(self, uid: str, session: Session, node: Node | None) -> Pending:
        placed = (_entry(session, node),) if node is not None and _is_ready(session) else ()
        crashed_at = session.crashed_at if self._has_crashed(session) else None
        if crashed_at is None:
            return Pending(uid, placed)
        return Pending(uid, placed, frozenset({Crash(session.uid, crashed_at - self._early_crash, crashed_at)}))

    def _has_crashed(self, session: Session) -> bool:
        """Whether it may have to take something back; how soon after its Ready it failed, the memory knows."""
        return bool(self._early_crash) and session.crashed_at is not None and session.node is not None

    def _park(self, session: Session, parked: "_Parked") -> None:
        if self._view.sessions.get(session.key) is None:
            return  # deleted meanwhile: no event would ever take it out again
        self._parked[session.key] = parked
        self._waiting.setdefault(parked.awaited, {})[session.key] = session

    def _unpark(self, key: ObjectKey) -> Verdict | None:
        parked = self._parked.pop(key, None)
        if parked is None:
            return None
        sessions = self._waiting[parked.awaited]
        del sessions[key]
        if not sessions:
            del self._waiting[parked.awaited]
        return parked.verdict

    def _tell(self, session: Session, verdict: Verdict) -> None:
        self._count(verdict)
        if verdict is Verdict.AMBIGUOUS:
            log.warning(
                "not recorded: workloads of two kinds have the name that it gives; the label %s tells them apart",
                WORKLOAD_KIND_LABEL,
                extra={"namespace": session.namespace, "pod": session.name, "reason": str(verdict)},
            )  # fmt: skip


class _Parked(NamedTuple):
    awaited: _Awaited
    verdict: Verdict


def _said(session: Session) -> tuple[object, ...]:
    """What of a session makes a difference here."""
    return session.uid, session.ready_at, session.crashed_at


def _is_ready(session: Session) -> bool:
    return session.ready_at is not None and not session.over and session.node is not None


def _awaited(session: Session, found: Attribution, node: Node | None) -> _Awaited | None:
    """What would change the answer; None when the answer is final."""
    if found.claim is None:
        # No Sandbox of its own and no label: nobody's session. Else the Sandbox may come, or get its label.
        return _Awaited("sandbox", session.namespace, session.sandbox) if session.sandbox else None
    if found.verdict is Verdict.WORKLOAD_REPLACED:
        return None
    if found.workload is None or not found.workload.sticky:
        return _Awaited("workload", session.namespace, found.claim.name)
    return _Awaited("node", "", session.node or "") if node is None and _is_ready(session) else None


def _entry(session: Session, node: Node) -> Entry:
    return Entry(
        node=node.name, hostname=node.hostname, node_uid=node.uid, ready_at=session.ready_at, pod_uid=session.uid
    )
