"""Records of watched objects, and the store of one resource: its objects as last seen, by key, with those who want to
know of changes.

``gc=False`` on records: none of them can be part of a reference cycle, and without it Python's collector walks all of
them again and again while lists are read (half of the time of a large list: measured for untyped decoding).

One thread (its list-watch) brings changes; any thread may read, without a lock, because a dict's get is atomic.
"""

from collections.abc import Callable, Iterator, Mapping
from threading import Condition
from typing import Generic, NamedTuple, TypeVar

import msgspec

from lastnode.kube.unforeseen import Unforeseen


class ObjectKey(NamedTuple):
    """Where an object is; ``namespace`` is empty for cluster-scoped ones."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Record(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What every watched object has: its place, its identity and the version that was seen.

    ``resource_version`` is empty where nobody compares versions or sends them back.
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


R = TypeVar("R", bound=Record)

# (before, after): before is None for a new object, after is None for a removed one.
Listener = Callable[[R | None, R | None], None]


class Store(Mapping[ObjectKey, R], Generic[R]):
    """Key -> record. Listeners are called in the thread that brings the change, one change at a time."""

    def __init__(self) -> None:
        self.unforeseen = Unforeseen()  # told of a listener's error, which keeps no other listener from hearing
        # By namespace, then by the record's own name: a key for each of 60,000 objects would take 4 MB.
        self._objects: dict[str, dict[str, R]] = {}
        self._listeners: list[Listener[R]] = []
        self._inherit: Callable[[R | None, R], R] = lambda _before, obj: obj
        self._lock = Condition()  # its lock may be taken again by the same thread

    def subscribe(self, listener: Listener[R]) -> None:
        """Call before anything is watched: changes that came earlier are not repeated."""
        self._listeners.append(listener)

    def inherit(self, rule: Callable[[R | None, R], R]) -> None:
        """``rule``: what is kept of an object, given the former record of its place (None without one) and the new one.
        Call before anything is watched."""
        self._inherit = rule

    def upsert(self, obj: R) -> None:
        """An object as it is now. One that is known exactly like this is not announced again."""
        with self._lock:
            objects = self._objects.setdefault(obj.namespace, {})
            before = objects.get(obj.name)
            obj = self._inherit(before, obj)
            if before == obj:
                return
            objects[obj.name] = obj
            self._lock.notify_all()
            self._announce(before, obj)

    def adopt(self, obj: R) -> None:
        """An object as the answer to a request showed it: taken where it is newer than what the watch has brought.

        Of an object that is not here the watch has seen the end, so a late answer must not bring it back. Versions of
        one resource can be compared as numbers (KEP-5504, and etcd revisions ever since).
        """
        with self._lock:
            before = self.get(obj.key)
            if before is not None and is_newer(obj.resource_version, before.resource_version):
                self.upsert(obj)

    def remove(self, obj: Record, among: Callable[[R], bool] = lambda _: True) -> None:
        """The object of that place is gone, if it is one of those ``among`` which it could be; of one that was never
        seen nobody needs to hear."""
        with self._lock:
            before = self.get(obj.key)
            if before is None or not among(before):
                return
            objects = self._objects[obj.namespace]
            del objects[obj.name]
            if not objects:
                del self._objects[obj.namespace]  # namespaces come and go too
            self._announce(before, None)

    def retain(self, keys: Keys, among: Callable[[R], bool] = lambda _: True) -> None:
        """After a complete list: whatever is not among ``keys`` went away unseen. ``among``: what could have been."""
        with self._lock:
            for obj in [obj for obj in self._records() if obj not in keys and among(obj)]:
                self.remove(obj)

    def expect(self, key: ObjectKey, seconds: float, uid: str = "") -> R | None:
        """The object, waiting up to ``seconds`` for one that is not there yet; None when it did not come.

        ``uid``: only the one with it counts; a former object of the same name is not what is waited for.
        """

        def there() -> R | None:
            found = self.get(key)
            return found if found is not None and uid in ("", found.uid) else None

        with self._lock:
            return self._lock.wait_for(there, seconds)

    def within(self, namespace: str) -> Mapping[str, R]:
        """The objects of one namespace by name, those without one under the empty namespace. It may change while
        somebody goes through it."""
        return self._objects.get(namespace, {})

    def __getitem__(self, key: ObjectKey) -> R:
        return self._objects[key.namespace][key.name]

    def get(self, key: ObjectKey, default: R | None = None) -> R | None:  # type: ignore[override]
        # Not Mapping's own: that one raises and catches a KeyError for every object that is not there.
        objects = self._objects.get(key.namespace)
        return default if objects is None else objects.get(key.name, default)

    def __iter__(self) -> Iterator[ObjectKey]:
        return iter([obj.key for obj in self._records()])

    def __len__(self) -> int:
        return sum(map(len, list(self._objects.values())))

    def _records(self) -> list[R]:
        # Copied in steps that no other thread can come between: list() of a dict's values is one of them.
        return [obj for objects in list(self._objects.values()) for obj in list(objects.values())]

    def _announce(self, before: R | None, after: R | None) -> None:
        for listener in self._listeners:
            try:
                listener(before, after)
            except Exception as error:
                self.unforeseen("listener", error)


def is_newer(version: str, than: str) -> bool:
    """Of two versions of one resource; False where they are no numbers."""
    return version.isdecimal() and than.isdecimal() and int(version) > int(than)
