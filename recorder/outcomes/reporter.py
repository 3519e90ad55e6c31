"""Asks why sessions moved, and counts the finished ones: in a thread of its own, so that neither watching nor writing
waits for it."""

import logging
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event
from typing import Final, Protocol

from recorder.errors import LastnodeError
from recorder.memory import Entry
from recorder.objects import Session, Workload
from recorder.outcomes.case import Case, Finished
from recorder.outcomes.inquiry import UNEXPLAINED, Explanation
from recorder.outcomes.outcome import Expected, Outcome
from recorder.outcomes.record import SessionRecord

# An inquiry is three requests: more than these wait only in a storm, and of those who came too late nothing is asked.
MOST_WAITING: Final = 2000
_POLL_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


class Inquirer(Protocol):
    """Who finds out why a session runs elsewhere: :class:`recorder.outcomes.inquiry.Inquiry`."""

    def explain(self, session: Session, entry: Entry) -> Explanation: ...

    def decided(self, session: Session, entry: Entry) -> Explanation: ...


class Reporter:
    """``keep`` is told every record, ``tell`` those that moved. One thing after the other, in the order of coming."""

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
        self._tasks: SimpleQueue[Case | Finished] = SimpleQueue()
        self._clock = clock
        self._moved_at = clock()
        self._stopping = Event()

    def inquire(self, case: Case) -> None:
        """Ask, now that it can still be seen, why a session was bound elsewhere."""
        if self._tasks.qsize() < MOST_WAITING:
            self._tasks.put(case)

    def count(self, finished: Finished) -> None:
        """Its outcome is certain: count it, keep it, and tell the workload's owner if it moved."""
        self._tasks.put(finished)

    def run(self) -> None:
        """Until :meth:`stop`; what is finished by then is still counted, without asking anybody."""
        while not self._stopping.is_set():
            self._moved_at = self._clock()
            try:
                self._do(self._tasks.get(timeout=_POLL_SECONDS))
            except Empty:
                continue
        while not self._tasks.empty():
            if isinstance(task := self._tasks.get(), Finished):
                self._count(task)

    def stop(self) -> None:
        self._stopping.set()

    def moved_at(self) -> float:
        """Seconds of the clock: when it last took up something, or looked whether there is anything."""
        return self._moved_at

    def _do(self, task: Case | Finished) -> None:
        if isinstance(task, Case):
            self._explain(task, task.expected)
        else:
            self._explain(task.case, task.expected)
            self._count(task)

    def _explain(self, case: Case, expected: Expected | None) -> None:
        entry = expected.entry if expected else None
        if case.explanation is None and entry is not None and entry.node != case.session.node:
            case.explanation = self._ask(case, entry)

    def _ask(self, case: Case, entry: Entry) -> Explanation:
        try:
            # What stands in the way of a session that is Ready since long says nothing about the day it was placed.
            ask = self._inquirer.decided if case.late else self._inquirer.explain
            return ask(case.session, entry)
        except (LastnodeError, ValueError) as error:
            log.debug("why %s moved is not known: %s", case.session.key, error)
            return UNEXPLAINED

    def _count(self, finished: Finished) -> None:
        record = finished.record()
        self._keep(record)
        log.info("session %s", record.outcome, extra=_fields(record))
        if record.outcome is Outcome.MOVED and not self._stopping.is_set():
            self._tell(finished.workload, record)


def _fields(record: SessionRecord) -> dict[str, str]:
    fields = {
        "namespace": record.namespace, "workload": record.workload, "kind": record.kind,
        "pod": record.pod, "node": record.node, "outcome": str(record.outcome),
    }  # fmt: skip
    if record.reason:
        fields |= {"reason": str(record.reason), "lastNode": record.last_node}
    return fields
