"""Asks why sessions moved, and counts the finished ones: in a thread of its own, so that neither watching nor writing
waits for it."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final

from lastnode.kube.errors import KubeError
from lastnode.kube.unforeseen import Unforeseen
from lastnode.objects import Session
from lastnode.outcome import NOTHING_EXPECTED, Outcome, SessionRecord, judge
from lastnode.reasons import Reason
from recorder.events import Events
from recorder.journal import SessionLog
from recorder.life import UNEXPLAINED, Life, believed
from recorder.metrics import SessionMetrics
from recorder.why.inquiry import Inquiry

# More than these wait only in a storm, and of those who came too late nothing is asked.
MOST_WAITING: Final = 2000
# Finished sessions are counted this often, all that there are: a thread that wakes for each of them would take turns
# with those that write.
_COUNT_SECONDS: Final = 0.2

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Counting:
    """``inquiry`` finds out why a session runs elsewhere; ``journal`` keeps the records; ``events`` tell the owner of a
    workload whose session moved. ``nominated``: from a pod's UID to the node that was to be tried first, if any."""

    inquiry: Inquiry
    metrics: SessionMetrics
    journal: SessionLog
    events: Events
    nominated: Callable[[str], str] = lambda _: ""
    unforeseen: Unforeseen = Unforeseen()  # noqa: RUF009 (it only logs)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._strayed: SimpleQueue[tuple[Life, Session]] = SimpleQueue()
        self._finished: deque[Life] = deque()
        self._moved_at = self.clock()
        self._stopping = Event()

    def inquire(self, life: Life) -> None:
        """Ask, now that it can still be seen, why a session was bound elsewhere."""
        if self._strayed.qsize() < MOST_WAITING:
            self._strayed.put((life, life.session))

    def count(self, life: Life) -> None:
        """Its outcome is certain: count it, keep it, and tell the workload's owner if it moved."""
        self._finished.append(life)

    def run(self) -> None:
        """Until :meth:`stop`; what is finished by then is still counted, without asking anybody."""
        due = self.clock()
        while not self._stopping.is_set():
            self._moved_at = self.clock()
            with contextlib.suppress(Empty):
                self._explain(*self._strayed.get(timeout=_COUNT_SECONDS))
            if self.clock() >= due:
                self._count_all()
                due = self.clock() + _COUNT_SECONDS
        self._count_all()

    def stop(self) -> None:
        self._stopping.set()

    def moved_at(self) -> float:
        """Seconds of the clock: when it last took up something, or looked whether there is anything."""
        return self._moved_at

    def _count_all(self) -> None:
        while self._finished:
            # Where more wait than can be asked about, nothing is asked: they would only become more.
            asks = len(self._finished) <= MOST_WAITING and not self._stopping.is_set()
            life = self._finished.popleft()
            try:
                if asks:
                    self._explain(life, life.session)
                self._count(life)
            except Exception as error:
                self.unforeseen("outcomes", error)

    def _explain(self, life: Life, session: Session) -> None:
        wanted = life.strayed_from
        if life.explanation is not None or wanted is None:
            return
        self._moved_at = self.clock()
        # What stands in the way of a session that is Ready since long says nothing about the day it was placed.
        ask = self.inquiry.decided if life.late else self.inquiry.explain
        try:
            life.explanation = ask(session, wanted)
        except (KubeError, ValueError) as error:
            log.debug("why %s moved is not known: %s", session.key, error)
            life.explanation = UNEXPLAINED
        except Exception as error:
            self.unforeseen("outcomes", error)
            life.explanation = UNEXPLAINED

    def _count(self, life: Life) -> None:
        record = record_of(life, self.nominated(life.session.uid))
        self.metrics.session(record)
        self.journal.add(record)
        moved = record.outcome is Outcome.MOVED
        level = logging.INFO if moved else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(level, "session %s", record.outcome, extra=_fields(record))
        if moved and not self._stopping.is_set() and life.found.workload is not None:
            self.events.tell(life.found.workload, record)


def record_of(life: Life, nominated: str = "") -> SessionRecord:
    """What is kept of a session whose workload and node are known."""
    session, workload, node, expected = life.session, life.found.workload, life.node, life.expected or NOTHING_EXPECTED
    assert workload is not None
    assert node is not None
    outcome, judged = judge(expected, node)
    return SessionRecord(
        namespace=session.namespace,
        pod=session.name,
        pod_uid=session.uid,
        workload=workload.name,
        kind=workload.kind,
        node=node.name,
        outcome=outcome,
        reason=_reason(life, judged) if outcome is Outcome.MOVED else None,
        last_node=expected.last_node,
        asked=life.explanation.asked if life.explanation else "",
        nominated=nominated,
        created_at=session.created_at,
        scheduled_at=session.scheduled_at,
        ready_at=session.first_ready_at,
        seen_seconds=believed(life.seen, session),
    )


def _reason(life: Life, judged: Reason | None) -> Reason:
    if judged is None:
        return life.explanation.reason if life.explanation else Reason.UNKNOWN
    # How a node is now says nothing about the day when the session was placed; its age then can be computed.
    return Reason.UNKNOWN if life.late and judged is not Reason.EXPIRED else judged


def _fields(record: SessionRecord) -> dict[str, str]:
    fields = {
        "namespace": record.namespace, "workload": record.workload, "kind": record.kind,
        "pod": record.pod, "node": record.node, "outcome": str(record.outcome),
    }  # fmt: skip
    if record.reason:
        fields |= {"reason": str(record.reason), "lastNode": record.last_node}
    return fields
