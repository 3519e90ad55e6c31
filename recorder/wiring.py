"""Everything about outcomes put together, with nothing running yet."""

import socket
from collections.abc import Callable, Mapping
from typing import Protocol

from lastnode.kube.api import Api
from lastnode.memory import Memory
from lastnode.objects import Workload
from lastnode.outcome import SessionRecord
from lastnode.view import View
from recorder.counting import Reporter
from recorder.events import Events, Told
from recorder.journal import SessionLog
from recorder.ledger import Ledger
from recorder.why.extenders import Extenders, Found
from recorder.why.inquiry import Inquiry


class Tally(Protocol):
    """Who counts: :class:`recorder.metrics.SessionMetrics`."""

    def kind(self, kind: str) -> None: ...

    def session(self, record: SessionRecord) -> None: ...

    def event(self, told: Told) -> None: ...

    def inquiry(self, found: Found) -> None: ...


class Outcomes:
    """``ledger`` follows the sessions, ``reporter`` runs in a thread. ``log_size``: sessions that the journal keeps;
    ``known``: whether every resource was listed once."""

    def __init__(
        self,
        api: Api,
        view: View,
        recall: Callable[[Workload], Memory],
        tally: Tally,
        *,
        ttl: float,
        extenders: Extenders,
        log_size: int,
        known: Callable[[], bool],
    ) -> None:
        replica = socket.gethostname()
        self._log = SessionLog(log_size, replica)
        self._tally = tally
        inquiry = Inquiry(api, extenders, lambda: len(view.nodes), tally.inquiry)
        events = Events(api, tally.event, instance=replica)
        self.reporter = Reporter(inquiry, self._keep, events.tell)
        self.ledger = Ledger(view, recall, ttl, self.reporter, known)
        for workloads in view.workloads.values():
            workloads.subscribe(self._on_workload)

    def journal(self, leading: bool, query: Mapping[str, list[str]]) -> bytes:
        """The answer of ``/sessions``; ``query`` may hold a ``pod_uid``."""
        return self._log.journal(leading, next(iter(query.get("pod_uid", ())), ""))

    def _on_workload(self, before: Workload | None, after: Workload | None) -> None:
        if before is None and after is not None:
            self._tally.kind(after.kind)

    def _keep(self, record: SessionRecord) -> None:
        self._tally.session(record)
        self._log.add(record)
