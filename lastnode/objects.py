"""What is kept of the cluster's objects: a few fields of each, in records small enough for tens of thousands."""

import zlib
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from lastnode.kinds import Way
from lastnode.kube.store import Record

# What most of these texts share; zlib finds it at both ends, so it must stay the same while a process runs, no longer.
_COMMON: Final = b'"},{"node":"","hostname":"","nodeUID":"","readyAt":"2026-01-01T00:00:00Z","podUID":"'
_LEVEL: Final = 1  # 20 µs a text; the higher ones save 5 % more in five times the time


def pack(text: str | None) -> bytes | None:
    """``text`` for :func:`unpack`; None stays None."""
    if text is None:
        return None
    packer = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS, zdict=_COMMON)
    # JSON may escape half of a surrogate pair: no UTF-8, but it must come back like everything else.
    return packer.compress(text.encode("utf-8", "surrogatepass")) + packer.flush()


def unpack(packed: bytes | None) -> str | None:
    """The text that was packed."""
    if packed is None:
        return None
    return zlib.decompressobj(-zlib.MAX_WBITS, _COMMON).decompress(packed).decode("utf-8", "surrogatepass")


class WorkloadKey(NamedTuple):
    """Which workload: kinds share names, so the resource ("plural.group") belongs to the key."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource} {self.namespace}/{self.name}"


class Node(Record, frozen=True, gc=False, kw_only=True):
    """A node as far as coming back to it goes. ``hostname``: its kubernetes.io/hostname label, empty without one, and
    where other nodes have the same (lastnode.nodes). ``leaving``: it is being deleted, or tainted because it will be.
    """

    hostname: str
    ready: bool
    unschedulable: bool = False
    leaving: bool = False


class Linked(Record, frozen=True, gc=False, kw_only=True):
    """An object, and what leads from it to a workload: what controls it, by name, UID and API group; and which of the
    keys that may name a workload it has, each followed by its value (pairs in a tuple of tuples would double it).
    ``created_at``: by the API server's clock.
    """

    controller: str | None = None
    controller_uid: str | None = None
    controller_group: str | None = None
    claims: tuple[str, ...] = ()
    created_at: datetime | None = None

    def claim(self, key: str) -> str | None:
        """What it says under that key."""
        found = self.claims
        return next((found[i + 1] for i in range(0, len(found), 2) if found[i] == key), None)


class Controller(Linked, frozen=True, gc=False, kw_only=True):
    """What controls a session's pod and is no workload itself."""


class Workload(Linked, frozen=True, gc=False, kw_only=True):
    """What sessions belong to. The memory stays packed text until it is needed: at 20,000 workloads it is 13 MB less.

    ``sticky`` is the opt-in already combined with the warm-pool rule. ``created_at`` keeps the sessions of a deleted
    workload away from a new one of the same name; ``successor``: such a former one was seen here. ``older_weight``: 0
    to 100, None where it says none of its own. ``cache_group``: who shares images or data with it, None where nobody
    does.
    """

    resource: str
    kind: str
    sticky: bool
    successor: bool = False
    last_node: str | None = None
    packed_nodes: bytes | None = None  # recent_nodes, packed by lastnode.objects
    older_weight: int | None = None
    cache_group: str | None = None

    @property
    def recent_nodes(self) -> str | None:
        """The annotation's text, unpacked at each call (20 µs)."""
        return unpack(self.packed_nodes)

    @property
    def workload_key(self) -> WorkloadKey:
        return WorkloadKey(self.resource, self.namespace, self.name)


class Session(Linked, frozen=True, gc=False, kw_only=True):
    """One session's pod.

    ``node``: where it is bound, or None. ``scheduled_after``: whole seconds from ``created_at`` to that (small numbers
    are shared, where a moment would take 56 bytes of each). ``ready_at``: since when it is Ready, None while it is not.
    ``first_ready_at``: since when it was for the first time, known only to who follows it (recorder.life.dated).
    ``over``: it reached a terminal phase, or is being deleted and not Ready, so it can no longer become Ready
    truthfully.
    ``crashed_at``: when a container of it last ended with an error, by itself and not because the pod was deleted.
    ``ways``: those in which it leads to a workload. ``watch``: which of the pods' list-watches brings it.
    ``whole``: the pod in JSON, from its binding to the next that is heard of it, to explain why it was bound there.
    """

    node: str | None = None
    ready_at: datetime | None = None
    first_ready_at: datetime | None = None
    scheduled_after: int | None = None
    over: bool = False
    crashed_at: datetime | None = None
    ways: tuple[Way, ...] = ()
    watch: int = 0
    whole: bytes = b""

    @property
    def scheduled_at(self) -> datetime | None:
        """When it was bound."""
        if self.created_at is None or self.scheduled_after is None:
            return None
        return self.created_at + timedelta(seconds=self.scheduled_after)
