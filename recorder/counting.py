"""Asks why sessions moved, and counts the finished ones: in a thread of its own, so that neither watching nor writing
waits for it."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final, Protocol

from lastnode.kube.errors import KubeError
from lastnode.objects import Node, Session, Workload
from lastnode.outcome import Expected, Outcome, SessionRecord
from recorder.case import Case, Finished
from recorder.why.inquiry import UNEXPLAINED, Explanation

# An inquiry is three requests: more than these wait only in a storm, and of those who came too late nothing is asked.
MOST_WAITING: Final = 2000
# Finished sessions are counted this often, all that there are: a thread that wakes for each of them would take turns
# with those that write.
_COUNT_SECONDS: Final = 0.2

log = logging.getLogger(__name__)


class Inquirer(Protocol):
    """Who finds out why a session runs elsewhere: :class:`recorder.why.inquiry.Inquiry`."""

    def explain(self, session: Session, wanted: Node) -> Explanation: ...

    def decided(self, session: Session, wanted: Node) -> Explanation: ...


class Reporter:
    """``keep`` is told every record, ``tell`` those that moved."""

    def __init__(
        self,
        inquirer: Inquirer,
        keep: Callable[[SessionRecord], None],
        tell: Callable[[Workload, SessionRecord], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inquirer = inquirer
        self._keep = keep
        self._tell = tell
        self._strayed: SimpleQueue[Case] = SimpleQueue()
        self._finished: deque[Finished] = deque()
        self._clock = clock
        self._moved_at = clock()
        self._stopping = Event()

    def inquire(self, case: Case) -> None:
        """Ask, now that it can still be seen, why a session was bound elsewhere."""
        if self._strayed.qsize() < MOST_WAITING:
            self._strayed.put(case)

    def count(self, finished: Finished) -> None:
        """Its outcome is certain: count it, keep it, and tell the workload's owner if it moved."""
        self._finished.append(finished)

    def run(self) -> None:
        """Until :meth:`stop`; what is finished by then is still counted, without asking anybody."""
        due = self._clock()
        while not self._stopping.is_set():
            self._moved_at = self._clock()
            with contextlib.suppress(Empty):
                case = self._strayed.get(timeout=_COUNT_SECONDS)
                self._explain(case, case.expected)
            if self._clock() >= due:
                self._count_all()
                due = self._clock() + _COUNT_SECONDS
        self._count_all()

    def stop(self) -> None:
        self._stopping.set()

    def moved_at(self) -> float:
        """Seconds of the clock: when it last took up something, or looked whether there is anything."""
        return self._moved_at

    def _count_all(self) -> None:
        while self._finished:
            finished = self._finished.popleft()
            if not self._stopping.is_set():
                self._explain(finished.case, finished.expected)
            self._count(finished)

    def _explain(self, case: Case, expected: Expected | None) -> None:
        wanted = expected.wanted if expected else None
        if case.explanation is None and wanted is not None and wanted.name != case.session.node:
            case.explanation = self._ask(case, wanted)

    def _ask(self, case: Case, wanted: Node) -> Explanation:
        self._moved_at = self._clock()
        try:
            # What stands in the way of a session that is Ready since long says nothing about the day it was placed.
            ask = self._inquirer.decided if case.late else self._inquirer.explain
            return ask(case.session, wanted)
        except (KubeError, ValueError) as error:
            log.debug("why %s moved is not known: %s", case.session.key, error)
            return UNEXPLAINED

    def _count(self, finished: Finished) -> None:
        record = finished.record()
        self._keep(record)
        moved = record.outcome is Outcome.MOVED
        level = logging.INFO if moved else logging.DEBUG
        if log.isEnabledFor(level):
            log.log(level, "session %s", record.outcome, extra=_fields(record))
        if moved and not self._stopping.is_set():
            self._tell(finished.workload, record)


def _fields(record: SessionRecord) -> dict[str, str]:
    fields = {
        "namespace": record.namespace, "workload": record.workload, "kind": record.kind,
        "pod": record.pod, "node": record.node, "outcome": str(record.outcome),
    }  # fmt: skip
    if record.reason:
        fields |= {"reason": str(record.reason), "lastNode": record.last_node}
    return fields
