"""A node for each of as many sessions as possible, of those where each would like to run. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence


def assign(wanted: Sequence[Sequence[str]], room: Mapping[str, int]) -> list[str]:
    """A node for each session, "" for none: as many as can get one of theirs do, and first whoever can its first one.

    ``wanted``: of each session, the best first. ``room``: how many sessions at a time a node takes, 0 for others.
    Augmenting paths, the shortest first: whoever has a node keeps one, and moves only to let one more in.
    """
    chosen = [""] * len(wanted)
    on: dict[str, list[int]] = {node: [] for node in room}
    for only in ([nodes[:1] for nodes in wanted], wanted):
        for session, node in enumerate(chosen):
            if not node:
                _let_in(session, only, room, chosen, on)
    return chosen


def _let_in(
    session: int,
    wanted: Sequence[Sequence[str]],
    room: Mapping[str, int],
    chosen: list[str],
    on: dict[str, list[int]],
) -> None:
    by: dict[str, int] = {}  # node -> who would move there
    waiting = deque([session])
    while waiting:
        mover = waiting.popleft()
        for node in wanted[mover]:
            if node in by or not room.get(node, 0):
                continue
            by[node] = mover
            if len(on[node]) < room[node]:
                _move(node, by, chosen, on)
                return
            waiting.extend(on[node])


def _move(node: str, by: Mapping[str, int], chosen: list[str], on: dict[str, list[int]]) -> None:
    """Everybody on the way to this node, which has room: each to where the next one leaves."""
    while node:
        mover = by[node]
        on[node].append(mover)
        node, chosen[mover] = chosen[mover], node
        if node:
            on[node].remove(mover)
