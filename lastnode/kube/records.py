"""What every watched object has: its place, its identity and the version that was seen.

``gc=False`` on records: none of them can be part of a reference cycle, and without it Python's collector walks all of
them again and again while lists are read (half of the time of a large list: measured for untyped decoding).
"""

from typing import NamedTuple, Protocol, TypeVar

import msgspec


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


R_contra = TypeVar("R_contra", bound=Record, contravariant=True)


class Sink(Protocol[R_contra]):
    """Who keeps what the list-watch brings. :class:`lastnode.kube.store.Store` is one."""

    def upsert(self, obj: R_contra, /) -> None: ...

    def remove(self, obj: R_contra, /) -> None: ...

    def retain(self, keys: Keys, /) -> None: ...
