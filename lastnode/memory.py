"""What is remembered of a workload's placements: entries, how they merge, and their text form.

Pure. A memory is a tuple of entries, newest first, one a node, at most 32. Merging two memories is commutative,
associative and idempotent, so whatever order events arrive in, the same memory comes out.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from lastnode.contract import (
    CLOCK_TOLERANCE,
    LAST_NODE,
    MOST_RECENT_NODES,
    RECENT_NODES,
    is_hostname_value,
    is_node_name,
    may_be_recent_nodes,
)
from lastnode.objects import Node, Workload
from lastnode.status import EARLIEST, utc


class Entry(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One past placement. Undated (``ready_at`` None) only when a bare last-node was written by something else.

    ``hostname``: the node's kubernetes.io/hostname label when it was written down, empty where it had none.
    ``node_uid``: tells a new machine of the same name from the old one; empty matches any. ``ready_at``: when the
    session became Ready, UTC.
    """

    node: str
    hostname: str = ""
    node_uid: str = msgspec.field(default="", name="nodeUID")
    ready_at: datetime | None = None
    pod_uid: str = msgspec.field(default="", name="podUID")


Memory = tuple[Entry, ...]


class Crash(NamedTuple):
    """A session that failed soon after it had become Ready. Its entry counts for nothing: its pod's, if it became Ready
    from ``since`` to ``at``, when it failed."""

    pod_uid: str
    since: datetime
    at: datetime


def parse(annotations: Mapping[str, str], prefix: str) -> Memory:
    """The memory that a workload's annotations ``PREFIX/…`` hold; unreadable text counts as absent, never as an
    error."""
    return parse_text(annotations.get(f"{prefix}/{LAST_NODE}"), annotations.get(f"{prefix}/{RECENT_NODES}"))


def parse_text(last_node: str | None, recent_nodes: str | None) -> Memory:
    """The same from the two annotations' texts. A bare ``last_node`` gives one undated entry."""
    entries = merge(_parse_entries(recent_nodes))
    if entries or not last_node or not is_node_name(last_node):
        return entries
    # Taken as the label too, as agentcube PR #412 does, unless no label could hold it (names may be four times longer).
    return (Entry(node=last_node, hostname=last_node if is_hostname_value(last_node) else ""),)


def render(memory: Memory, prefix: str) -> dict[str, str | None]:
    """Both annotations ``PREFIX/…`` for a merge patch; None removes one. An undated entry leaves only the bare
    last-node."""
    dated = [entry for entry in memory if entry.ready_at is not None]
    return {
        f"{prefix}/{LAST_NODE}": memory[0].node if memory else None,
        f"{prefix}/{RECENT_NODES}": msgspec.json.encode(dated).decode() if dated else None,
    }


def patch_body(workload: Workload, annotations: Mapping[str, str | None]) -> dict[str, Any]:
    """The merge patch: only onto this very object (UID) in this very version, else the server answers 409."""
    return {
        "metadata": {
            "uid": workload.uid,
            "resourceVersion": workload.resource_version,
            "annotations": dict(annotations),
        }
    }


def merge(*memories: Iterable[Entry], now: datetime | None = None) -> Memory:
    """One memory out of several: of each node its newest entry, newest first, at most ``MOST_RECENT_NODES``.

    An undated entry is older than any dated one, and is forgotten as soon as there is a dated one: its age is
    unknown, so it cannot be ranked among them. With a ``now``, entries that are dated ahead of it come after all other
    dated ones: no clock but one's own says that they are the newest.
    """
    newest: dict[str, Entry] = {}
    for memory in memories:
        for entry in memory:
            known = newest.get(entry.node)
            if known is None or _order(entry, now) > _order(known, now):
                newest[entry.node] = entry
    ranked = sorted(newest.values(), key=lambda entry: _order(entry, now), reverse=True)
    dated = [entry for entry in ranked if entry.ready_at is not None]
    return tuple(dated[:MOST_RECENT_NODES] or ranked[:1])


def bounded(memory: Memory, most: int) -> Memory:
    """The newest entries of it, as many as are kept: at most ``most``, and no more than the text may hold."""
    kept = memory[:most]
    while not may_be_recent_nodes(msgspec.json.encode(kept).decode()):
        kept = kept[:-1]
    return kept


