"""The cluster as far as stickiness goes: one store a resource, and what watches them."""

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Final, NamedTuple

import msgspec
from cachetools import TLRUCache, TTLCache

from lastnode.attribution import Attribution, Seen, attribute
from lastnode.contract import CLOCK_TOLERANCE
from lastnode.groups import Groups
from lastnode.kinds import BUILT_IN, Kind, Ways
from lastnode.kube.api import Api
from lastnode.kube.discovery import Served
from lastnode.kube.observer import NOBODY, Observer
from lastnode.kube.pages import PAGE_SIZE
from lastnode.kube.store import ObjectKey, Store
from lastnode.kube.watch import ListWatch
from lastnode.memory import Memory, parse_text
from lastnode.nodes import Nodes
from lastnode.objects import Node, Session, Workload, WorkloadKey
from lastnode.reading import read_controller, read_node, read_session, read_workload

# About 2 KB each: enough for every workload that is active at once, without holding 20,000 parsed memories for ever.
MAX_MEMORIES: Final = 4096
# Who follows sessions' pods has time. Of what is written nobody has: who knows an old version writes in vain.
GATHER_SECONDS: Final = 0.02
# Of workloads that went, a kind; where more go within minutes, of the first it is not known any more.
MAX_GONE: Final = 10_000


class _Parsed(NamedTuple):
    resource_version: str
    memory: Memory


class MemoryCache:
    """Workload UID -> memory. An item expires when its newest entry does: ``ttl`` seconds after readyAt, 0 for never.

    Safe to share between threads (cachetools is not by itself). ``clock``: seconds since the epoch, because readyAt is
    a wall-clock time that has to mean the same after a restart.
    """

    def __init__(self, ttl: float, clock: Callable[[], float] = time.time, size: int = MAX_MEMORIES) -> None:
        self._ttl = ttl
        self._items: TLRUCache[str, _Parsed] = TLRUCache(size, self._expires, timer=clock)
        self._lock = Lock()

    def recall(self, workload: Workload) -> Memory:
        """What the workload's annotations say, parsed at most once a version; nothing where it has not opted in."""
        if not workload.sticky:
            return ()
        with self._lock:
            known = self._items.get(workload.uid)
        if known is not None and known.resource_version == workload.resource_version:
            return known.memory
        parsed = parse_text(workload.last_node, workload.recent_nodes)
        with self._lock:
            self._items[workload.uid] = _Parsed(workload.resource_version, parsed)
        return parsed

    def follow(self, stores: Iterable[Store[Workload]]) -> None:
        """Forget the workloads that go, or do not opt in any more."""
        for store in stores:
            store.subscribe(self._on_workload)

    def _on_workload(self, before: Workload | None, after: Workload | None) -> None:
        if before is not None and not (after and after.sticky and after.uid == before.uid):
            with self._lock:
                self._items.pop(before.uid, None)

    def __len__(self) -> int:
        with self._lock:
            return len(self._items)

    def _expires(self, _uid: str, item: _Parsed, now: float) -> float:
        ready_at = item.memory[0].ready_at if item.memory else None
        if not self._ttl or ready_at is None:
            return float("inf")
        return max(now, ready_at.timestamp() + self._ttl)


