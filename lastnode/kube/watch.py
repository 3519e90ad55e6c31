"""One clean list-watch: list in pages, then watch from that version, and begin again when it is too old.

Three layers, each recovering from one kind of failure: ``run`` never ends and waits between rounds; ``_round`` lists
if it must and then watches; ``_watch`` is one connection. What was learnt from the usual building blocks: they loop
without a delay when a watch is closed at once or refused, and never notice a connection that went silent.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from threading import Event, Lock
from typing import Final, Generic, TypeVar

import msgspec

from lastnode.kube import wire
from lastnode.kube.api import JSON, METADATA, Api, Stream
from lastnode.kube.discovery import NotServed, Served, collection_path, find
from lastnode.kube.errors import Gone, KubeError, NotFound, Silent, Undecodable
from lastnode.kube.observer import NOBODY, Observer, Progress
from lastnode.kube.pages import PAGE_SIZE, Pages
from lastnode.kube.queue import Backoff
from lastnode.kube.store import Keys, Record, Store, is_newer
from lastnode.kube.unforeseen import Once

R = TypeVar("R", bound=Record)

# Bookmarks come about once a minute on a healthy watch (kube-apiserver's bookmarkFrequency), so one that brings nothing
# for longer may be dead, whatever TCP says: it is opened anew. Where etcd reports no progress (its default is every
# 10 min) an idle resource is silent without a fault; then this is one cheap request in 75 s.
SILENCE_SECONDS: Final = 75.0
# How long the server shall keep one watch: spread, so that watches of many replicas do not end together.
WATCH_SECONDS: Final = (300, 600)
# A watch that lived this long was healthy: the next one starts at once. A shorter one counts as a failure, which is
# what keeps a server that closes every watch at once from being asked a thousand times a second.
HEALTHY_SECONDS: Final = 5.0
# An API server that is starting may not know its CRDs yet. Objects seen before are given up only when it has said so
# this many times in a row, with the back-off between.
BELIEVED_ABSENCES: Final = 3

log = logging.getLogger(__name__)


@dataclass(eq=False)
class ListWatch(Generic[R]):
    """Keeps ``store`` equal to the server's objects of ``resource`` (``"plural.group"``) until it is told to stop.

    ``metadata_only``: ask for objects without spec and status, of which ``read`` then sees nothing. ``served``: told
    what the server says of the resource, before anything of it is read. ``mine``: of a store that others fill too,
    whether an object is one that this one brings. ``gather``: seconds that events may wait for each other, once all
    that came was read: who wakes once for several takes less of a busy machine.
    """

    api: Api
    resource: str
    read: Callable[[bytes | msgspec.Raw], R]
    store: Store[R]
    _: KW_ONLY
    selectors: Mapping[str, str] = field(default_factory=dict)
    metadata_only: bool = False
    observer: Observer = NOBODY
    page_size: int = PAGE_SIZE
    silence: float = SILENCE_SECONDS
    backoff: Backoff = field(default_factory=Backoff)
    clock: Callable[[], float] = time.monotonic
    served: Callable[[Served], None] | None = None
    mine: Callable[[R], bool] = lambda _: True
    gather: float = 0.0

    def __post_init__(self) -> None:
        self.progress = Progress(self.clock())
        self.store.unforeseen = self.observer.unforeseen
        self._skipped = Once()  # why
        self._accept = METADATA if self.metadata_only else JSON
        self._pages = Pages(self.api, self.selectors, self._accept.a_list, self.page_size)
        self._path: str | None = None
        self._version: str | None = None  # where the next watch starts; None: list first
        self._absences = 0  # answers in a row that the resource is not served
        self._doubts = False  # whether the server may have gone back to an older state since it was last heard
        self._hurries = False  # whether the next list need not wait for what failed before it
        self._stream: Stream | None = None
        self._watching_since: float | None = None  # of this round's watch, once the server accepted it
        self._stopping = Event()
        self._lock = Lock()

    def run(self) -> None:
        """Follow the resource until :meth:`stop`; errors are waited out, never raised."""
        while not self._stopping.is_set():
            self._watching_since = None
            try:
                self._round()
            except KubeError as error:
                delay = self._recover(error)
            except Exception as error:
                self.observer.unforeseen("watch", error)
                delay = self._recover(Undecodable(repr(error)))  # as from what nobody can read: all over again
            else:
                delay = self._after()
            self.progress.moved_at = self.clock()
            self._stopping.wait(delay)

    def stop(self) -> None:
        """End :meth:`run` soon, from any thread; joining its thread is the caller's part."""
        with self._lock:
            self._stopping.set()
            if self._stream is not None:
                self._stream.abort()

    def _round(self) -> None:
        if self._path is None:
            self._path = self._find()
        if self._version is not None and self._doubts:
            self._compare(self._path, self._version)
        self._doubts = False
        if self._version is None:
            self._version = self._list(self._path)
            self.progress.has_synced()
            self.progress.works()
            self._absences = 0
        self._watch(self._path, self._version)

    def _find(self) -> str:
        if self.served is None:
            return collection_path(self.api, self.resource)
        found = find(self.api, self.resource)
        self.served(found)
        return found.path

    def _compare(self, path: str, version: str) -> None:
        """Whether the server still has what was seen. After its etcd was restored from a copy it has not, and says
        nothing to a watch from a version that is yet to come: then everything is listed, at once."""
        now = self._pages.version(path)
        if is_newer(version, now):
            log.warning("%s: the version went back from %s to %s", self.resource, version, now)
            self.observer.failed(self.resource, "gone")
            self._version = None

    def _was_healthy(self) -> bool:
        """Whether this round's watch lived for a while. A slow list or connection is no sign of health: it may be
        the fault itself."""
        since = self._watching_since
        return since is not None and self.clock() - since >= HEALTHY_SECONDS

    def _start_over(self) -> None:
        """The watch was healthy: what failed before it is forgotten."""
        self.backoff.reset()
        self._hurries = True

    def _after(self) -> float:
        """A watch that ended by itself: normal after a while, a fault when it happens at once."""
        if self._was_healthy() or self._stopping.is_set():
            self._start_over()
            return 0.0
        self.observer.failed(self.resource, "closed")
        return self.backoff.next()

    def _recover(self, error: KubeError) -> float:
        """What the error means for the next round, and how long to wait before it."""
        if self._stopping.is_set():
            return 0.0
        healthy = self._was_healthy()
        self._doubts = self._doubts or isinstance(error, Silent) or self._watching_since is None
        if healthy:
            self._start_over()
        if isinstance(error, Silent):
            log.debug("%s: %s; watched anew", self.resource, error)
            self.observer.failed(self.resource, "silent")
            return 0.0 if healthy else self.backoff.next()
        if isinstance(error, Gone):
            self._version = None
            if self._hurries:
                # The server is there again, as after its restart, and only the version is too old: what failed before
                # is over. Once for each healthy watch: lists must not follow each other.
                self.backoff.reset()
                self._hurries = False
        if isinstance(error, NotServed | Undecodable) or getattr(error, "status", None) == 404:
            self._forget_place(absent=isinstance(error, NotServed))
        delay = self.backoff.next(getattr(error, "retry_after", None))
        self.observer.failed(self.resource, type(error).__name__.lower())
        self._say(error, delay)
        return delay

    def _forget_place(self, absent: bool) -> None:
        """The path led nowhere: ask again where the resource is. Not served at all means: there are no objects."""
        self._path = None
        self._version = None
        self._absences = self._absences + 1 if absent else 0
        if absent and (not self.progress.synced or self._absences >= BELIEVED_ABSENCES):
            self.store.retain(Keys(), self.mine)
            self.progress.has_synced()
            self._heard()

    def _say(self, error: KubeError, delay: float) -> None:
        # An absent CRD stays absent for months: said once. Everything else is said at each attempt, at the
        # back-off's own pace.
        level = logging.WARNING
        if isinstance(error, NotServed):
            level = logging.DEBUG if self.progress.trouble == str(error) else logging.INFO
        self.progress.trouble = str(error)
        self.progress.lost = not isinstance(error, NotFound | Gone)
        log.log(
            level, "%s: %s; attempt %d in %.1f s", self.resource, error, self.backoff.attempts + 1, delay,
            extra={"resource": self.resource, "reason": type(error).__name__},
        )  # fmt: skip

    def _list(self, path: str) -> str:
        """Every object, page by page; returns the version to watch from."""
        started, seen, version = self.clock(), Keys(), ""
        for page in self._pages.of(path):
            self._heard()
            self._take(page, seen)
            version = page.version
            del page
            if self._stopping.is_set():
                return version
        self.store.retain(seen, self.mine)
        taken = self.clock() - started
        log.info("%s: %d objects listed in %.2f s", self.resource, len(seen), taken, extra={"resource": self.resource})
        self.observer.listed(self.resource, taken, len(seen))
        return version

    def _take(self, page: wire.Page, seen: Keys) -> None:
        for item in page.items or ():
            if (obj := self._decode_object(item)) is not None:
                seen.add(obj)
                self.store.upsert(obj)

    def _watch(self, path: str, version: str) -> None:
        """One connection, until the server or :meth:`stop` ends it.

        :raises Gone: the version is too old: list again.
        """
        query = {
            **self.selectors,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(random.randint(*WATCH_SECONDS)),
        }
        with self._open(path, query) as stream:
            self._heard()
            self._watching_since = self.clock()
            self.progress.works()
            for line in stream:
                self._handle(wire.event(line))
                self._heard()
                if self.gather and stream.is_drained():
                    self._stopping.wait(self.gather)

    def _open(self, path: str, query: Mapping[str, str]) -> Stream:
        stream = self.api.stream(path, query, self.silence, self._accept.an_object)
        with self._lock:
            self._stream = stream
            if self._stopping.is_set():
                stream.abort()
        return stream

    def _handle(self, event: wire.Event) -> None:
        if event.type == "ERROR":
            raise wire.failure(event)
        version = wire.version(event)
        if is_newer(self._version or "", version):
            raise Gone(410, f"the version went back from {self._version} to {version}")
        if event.type != "BOOKMARK":
            self._apply(event)
        # Only now: an event that broke halfway must be asked for again.
        self._version = version or self._version
        self.observer.event(self.resource, event.type)

    def _apply(self, event: wire.Event) -> None:
        obj = self._decode_object(event.object)
        if obj is not None and event.type != "DELETED":
            self.store.upsert(obj)
        elif obj is not None:
            self.store.remove(obj, self.mine)  # not where another one of the store's streams brings it now
        else:
            # As a list would show it: what cannot be read now must not stay as it was before.
            place = wire.place(event)
            self.store.remove(Record(namespace=place.namespace, name=place.name), self.mine)

    def _decode_object(self, data: msgspec.Raw) -> R | None:
        """The record, or None for one of a shape that cannot be read: that one is skipped, never the others."""
        try:
            return self.read(data)
        except Undecodable as error:
            self._say_skipped(str(error))
        except Exception as error:
            self.observer.unforeseen("reading", error)
        self.observer.skipped(self.resource)
        return None

    def _say_skipped(self, why: str) -> None:
        # The reasons are few (a field and a type), but they may hold a value.
        log.log(
            logging.WARNING if self._skipped.is_new(why) else logging.DEBUG,
            "%s: an object is skipped, said once: %s", self.resource, why, extra={"resource": self.resource},
        )  # fmt: skip

    def _heard(self) -> None:
        self.progress.moved_at = self.progress.heard_at = self.clock()
