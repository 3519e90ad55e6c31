"""What is kept of the cluster's objects: a few fields of each, in records small enough for tens of thousands.

``gc=False``: none of these can be part of a reference cycle, and without it Python's collector walks all of them
again and again while lists are read (half of the time of a large list: measured for untyped decoding).
"""

from datetime import datetime
from typing import NamedTuple

import msgspec

from lastnode.packing import unpack


class ObjectKey(NamedTuple):
    """Where an object is; ``namespace`` is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class WorkloadKey(NamedTuple):
    """Which workload: kinds share names, so the resource ("plural.group") belongs to the key."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {self.namespace}/{self.name}"


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What every watched object has: its place, its identity and the version that was seen.

    ``resource_version`` is empty where nobody compares versions or sends them back: of Sandboxes and sessions.
    """

    namespace: str = ""
    name: str
    uid: str = ""
    resource_version: str = ""

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, self.name)


class Keys:
    """Which objects there are, by place: a set of :class:`ObjectKey` in a third of its room."""

    def __init__(self, *records: Record) -> None:
        self._names: dict[str, set[str]] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        self._names.setdefault(record.namespace, set()).add(record.name)

    def __contains__(self, record: Record) -> bool:
        return record.name in self._names.get(record.namespace, ())

    def __len__(self) -> int:
        return sum(map(len, self._names.values()))


class Node(Record, frozen=True, gc=False, kw_only=True):
    """A node as far as coming back to it goes. ``hostname``: its kubernetes.io/hostname label, empty without one."""

    hostname: str
    ready: bool
    unschedulable: bool = False


class Workload(Record, frozen=True, gc=False, kw_only=True):
    """What sessions belong to. The memory stays packed text until it is needed: at 20,000 workloads it is 13 MB less.

    ``sticky`` is the opt-in already combined with the warm-pool rule. ``created_at`` keeps the sessions of a deleted
    workload away from a new one of the same name.
    """

    resource: str
    kind: str
    sticky: bool
    created_at: datetime | None = None
    last_node: str | None = None
    packed_nodes: bytes | None = None  # recent_nodes, packed by lastnode.packing

    @property
    def recent_nodes(self) -> str | None:
        """The annotation's text, unpacked at each call (20 µs)."""
        return unpack(self.packed_nodes)

    @property
    def workload_key(self) -> WorkloadKey:
        return WorkloadKey(self.resource, self.namespace, self.name)


class Sandbox(Record, frozen=True, gc=False, kw_only=True):
    """The owner of a session's pod: it alone says which workload the session belongs to."""

    workload_name: str | None = None
    workload_kind: str | None = None


class Session(Record, frozen=True, gc=False, kw_only=True):
    """One session's pod.

    ``node``: where it is bound, or None. ``scheduled_after``: whole seconds from ``created_at`` to that (small numbers
    are shared, where a moment would take 56 bytes of each). ``ready_at``: since when it is Ready, None while it is not.
    ``over``: it reached a terminal phase or is being deleted, so it can no longer become Ready truthfully.
    ``crashed_at``: when a container of it last ended with an error, by itself and not because the pod was deleted.
    ``owner_uid``/``sandbox``: the controlling Sandbox, if a Sandbox controls it.
    """

    node: str | None = None
    ready_at: datetime | None = None
    created_at: datetime | None = None
    scheduled_after: int | None = None
    over: bool = False
    crashed_at: datetime | None = None
    sandbox: str | None = None
    sandbox_uid: str | None = None
    workload_name: str | None = None
    workload_kind: str | None = None
