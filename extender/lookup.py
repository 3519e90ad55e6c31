"""From a pod to the nodes that it should come back to: from the watched view, never by asking the API server."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from extender.waiting import Allowance, Ending, Patience
from lastnode.attribution import Attribution, Verdict
from lastnode.kube.store import ObjectKey
from lastnode.objects import Session
from lastnode.ranking import WEIGHTS, Preference, Weights, nothing, rank
from lastnode.reading import Pod, session_of
from lastnode.reasons import Reason
from lastnode.view import MemoryCache, View

# How long a prioritize request may always wait for a controller that the watch has not brought yet. It is spent inside
# kube-scheduler's serial loop; events are normally a few milliseconds away.
CONTROLLER_SECONDS = 0.03
# On a starved machine they are further: then a session waits so much longer, since coming back saves it seconds. Both
# together stay below the half of httpTimeout (300 ms) from which on an answer is called slow.
LATE_SECONDS = 0.09
# A controller of another kind never comes: of the scheduler's time these longer waits may take no more than this share
# where they are in vain, and no more than five of them in a row.
IN_VAIN_SHARE = 0.05
IN_VAIN_SECONDS = 5 * LATE_SECONDS
# kube-scheduler asks about one pod at a time: this is one for each of a few schedulers.
WAITING_AT_ONCE = 4


def brief(
    observe: Callable[[Ending, float], None] = lambda _ending, _seconds: None,
    clock: Callable[[], float] = time.monotonic,
) -> Patience:
    """The patience that kube-scheduler's serial loop can bear; ``observe`` as :class:`Patience` has it."""
    longer = Allowance(LATE_SECONDS, IN_VAIN_SHARE, IN_VAIN_SECONDS, clock)
    return Patience(CONTROLLER_SECONDS, WAITING_AT_ONCE, observe, clock, longer)


@dataclass(eq=False)
class Lookup:
    """Answers from ``view``. ``synced``: whether the view is complete; ``ttl`` in seconds; ``clock``: wall time.

    ``patience``: how to wait for a controller; by default as kube-scheduler's serial loop can bear. ``weights``: unless
    a workload says its own.
    """

    view: View
    cache: MemoryCache
    ttl: float
    synced: Callable[[], bool]
    clock: Callable[[], float] = time.time
    patience: Patience = field(default_factory=brief)
    weights: Weights = WEIGHTS

    def find(self, session: Session) -> Preference:
        """The nodes that ``session``'s workload would like it to run on, or why there are none."""
        if not self.synced():
            return nothing(Reason.NOT_SYNCED)
        found = self._attribute(session)
        if found.workload is None:
            return nothing(Reason.AMBIGUOUS if found.verdict is Verdict.AMBIGUOUS else Reason.UNATTRIBUTED)
        if not found.workload.sticky:
            return nothing(Reason.NOT_STICKY)
        now = datetime.fromtimestamp(self.clock(), UTC)
        return rank(
            self.cache.recall(found.workload), now=now, ttl=self.ttl, nodes=self.view.nodes_by_name,
            relatives=self.view.groups.newest(found.workload),
            weights=self.weights.of_a_workload(found.workload.older_weight),
        )  # fmt: skip

    def remembered(self, session: Session) -> int:
        """A hash of what its workload remembers, to be compared with that of another time."""
        workload = self.view.attribute(session).workload
        return hash(workload and (workload.uid, workload.last_node, workload.packed_nodes))

    def session(self, pod: Pod) -> Session | None:
        """The pod as a session; None where it is none.

        :raises Undecodable: one of its fields cannot be read.
        """
        return session_of(pod, self.view.ways)

    def _attribute(self, session: Session) -> Attribution:
        found = self.view.attribute(session)
        if found.verdict is not Verdict.CONTROLLER_UNKNOWN:
            return found
        # The pod is made moments after its controller, so its request may overtake the controller's watch event.
        awaited = found.awaits[0]
        uid = session.controller_uid if awaited.name == session.controller else ""
        self.patience.wait(self.view.store(awaited.resource), ObjectKey(awaited.namespace, awaited.name), uid or "")
        return self.view.attribute(session)