class _Successors:
    """Marks the workloads that follow another one of their name; remembers who went as long as clocks may differ."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._gone: TTLCache[ObjectKey, str] = TTLCache(MAX_GONE, CLOCK_TOLERANCE.total_seconds(), timer=clock)

    def attend(self, store: Store[Workload]) -> None:
        store.inherit(self._inherit)
        store.subscribe(self._on_change)

    def _inherit(self, before: Workload | None, after: Workload) -> Workload:
        former = self._gone.get(after.key, after.uid) if before is None else before.uid
        if former != after.uid or (before is not None and before.successor):
            return msgspec.structs.replace(after, successor=True)
        return after

    def _on_change(self, before: Workload | None, after: Workload | None) -> None:
        if before is not None and after is None:
            self._gone[before.key] = before.uid


class View:
    """One store a resource. ``workloads``: resource ("plural.group") -> store; ``controllers``: the same of what
    sessions' pods lead through, some of which are workloads themselves. ``kinds``: by resource; the name of one comes
    from the API server where its row has none. Empty until the watches that :meth:`watches` makes run, and ``groups``
    until :meth:`follow_groups` too."""

    def __init__(self, kinds: Sequence[Kind] = BUILT_IN) -> None:
        self.kinds = {kind.resource: kind for kind in kinds}
        self.ways = Ways(kinds)
        self.nodes = Nodes()
        self.sessions: Store[Session] = Store()
        self.workloads: dict[str, Store[Workload]] = {resource: Store() for resource in self.kinds}
        self.controllers: dict[str, Store[Any]] = {
            resource: self.workloads[resource] if resource in self.workloads else Store()
            for resource in self.ways.through
        }
        for store in self.workloads.values():
            _Successors().attend(store)
        self.groups = Groups(self.kinds)
        self.seen = Seen(
            lambda resource, key: self.controllers[resource].get(key),
            {way: {kind.resource: self.workloads[kind.resource] for kind in kinds if kind.way == way}
             for way in self.ways.all},
        )  # fmt: skip

    @property
    def nodes_by_name(self) -> Mapping[str, Node]:
        """As the memory's rules want them; for looking up, not for going through."""
        return self.nodes.within("")

    def follow_groups(self) -> None:
        """Have ``groups`` know what the workloads of each cache group remember; call it before the watches start."""
        self.groups.follow(self.workloads.values())

    def workload(self, key: WorkloadKey) -> Workload | None:
        """The workload as last seen."""
        return self.workloads[key.resource].get(ObjectKey(key.namespace, key.name))

    def attribute(self, session: Session) -> Attribution:
        """The workload of a session, as far as it is seen."""
        return attribute(session, self.seen)

    def store(self, resource: str) -> Store[Any]:
        """Of workloads, or of what leads to them."""
        return self.workloads[resource] if resource in self.workloads else self.controllers[resource]

    def read(self, resource: str, data: bytes | msgspec.Raw) -> Workload:
        """An object of one of the kinds."""
        return read_workload(self.kinds[resource], data, self.ways.keys_of(resource))

    def watches(
        self, api: Api, *, sessions: bool, page_size: int = PAGE_SIZE, observer: Observer = NOBODY
    ) -> list[ListWatch[Any]]:
        """What keeps this view: a list-watch a resource, in the order in which objects refer to each other, and one of
        pods for each different mark of a session.

        ``sessions``: the pods too (only the recorder needs them). Selectors leave on the server what nobody needs: pods
        of no session, pods that are not bound yet; and of most objects all but metadata.
        """
        watch = functools.partial(ListWatch[Any], api, page_size=page_size, observer=observer)
        made = [watch("nodes", read_node, self.nodes)]
        for resource, kind in self.kinds.items():
            made.append(watch(
                resource, functools.partial(self.read, resource), self.workloads[resource],
                metadata_only=not kind.field, served=functools.partial(self._named, resource),
            ))  # fmt: skip
        for resource in self.ways.through:
            if resource not in self.workloads:
                read = functools.partial(read_controller, self.ways.keys_of(resource))
                made.append(watch(resource, read, self.controllers[resource], metadata_only=True))
        for index, selector in enumerate(self.ways.selectors if sessions else ()):
            made.append(watch(
                "pods", functools.partial(read_session, self.ways, watch=index), self.sessions,
                selectors={"labelSelector": str(selector), "fieldSelector": "spec.nodeName!="},
                mine=functools.partial(_brought_by, index), gather=GATHER_SECONDS,
            ))  # fmt: skip
        return made

    def _named(self, resource: str, served: Served) -> None:
        kind = self.kinds[resource]
        self.kinds[resource] = kind._replace(name=kind.name or served.kind)


def _brought_by(watch: int, session: Session) -> bool:
    return session.watch == watch
