"""Whether a session came back, by where it really ran, and the record that is kept of it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from lastnode.memory import Memory
from lastnode.objects import Node
from lastnode.ranking import rank
from lastnode.reasons import Meant, Reason


class Outcome(Meant):
    """What became of a session."""

    FIRST = "first", "nothing was remembered"
    REUSED = "reused", "it ran on the last node"
    MOVED = "moved", "there was a last node, and it ran elsewhere"


class Expected(NamedTuple):
    """What was remembered when a session was placed, in few words: thousands may be on their way at a time.

    ``wanted``: the node to come back to, None where no entry was valid. ``last_node`` and ``last_uid``: that node, else
    the newest entry's, which could not be it for ``reason``; empty where nothing was remembered. An entry that is VALID
    without a ``wanted`` node is so by its age: the nodes were not known.
    """

    wanted: Node | None
    last_node: str
    last_uid: str
    reason: Reason


NOTHING_EXPECTED: Final = Expected(None, "", "", Reason.NOTHING_REMEMBERED)


def expect(memory: Memory, *, now: datetime, ttl: float, nodes: Mapping[str, Node] | None) -> Expected:
    """What ``memory`` says at the moment of placement. ``ttl`` in seconds, 0 for ever; ``nodes``: every node by name,
    None while they are not all known."""
    preference = rank(memory, now=now, ttl=ttl, nodes=nodes)
    first = preference.first
    node = nodes.get(first.node) if first and nodes is not None else None
    if node is not None:
        return Expected(node, node.name, node.uid, preference.reason)
    if first is not None:
        return Expected(None, first.node, first.uid, preference.reason)
    return Expected(None, memory[0].node, memory[0].node_uid, preference.reason) if memory else NOTHING_EXPECTED


def judge(expected: Expected, node: Node) -> tuple[Outcome, Reason | None]:
    """The outcome of a session that ran on ``node``. MOVED without a reason: the memory was valid, so that only the
    scheduler, the node and the pod can explain it."""
    if not expected.last_node:
        return Outcome.FIRST, None
    if expected.last_node == node.name and expected.last_uid in ("", node.uid):
        return Outcome.REUSED, None
    return Outcome.MOVED, None if expected.reason is Reason.VALID else expected.reason
