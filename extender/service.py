"""One prioritize request from bytes to bytes: whatever is wrong, the scheduler gets a valid answer at once."""

import logging
import time
from collections.abc import Callable

from extender import metrics
from extender.lookup import Lookup, Reason
from extender.metrics import PrioritizeMetrics
from extender.preference import carries
from extender.prioritize import NOBODY, BadRequest, Request, favour

log = logging.getLogger(__name__)


class Service:
    """Holds no state of its own; safe to call from many threads."""

    def __init__(
        self, lookup: Lookup, counters: PrioritizeMetrics, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._lookup = lookup
        self._counters = counters
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
        entry, reason = self._lookup.find(request.session())
        if entry is None:
            return reason or Reason.NOTHING_REMEMBERED, NOBODY
        if carries(request.preferred_terms(), entry.node, entry.hostname):
            return metrics.ALREADY_INJECTED, NOBODY
        if not request.offers(entry.node):
            return metrics.NOT_OFFERED, NOBODY
        return metrics.PREFERRED, favour(entry.node)
