"""One mutate request from bytes to bytes: whatever is wrong, the pod is allowed as it is."""

import logging
import time
from collections.abc import Callable

from extender import metrics
from extender.admission import BadReview, Review, allow, prefer, schedule_by
from extender.lookup import Lookup, Reason
from extender.metrics import InjectionMetrics

# How long a mutate request may wait for a Sandbox that the watch has not brought yet. Only the creation of this one
# pod waits, so it may be far longer than kube-scheduler can bear; it must stay below timeoutSeconds (1 s or more)
# with room for a busy machine.
SANDBOX_SECONDS = 0.3
# Of the server's forty threads; the others go on answering. With 4 of 8, 274 of 2,000 pods whose Sandbox was made a
# moment before by one of 32 clients found no place to wait and came without; with 32 none (docs/webhook.md).
WAITING_AT_ONCE = 32

log = logging.getLogger(__name__)


class Webhook:
    """Holds no state of its own; safe to call from many threads.

    ``scheduler``: the schedulerName that pods get which have something to come back to; empty: they keep theirs.
    """

    def __init__(
        self,
        lookup: Lookup,
        counters: InjectionMetrics,
        scheduler: str = "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._lookup = lookup
        self._counters = counters
        self._scheduler = scheduler
        self._clock = clock

    def mutate(self, body: bytes) -> bytes:
        """The AdmissionReview that answers ``body``, always with "allowed". Never raises."""
        started, uid = self._clock(), ""
        try:
            review = Review(body)
            uid = review.uid
            result, answer = self._answer(review)
            if review.dry_run:  # nothing comes of it, so it does not count as what it would have been
                result = metrics.DRY_RUN
        except BadReview as error:
            log.debug("bad mutate request: %s", error)
            result, answer = metrics.BAD_REQUEST, allow(error.uid)
        except Exception:
            log.exception("a mutate request failed; the pod was allowed as it was")
            result, answer = metrics.ERROR, allow(uid)
        self._counters.request(result, self._clock() - started)
        return answer

    def refuse(self) -> bytes:
        """The answer to a body that was not read (too large, broken off)."""
        self._counters.request(metrics.BAD_REQUEST, 0.0)
        return allow("")

    def _answer(self, review: Review) -> tuple[str, bytes]:
        pod = review.created_pod()
        if pod is None or not pod.is_session:
            return metrics.NOT_OURS, allow(review.uid)
        if pod.spec and pod.spec.node_name:
            return metrics.BOUND, allow(review.uid)
        entry, reason = self._lookup.find(review.session(pod))
        if entry is None:
            return reason or Reason.NOTHING_REMEMBERED, allow(review.uid)
        before = review.spec()
        try:
            preferring = prefer(before, entry)
        except TypeError as error:
            raise BadReview(str(error), review.uid) from error
        result = metrics.ALREADY_INJECTED if preferring is before else metrics.INJECTED
        return result, allow(review.uid, before, schedule_by(preferring, self._scheduler))
