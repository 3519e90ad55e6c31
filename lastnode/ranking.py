"""Which of the nodes that are remembered a workload would like now, each with a weight, or why there is none. Pure."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple

from lastnode.contract import DEFAULT_GROUP_WEIGHT, DEFAULT_OLDER_WEIGHT, GROUP_NODES, MOST_WEIGHT
from lastnode.memory import Entry, Memory, is_ahead, is_its_node
from lastnode.objects import Node
from lastnode.reasons import Reason

# Of the last node: the largest that the API server takes, because the preference should be seen beside the user's own.
LAST_NODE_WEIGHT: Final = MOST_WEIGHT
# Looked up once: an enum's class takes its time for it, and up to 64 entries are ranked for an answer.
_VALID: Final = Reason.VALID
_WEIGHT: Final = attrgetter("weight")


class Standing(StrEnum):
    """What a node is to a workload: its last node, an older one of its own memory, or one of its cache group's."""

    LAST = "last"
    OLDER = "older"
    GROUP = "group"


class Weights(NamedTuple):
    """From 0, not at all, to 100, by standing. No node weighs more than the last one, whatever is set."""

    last: int = LAST_NODE_WEIGHT
    older: int = DEFAULT_OLDER_WEIGHT
    group: int = DEFAULT_GROUP_WEIGHT

    def of_a_workload(self, older: int | None) -> "Weights":
        """These, but for what it says itself of its older nodes, if anything."""
        return self if older is None else self._replace(older=older)

    def of(self, standing: Standing) -> int:
        """The weight that a node of this standing gets."""
        weight: int = getattr(self, standing)
        return min(self.last, weight)


WEIGHTS: Final = Weights()


class Preferred(NamedTuple):
    """A node that is preferred. ``hostname``: the kubernetes.io/hostname label that leads to it, empty where none is
    known to. ``uid``: of the node, empty where the memory does not know it. ``weight``: 1 to 100."""

    node: str
    hostname: str
    uid: str
    weight: int
    standing: Standing = Standing.LAST


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
    relatives: Iterable[Entry] = (),
    weights: Weights = WEIGHTS,
) -> Preference:
    """What ``memory`` says now: its newest valid entry, the last node; its other valid ones, the older nodes; and those
    of ``relatives``, what its cache group remembers, newest first. Each node once, with its strongest weight.

    ``ttl`` in seconds from readyAt, 0 for ever. ``nodes``: every node by name, without labels that several have
    (lastnode.nodes), or None where there are none to look at; then age alone decides. Where nothing is preferred, the
    reason is the newest entry's: that is the one the user expects. At most ``MOST_RECENT_NODES`` own nodes come in,
    and ``GROUP_NODES`` of the group.
    """
    reasons = [validity(entry, now=now, ttl=ttl, nodes=nodes) for entry in memory]
    own = [entry for entry, reason in zip(memory, reasons, strict=True) if reason is _VALID]
    group = [entry for entry in relatives if validity(entry, now=now, ttl=ttl, nodes=nodes) is _VALID][:GROUP_NODES]
    ranked: dict[str, Preferred] = {}
    for standing, entries in ((Standing.LAST, own[:1]), (Standing.OLDER, own[1:]), (Standing.GROUP, group)):
        weight = weights.of(standing)
        for entry in entries:
            known = ranked.get(entry.node)
            if known is None:
                ranked[entry.node] = _preferred(entry, nodes, weight, standing)
            elif weight > known.weight > 0:  # an own node that is not wanted does not come in as its group's
                ranked[entry.node] = known._replace(weight=weight)
    preferred = sorted([one for one in ranked.values() if one.weight], key=_WEIGHT, reverse=True)
    if preferred:
        return Preference(tuple(preferred), _VALID)
    return nothing(reasons[0] if reasons else Reason.NOTHING_REMEMBERED)


def validity(entry: Entry, *, now: datetime, ttl: float, nodes: Mapping[str, Node] | None) -> Reason:
    """VALID where one entry can be preferred now, else why not. Exactly ``ttl`` seconds old is too old; one dated a
    little ahead of ``now`` is of now."""
    if is_ahead(entry, now):
        return Reason.AHEAD
    if ttl and entry.ready_at is not None and (now - entry.ready_at).total_seconds() >= ttl:
        return Reason.EXPIRED
    return _VALID if nodes is None else _state(entry, nodes.get(entry.node))


def _preferred(entry: Entry, nodes: Mapping[str, Node] | None, weight: int, standing: Standing) -> Preferred:
    # Labels change: what was written down counts only where there is no node to look at.
    live = None if nodes is None else nodes.get(entry.node)
    if live is None:
        return Preferred(entry.node, entry.hostname, entry.node_uid, weight, standing)
    return Preferred(live.name, live.hostname, live.uid, weight, standing)


def _state(entry: Entry, node: Node | None) -> Reason:
    if node is None:
        return Reason.NODE_GONE
    if not is_its_node(entry, node):
        return Reason.NODE_REPLACED
    if node.leaving:
        return Reason.NODE_LEAVING
    if not node.ready:
        return Reason.NODE_NOT_READY
    return Reason.NODE_CORDONED if node.unschedulable else _VALID