def add(known: Memory, placements: Memory, now: datetime) -> Memory:
    """What is known and what is new, as :func:`merge` has it at ``now``; but a session that is known keeps its date.

    Merging itself cannot see to that: of a session that a later one has replaced it does not know the date any more.
    """
    dated = {(entry.node, entry.pod_uid) for entry in known if entry.pod_uid and not is_ahead(entry, now)}
    return merge(known, (entry for entry in placements if (entry.node, entry.pod_uid) not in dated), now=now)


def tells(known: Memory, memory: Memory, within: timedelta) -> bool:
    """Whether what is known already tells where to come back: the same machines in the same order, and no date of
    ``memory`` is ``within`` later, or more."""
    return len(known) == len(memory) and all(
        old == new or redates(old, new, within) for old, new in zip(known, memory, strict=True)
    )


def redates(old: Entry, new: Entry, within: timedelta) -> bool:
    """Whether ``new`` is of the same machine, and less than ``within`` later: both are dated."""
    if old.ready_at is None or new.ready_at is None:
        return False
    same = (old.node, old.hostname, old.node_uid) == (new.node, new.hostname, new.node_uid)
    return same and timedelta(0) <= new.ready_at - old.ready_at < within


def is_ahead(entry: Entry, now: datetime) -> bool:
    """Whether it is dated further ahead of ``now`` than clocks differ."""
    return entry.ready_at is not None and entry.ready_at - now > CLOCK_TOLERANCE


def take_back(memory: Memory, crashes: Iterable[Crash]) -> Memory:
    """The memory without the entries of sessions that crashed.

    What such an entry replaced (an older session's on the same node) is not known any more, so it does not come back.
    An entry of the same pod that became Ready again after its crash stays.
    """
    taken = tuple(crashes)
    if not taken:
        return memory
    return tuple(entry for entry in memory if not any(_takes_back(crash, entry) for crash in taken))


def prune(memory: Memory, nodes: Mapping[str, Node]) -> Memory:
    """The memory without entries whose node is gone or was replaced by another machine of the same name."""
    return tuple(entry for entry in memory if is_its_node(entry, nodes.get(entry.node)))


def is_its_node(entry: Entry, node: Node | None) -> bool:
    """Whether ``node``, the one of that name now, is the machine that the entry is about."""
    return node is not None and entry.node_uid in ("", node.uid)


def _takes_back(crash: Crash, entry: Entry) -> bool:
    if entry.ready_at is None or entry.pod_uid != crash.pod_uid:
        return False
    return crash.since <= entry.ready_at <= crash.at


def _order(entry: Entry, now: datetime | None) -> tuple[bool, bool, datetime, str, str, str]:
    # Timestamps in the API have whole seconds: the rest makes the order total, so that merging stays commutative.
    # "Dated" comes first: the earliest instant there is is a date too.
    dated = entry.ready_at is not None
    instant = entry.ready_at or EARLIEST
    believed = now is None or not is_ahead(entry, now)
    return (dated, believed, instant, entry.pod_uid, entry.node_uid, entry.hostname + "/" + entry.node)


def _parse_entries(text: str | None) -> list[Entry]:
    """The readable ones: a single bad entry must not cost the others."""
    if not text or not may_be_recent_nodes(text):
        return []
    try:
        items = _ITEMS.decode(text)
    except _UNREADABLE:
        return []
    return [entry for item in items if (entry := _parse_entry(item)) is not None]


def _parse_entry(item: msgspec.Raw) -> Entry | None:
    try:
        return _valid(_ENTRY.decode(item))
    except _UNREADABLE:
        return None


def _valid(entry: Entry) -> Entry | None:
    ready_at = utc(entry.ready_at)
    if ready_at is None or not is_node_name(entry.node):
        return None
    if entry.hostname and not is_hostname_value(entry.hostname):
        return None
    return entry if ready_at is entry.ready_at else msgspec.structs.replace(entry, ready_at=ready_at)


_ENTRY: Final = msgspec.json.Decoder(Entry)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)
