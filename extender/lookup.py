"""From a pod to the node that it should come back to: from the watched view, never by asking the API server."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from extender.waiting import Allowance, Ending, Patience
from lastnode.attribution import Attribution, Verdict, attribute
from lastnode.kube.records import ObjectKey
from lastnode.memory import Choice, Entry, Validity, choose
from lastnode.objects import Session
from lastnode.view import MemoryCache, View

# How long a prioritize request may always wait for a Sandbox that the watch has not brought yet. It is spent inside
# kube-scheduler's serial loop; events are normally a few milliseconds away.
SANDBOX_SECONDS = 0.03
# On a starved machine they are further: then a session waits so much longer, since coming back saves it seconds. Both
# together stay below the half of httpTimeout (300 ms) from which on an answer is called slow.
LATE_SECONDS = 0.09
# Sandboxes of no workload are not watched, so their pods always wait in vain: of the scheduler's time these longer
# waits may take no more than this share, and no more than five of them in a row.
IN_VAIN_SHARE = 0.05
IN_VAIN_SECONDS = 5 * LATE_SECONDS
# kube-scheduler asks about one pod at a time: this is one for each of a few schedulers.
WAITING_AT_ONCE = 4


class Reason(StrEnum):
    """Why there is no node to prefer. A closed set: metrics use it as label values."""

    NOT_SYNCED = "not_synced"
    UNATTRIBUTED = "unattributed"
    AMBIGUOUS = "ambiguous"
    NOT_STICKY = "not_sticky"
    NOTHING_REMEMBERED = "nothing_remembered"
    EXPIRED = "expired"
    NODE_GONE = "node_gone"
    NODE_REPLACED = "node_replaced"
    NODE_NOT_READY = "node_not_ready"
    NODE_CORDONED = "node_cordoned"


def brief(
    observe: Callable[[Ending, float], None] = lambda _ending, _seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> Patience:
    """The patience that kube-scheduler's serial loop can bear; ``observe`` as :class:`Patience` has it."""
    longer = Allowance(LATE_SECONDS, IN_VAIN_SHARE, IN_VAIN_SECONDS, clock)
    return Patience(SANDBOX_SECONDS, WAITING_AT_ONCE, observe, clock, longer)


class Found(NamedTuple):
    """The entry to prefer, or None and the reason."""

    entry: Entry | None
    reason: Reason | None


class Lookup:
    """Answers from ``view``. ``synced``: whether the view is complete; ``ttl`` in seconds; ``clock``: wall time.

    ``patience``: how to wait for a Sandbox; by default as kube-scheduler's serial loop can bear.
    """

    def __init__(
        self,
        view: View,
        cache: MemoryCache,
        ttl: float,
        synced: Callable[[], bool],
        clock: Callable[[], float] = time.time,
        patience: Patience | None = None,
    ) -> None:
        self._view = view
        self._cache = cache
        self._ttl = ttl
        self._synced = synced
        self._clock = clock
        self._patience = patience or brief()

    def find(self, session: Session) -> Found:
        """Where ``session``'s workload would like it to run."""
        if not self._synced():
            return Found(None, Reason.NOT_SYNCED)
        found = self._attribute(session)
        if found.workload is None:
            ambiguous = found.verdict is Verdict.AMBIGUOUS
            return Found(None, Reason.AMBIGUOUS if ambiguous else Reason.UNATTRIBUTED)
        if not found.workload.sticky:
            return Found(None, Reason.NOT_STICKY)
        now = datetime.fromtimestamp(self._clock(), UTC)
        memory = self._cache.recall(found.workload)
        return _found(choose(memory, now=now, ttl=self._ttl, nodes=self._view.nodes_by_name))

    def _attribute(self, session: Session) -> Attribution:
        found = attribute(session, self._view.sandboxes, self._view.workloads.values())
        if found.verdict is not Verdict.SANDBOX_UNKNOWN or not session.sandbox:
            return found
        # The pod is made moments after its Sandbox, so its request may overtake the Sandbox's watch event.
        key = ObjectKey(session.namespace, session.sandbox)
        self._patience.wait(self._view.sandboxes, key, session.sandbox_uid or "")
        return attribute(session, self._view.sandboxes, self._view.workloads.values())


def _found(choice: Choice) -> Found:
    if choice.entry is not None or choice.reason is Validity.VALID:
        return Found(choice.entry, None)
    return Found(None, Reason(choice.reason))
