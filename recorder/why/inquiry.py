"""Why a session moved although its last node was valid: asked from the API server and the extender, at once after the
pod was bound, while what kept it away can still be seen."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from cachetools import TTLCache

from lastnode.kube import wire
from lastnode.kube.api import Api
from lastnode.objects import Node, Session
from lastnode.preference import ALL_SCORED
from lastnode.reasons import INVALID, Reason, Result
from recorder.life import UNEXPLAINED, Explanation
from recorder.why.extenders import Answer, Extenders, Found
from recorder.why.fit import Seen, asks_for, obstacle, read

# In a wave many sessions miss the same node at the same time: what is on it is asked once a second.
_FRESH_SECONDS: Final = 1.0
_NODES_KEPT: Final = 256
# An answer that takes longer is not worth it: the next session's question waits behind it.
_SECONDS: Final = 5.0

TERM: Final = "term"
EXTENDER: Final = "extender"
NOBODY: Final = "nobody"

# Results of the extender (lastnode_prioritize_total) that say the reason by themselves: it saw the node at the moment
# that counts.
_SAYS: Final = frozenset({*INVALID, Reason.NOT_OFFERED})


class _Occupied(NamedTuple):
    node: Seen
    pods: list[Seen]


@dataclass(eq=False)
class Inquiry:
    """``extenders``: who may have been asked; ``nodes``: how many there are; ``count`` is told how each question to the
    extenders ended. Not to be shared between threads."""

    api: Api
    extenders: Extenders
    nodes: Callable[[], int]
    count: Callable[[Found], None] = lambda _: None
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._seen: TTLCache[str, _Occupied] = TTLCache(_NODES_KEPT, _FRESH_SECONDS, timer=self.clock)

    def explain(self, session: Session, wanted: Node) -> Explanation:
        """Why ``session`` does not run on the node that it should have come back to.

        :raises KubeError: the API server could not be asked, or not understood.
        :raises ValueError: a quantity of an object cannot be read.
        """
        pod = self._pod(session)
        if pod is None:
            return UNEXPLAINED
        asked = asks_for(pod, wanted.name, wanted.hostname)
        told = Explanation(_of_the_scheduler(self.nodes()), TERM) if asked else self.decided(session, wanted)
        if told.asked == EXTENDER and told.reason not in (Reason.NOT_OFFERED, Reason.UNAWARE):
            return told  # it was offered the node, or knows better: whatever stands in the way now came later
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

    def _pod(self, session: Session) -> Seen | None:
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
