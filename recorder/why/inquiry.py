"""Why a session moved although its last node was valid: what its pod, as the watch brought it, and the extender say;
and what the API server says of the node, asked at once after the pod was bound, while what kept it away can still be
seen, and not too often, whatever moves."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from cachetools import TTLCache

from lastnode.kube import wire
from lastnode.kube.api import Api
from lastnode.objects import Node, Session
from lastnode.preference import ALL_SCORED
from lastnode.reasons import INVALID, Meant, Reason, Result
from recorder.budget import Budget
from recorder.life import UNEXPLAINED, Explanation
from recorder.why.extenders import Answer, Extenders, Found
from recorder.why.fit import Seen, asks_for, obstacle, read

# In a wave many sessions miss the same node at the same time: what is on it is asked once a second.
_FRESH_SECONDS: Final = 1.0
# Looks at a node, each of which is two requests: so many at once, and so many a second. A list of one node's pods takes
# the API server a few milliseconds: all looks together at most a twentieth of a core.
BURST: Final = 20
PER_SECOND: Final = 5.0
_NODES_KEPT: Final = 256
# An answer that takes longer is not worth it: the next session's question waits behind it.
_SECONDS: Final = 5.0

TERM: Final = "term"
EXTENDER: Final = "extender"
NOBODY: Final = "nobody"

# Results of the extender (lastnode_prioritize_total) that say the reason by themselves: it saw the node at the moment
# that counts.
_SAYS: Final = frozenset({*INVALID, Reason.NOT_OFFERED})


class Look(Meant):
    """Where it came from what is known of a node that a session missed."""

    ASKED = "asked", "the API server was asked"
    KNOWN = "known", "it was asked less than a second before"
    SPENT = "spent", "not asked: there were too many questions, and the reason is unknown"


class _Occupied(NamedTuple):
    node: Seen
    pods: list[Seen]


@dataclass(eq=False)
class Inquiry:
    """``extenders``: who may have been asked; ``nodes``: how many there are; ``count`` is told how each question to the
    extenders ended, ``looked`` where each look at a node came from. Not to be shared between threads."""

    api: Api
    extenders: Extenders
    nodes: Callable[[], int]
    count: Callable[[Found], None] = lambda _: None
    looked: Callable[[Look], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._seen: TTLCache[str, _Occupied] = TTLCache(_NODES_KEPT, _FRESH_SECONDS, timer=self.clock)
        self._budget = Budget(BURST, PER_SECOND, self.clock)

    def explain(self, session: Session, wanted: Node) -> Explanation:
        """Why ``session`` does not run on the node that it should have come back to.

        :raises KubeError: the API server could not be asked, or not understood.
        :raises ValueError: a quantity of an object cannot be read.
        """
        pod = read(session.whole) if session.whole else self._pod(session)
        if pod is None:
            return UNEXPLAINED
        asked = asks_for(pod, wanted.name, wanted.hostname)
        told = Explanation(_of_the_scheduler(self.nodes()), TERM) if asked else self.decided(session, wanted)
        if told.asked == EXTENDER and told.reason not in (Reason.NOT_OFFERED, Reason.UNAWARE):
            return told  # it was offered the node, or knows better: whatever stands in the way now came later
        if told.asked == NOBODY:
            return told  # nobody wanted it there, whether it had room or not
        if not self._may_look(wanted.name):
            return Explanation(Reason.UNKNOWN, told.asked)
        seen = self._node(wanted.name)
        if seen is None:
            return Explanation(Reason.NODE_GONE, told.asked)
        return Explanation(obstacle(pod, seen.node, seen.pods) or told.reason, told.asked)

    def decided(self, session: Session, wanted: Node) -> Explanation:
        """What the extender alone says: enough for a session that was bound so long ago that nodes have changed."""
        if session.created_at is None:
            return UNEXPLAINED
        answer = self.extenders.decided(session.uid, session.namespace, session.created_at)
        self.count(answer.found)
        return conclude(answer, wanted.name, self.nodes())

    def _may_look(self, name: str) -> bool:
        look = Look.KNOWN if name in self._seen else Look.ASKED if self._budget.take() else Look.SPENT
        self.looked(look)
        return look is not Look.SPENT

    def _pod(self, session: Session) -> Seen | None:
        """Of a session that was known to be one only later than it was bound."""
        if not self._may_look(""):
            return None
        pods = self._list(f"/api/v1/namespaces/{session.namespace}/pods", f"metadata.name={session.name}")
        return next((pod for pod in pods if pod.metadata.uid == session.uid), None)

    def _node(self, name: str) -> _Occupied | None:
        if (seen := self._seen.get(name)) is not None:
            return seen
        nodes = self._list("/api/v1/nodes", f"metadata.name={name}")
        if not nodes:
            return None
        held = f"spec.nodeName={name},status.phase!=Succeeded,status.phase!=Failed"
        seen = self._seen[name] = _Occupied(nodes[0], self._list("/api/v1/pods", held))
        return seen

    def _list(self, path: str, fields: str) -> list[Seen]:
        # By field, not by name: the recorder has the right to list in any case, and needs no right to get.
        answer = self.api.request("GET", path, query={"fieldSelector": fields}, seconds=_SECONDS)
        return [read(item) for item in wire.page(answer).items or ()]


def conclude(answer: Answer, wanted: str, nodes: int) -> Explanation:
    """What an extender's decision about a pod without a term for the node ``wanted`` says, in a cluster of so many."""
    if answer.found is Found.NOTHING:
        return Explanation(Reason.NOT_ASKED, NOBODY)
    decision = answer.decision
    if decision is None:
        return UNEXPLAINED
    if decision.result in _SAYS:
        return Explanation(Reason(decision.result), EXTENDER)
    reason = Reason.UNAWARE
    if decision.node == wanted and decision.result == Result.PREFERRED:
        reason = Reason.OUTSCORED
    # The pod carried the term for the node that the extender had in mind when it asked.
    if decision.node == wanted and decision.result == Result.ALREADY_INJECTED:
        reason = _of_the_scheduler(nodes)
    return Explanation(reason, EXTENDER)


def _of_the_scheduler(nodes: int) -> Reason:
    return Reason.OUTSCORED if nodes <= ALL_SCORED else Reason.NOT_CHOSEN
