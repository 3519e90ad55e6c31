"""Which of the remembered nodes a workload would like now, each with a weight, or why there is none. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from lastnode.memory import Entry, Memory, is_ahead, is_its_node
from lastnode.objects import Node
from lastnode.reasons import Reason

# Of the last node: the largest that the API server takes, because the preference should be seen beside the user's own.
LAST_NODE_WEIGHT: Final = 100


class Preferred(NamedTuple):
    """A node that is preferred. ``hostname``: the kubernetes.io/hostname label that leads to it, empty where none is
    known to. ``uid``: of the node, empty where the memory does not know it. ``weight``: 1 to 100."""

    node: str
    hostname: str
    uid: str
    weight: int


class Preference(NamedTuple):
    """This pod would like these nodes: the strongest first, each node once. ``reason``: VALID where there is one, else
    why there is none."""

    nodes: tuple[Preferred, ...]
    reason: Reason

    @property
    def first(self) -> Preferred | None:
        """The one with the most weight."""
        return self.nodes[0] if self.nodes else None


def nothing(reason: Reason) -> Preference:
    """No preference, and why."""
    return Preference((), reason)


def rank(
    memory: Memory,
    *,
    now: datetime,
    ttl: float,
    nodes: Mapping[str, Node] | None,
    weight: int = LAST_NODE_WEIGHT,
) -> Preference:
    """What ``memory`` says now: the newest entry that is valid.

    ``ttl`` in seconds from readyAt, 0 for ever. ``nodes``: every node by name, without labels that several have
    (lastnode.nodes), or None where there are none to look at; then age alone decides. Where no entry is valid, the
    reason is the newest one's: that is the one the user expects.
    """
    reasons = []
    for entry in memory:
        reason = validity(entry, now=now, ttl=ttl, nodes=nodes)
        if reason is Reason.VALID:
            # Labels change: what was written down counts only where there is no node to look at.
            hostname = entry.hostname if nodes is None else nodes[entry.node].hostname
            return Preference((Preferred(entry.node, hostname, entry.node_uid, weight),), reason)
        reasons.append(reason)
    return nothing(reasons[0] if reasons else Reason.NOTHING_REMEMBERED)


def validity(entry: Entry, *, now: datetime, ttl: float, nodes: Mapping[str, Node] | None) -> Reason:
    """VALID where one entry can be preferred now, else why not. Exactly ``ttl`` seconds old is too old; one dated a
    little ahead of ``now`` is of now."""
    if is_ahead(entry, now):
        return Reason.AHEAD
    if ttl and entry.ready_at is not None and (now - entry.ready_at).total_seconds() >= ttl:
        return Reason.EXPIRED
    return Reason.VALID if nodes is None else _state(entry, nodes.get(entry.node))


def _state(entry: Entry, node: Node | None) -> Reason:
    if node is None:
        return Reason.NODE_GONE
    if not is_its_node(entry, node):
        return Reason.NODE_REPLACED
    if node.leaving:
        return Reason.NODE_LEAVING
    if not node.ready:
        return Reason.NODE_NOT_READY
    return Reason.NODE_CORDONED if node.unschedulable else Reason.VALID
