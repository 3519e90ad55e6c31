"""One session while its outcome is open: what was expected when it was placed, and what was found out since."""

from datetime import datetime, timedelta
from typing import NamedTuple

from lastnode.objects import Node, Session, Workload
from lastnode.outcome import Expected, Outcome, Reason, SessionRecord, judge
from recorder.why.inquiry import Explanation


class Case:
    """``late``: first seen when it was Ready already, or while the recorder was starting, so that nodes may have
    changed since it was placed. ``expected``: None while its workload is not known. ``explanation``: why it moved, once
    somebody has asked."""

    __slots__ = ("expected", "explanation", "late", "session")

    def __init__(self, session: Session, *, late: bool, expected: Expected | None) -> None:
        self.session = session
        self.late = late
        self.expected = expected
        self.explanation: Explanation | None = None

    @property
    def strayed(self) -> bool:
        """Whether it is bound elsewhere although there was a node to come back to."""
        wanted = self.expected.wanted if self.expected else None
        return wanted is not None and wanted.name != self.session.node


class Finished(NamedTuple):
    """A case whose session is Ready on ``node``: its outcome is certain."""

    case: Case
    session: Session
    workload: Workload
    node: Node
    expected: Expected

    def record(self) -> SessionRecord:
        """What is kept of it."""
        outcome, judged = judge(self.expected, self.node)
        explanation, session = self.case.explanation, self.session
        return SessionRecord(
            namespace=session.namespace,
            pod=session.name,
            pod_uid=session.uid,
            workload=self.workload.name,
            kind=self.workload.kind,
            node=self.node.name,
            outcome=outcome,
            reason=self._reason(judged) if outcome is Outcome.MOVED else None,
            last_node=self.expected.last_node,
            asked=explanation.asked if explanation else "",
            created_at=session.created_at,
            scheduled_at=_after(session.created_at, session.scheduled_after),
            ready_at=session.ready_at,
        )

    def _reason(self, judged: Reason | None) -> Reason:
        if judged is None:
            return self.case.explanation.reason if self.case.explanation else Reason.UNKNOWN
        # How a node is now says nothing about the day when the session was placed; its age then can be computed.
        return Reason.UNKNOWN if self.case.late and judged is not Reason.EXPIRED else judged


def _after(start: datetime | None, seconds: int | None) -> datetime | None:
    return None if start is None or seconds is None else start + timedelta(seconds=seconds)
