"""One prioritize request from bytes to bytes: whatever is wrong, the scheduler gets a valid answer at once."""

import logging
import time
from collections.abc import Callable

from extender import metrics
from extender.decisions import DecisionLog
from extender.lookup import Lookup, Reason
from extender.metrics import PrioritizeMetrics
from extender.prioritize import NOBODY, BadRequest, Request, favour
from lastnode.memory import Entry
from lastnode.preference import carries

log = logging.getLogger(__name__)


class Service:
    """Safe to call from many threads. ``decisions``: what was decided about session pods."""

    def __init__(
        self,
        lookup: Lookup,
        counters: PrioritizeMetrics,
        decisions: DecisionLog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._lookup = lookup
        self._counters = counters
        self.decisions = decisions or DecisionLog()
        self._clock = clock

    def prioritize(self, body: bytes) -> bytes:
        """The HostPriorityList for a body of ExtenderArgs. Never raises."""
        started = self._clock()
        try:
            result, answer = self._answer(body)
        except BadRequest as error:
            log.debug("bad prioritize request: %s", error)
            result, answer = metrics.BAD_REQUEST, NOBODY
        except Exception:
            log.exception("a prioritize request failed; it was answered without a preference")
            result, answer = metrics.ERROR, NOBODY
        self._counters.request(result, self._clock() - started)
        return answer

    def refuse(self) -> bytes:
        """The answer to a body that was not read (too large, broken off)."""
        self._counters.request(metrics.BAD_REQUEST, 0.0)
        return NOBODY

    def _answer(self, body: bytes) -> tuple[str, bytes]:
        request = Request(body)
        if not request.pod.is_session:
            return metrics.NOT_OURS, NOBODY
        self._counters.offered(request.count())
        session = request.session()
        entry, reason = self._lookup.find(session)
        result, answer = self._decide(request, entry, reason)
        self.decisions.note(session.uid, result, entry.node if entry else "")
        return result, answer

    def _decide(self, request: Request, entry: Entry | None, reason: Reason | None) -> tuple[str, bytes]:
        if entry is None:
            return reason or Reason.NOTHING_REMEMBERED, NOBODY
        if carries(request.preferred_terms(), entry.node, entry.hostname):
            return metrics.ALREADY_INJECTED, NOBODY
        if not request.offers(entry.node):
            return metrics.NOT_OFFERED, NOBODY
        return metrics.PREFERRED, favour(entry.node)
