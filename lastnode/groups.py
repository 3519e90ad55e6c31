"""Cache groups: where the workloads of a group ran lately. Of one namespace and prefix only, and of who has opted in.

An index beside the stores: what a workload remembers goes in as it changes, so that a lookup goes through nobody's
memory. It keeps a machine and a date of each placement: 1 KB for a workload with eight.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Final, NamedTuple

from lastnode.contract import GROUP_NODES, MOST_RECENT_NODES
from lastnode.kinds import Kind
from lastnode.kube.store import Store
from lastnode.memory import Entry, Memory, merge, parse_text
from lastnode.objects import Workload

# Of those that changed last. All of them are gone through when one forgets a node (some 10 ms then), and a tenant may
# put as many into a group as it likes.
MOST_MEMBERS: Final = 1000
# A workload's own nodes are no relatives' nodes: so many more are looked at.
_LOOKED_AT: Final = GROUP_NODES + MOST_RECENT_NODES


class Group(NamedTuple):
    """Whose workloads are relatives."""

    namespace: str
    prefix: str
    name: str


class _Machine(NamedTuple):
    node: str
    uid: str


# Machine -> when a session became Ready there last, in seconds of the epoch.
_Placements = dict[_Machine, float]


class _Newest(NamedTuple):
    """The newest placement on a machine. ``by``: the UID of the workload that remembers it."""

    ready_at: float
    machine: _Machine
    by: str


@dataclass(slots=True)
class _Members:
    """``placed``: by the workload's UID. ``newest``: of all of them, one a node, None until it is asked for; and the
    same as entries, by whom."""

    placed: dict[str, _Placements] = field(default_factory=dict)
    newest: list[_Newest] | None = None
    entries: list[tuple[Entry, str]] | None = None

    def put(self, uid: str, placed: _Placements) -> None:
        """What a member remembers now; nothing of one that has left."""
        self.entries = None
        self.placed.pop(uid, None)
        if placed:
            self.placed[uid] = placed
        if len(self.placed) > MOST_MEMBERS:
            del self.placed[next(iter(self.placed))]
        lost = (each.by == uid and placed.get(each.machine, 0.0) < each.ready_at for each in self.newest or ())
        if self.newest is None or any(lost):
            self.newest = None
        else:
            self.newest = _ranked([*self.newest, *_of(uid, placed)])

    def ask(self) -> list[tuple[Entry, str]]:
        """Newest first."""
        if self.newest is None:
            self.newest = _ranked(each for uid, placed in self.placed.items() for each in _of(uid, placed))
        if self.entries is None:
            self.entries = [(_entry(each), each.by) for each in self.newest]
        return self.entries


def group_of(workload: Workload, kinds: Mapping[str, Kind]) -> Group | None:
    """Its cache group; None where it names none, or has not opted in."""
    if not workload.sticky or not workload.cache_group:
        return None
    return Group(workload.namespace, kinds[workload.resource].prefix, workload.cache_group)


def newest_of(memories: Iterable[Memory]) -> Memory:
    """The newest placements of several workloads, each node once."""
    return merge(entry for memory in memories for entry in memory if entry.ready_at is not None)[:GROUP_NODES]


class Groups:
    """Safe to share between threads. ``kinds``: by resource. Empty until it follows the stores of the workloads."""

    def __init__(self, kinds: Mapping[str, Kind]) -> None:
        self._kinds = kinds
        self._groups: dict[Group, _Members] = {}
        self._lock = Lock()

    def follow(self, workloads: Iterable[Store[Workload]]) -> None:
        """Call it before the watches start."""
        for store in workloads:
            store.subscribe(self.changed)

    def newest(self, workload: Workload) -> Memory:
        """Where its relatives ran lately, newest first: at most ``GROUP_NODES`` nodes, each with UID and date.

        Not where its own session was the last one: then its own memory says so.
        """
        group = group_of(workload, self._kinds)
        if group is None:
            return ()
        with self._lock:
            members = self._groups.get(group)
            found = members.ask() if members else []
        return tuple(entry for entry, by in found if by != workload.uid)[:GROUP_NODES]

    def changed(self, before: Workload | None, after: Workload | None) -> None:
        """A workload is another than before; None: it is new, or gone."""
        if before is not None and after is not None and _said(before) == _said(after):
            return
        now: dict[tuple[Group, str], _Placements] = {}
        for workload in (before, after):
            group = group_of(workload, self._kinds) if workload else None
            if workload is not None and group is not None:
                now[group, workload.uid] = _placements(workload) if workload is after else {}
        with self._lock:
            for (group, uid), placed in now.items():
                members = self._groups.setdefault(group, _Members())
                members.put(uid, placed)
                if not members.placed:
                    del self._groups[group]

    def __len__(self) -> int:
        """Groups of which something is remembered."""
        return len(self._groups)


def _said(workload: Workload) -> tuple[object, ...]:
    """What of a workload makes a difference here."""
    return workload.uid, workload.sticky, workload.cache_group, workload.packed_nodes


def _placements(workload: Workload) -> _Placements:
    return {
        _Machine(sys.intern(entry.node), sys.intern(entry.node_uid)): entry.ready_at.timestamp()
        for entry in parse_text(None, workload.recent_nodes)
        if entry.ready_at is not None
    }


def _of(uid: str, placed: _Placements) -> Iterable[_Newest]:
    return (_Newest(ready_at, machine, uid) for machine, ready_at in placed.items())


def _ranked(found: Iterable[_Newest]) -> list[_Newest]:
    """The newest ones, each node once: of two machines of one name only the newer one."""
    newest: dict[str, _Newest] = {}
    for each in sorted(found, reverse=True):
        newest.setdefault(each.machine.node, each)
        if len(newest) == _LOOKED_AT:
            break
    return list(newest.values())


def _entry(newest: _Newest) -> Entry:
    machine = newest.machine
    return Entry(machine.node, "", machine.uid, datetime.fromtimestamp(newest.ready_at, UTC))
