"""Who stands at the end of a list-watch: one that keeps its objects, one that counts what it does."""

from typing import Protocol, TypeVar

from lastnode.objects import Keys, Record

R_contra = TypeVar("R_contra", bound=Record, contravariant=True)


class Sink(Protocol[R_contra]):
    """Who keeps what the list-watch brings. :class:`lastnode.kube.store.Store` is one."""

    def upsert(self, obj: R_contra, /) -> None: ...

    def remove(self, obj: R_contra, /) -> None: ...

    def retain(self, keys: Keys, /) -> None: ...


class Observer(Protocol):
    """Who counts. Every method is called from the stream's thread and must return quickly."""

    def listed(self, resource: str, seconds: float, objects: int) -> None: ...

    def event(self, resource: str, kind: str) -> None: ...

    def skipped(self, resource: str) -> None: ...

    def failed(self, resource: str, reason: str) -> None: ...
