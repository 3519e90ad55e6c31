"""Stands for the lease, renews it, and gives it back: one replica writes, the others keep warm."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from threading import Condition, Event
from typing import Any

from lastnode.kube import lease as leases
from lastnode.kube.api import REQUEST_TIMEOUT, Api
from lastnode.kube.discovery import namespaced, object_path
from lastnode.kube.errors import Conflict, KubeError, NotFound
from lastnode.kube.lease import Lease, Step, Timing


class Leadership:
    """Held until a moment of the monotonic clock, which every renewal moves on.

    A process that was stopped (SIGSTOP) and goes on finds that moment passed, whatever it believed before. A write that
    was already on its way is harmless: it carries the version that it was decided on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._writing = 0
        self._changed = Condition()

    @classmethod
    def sole(cls) -> "Leadership":
        """The leadership of the only replica: never asked for, never lost."""
        only = cls()
        only.extend(float("inf"))
        return only

    def extend(self, until: float) -> None:
        """Held until then, monotonic seconds."""
        with self._changed:
            self._until = until

    @property
    def held(self) -> bool:
        return self._clock() < self._until

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Around a write: whether it is allowed."""
        with self._changed:
            allowed = self.held
            self._writing += 1
        try:
            yield allowed
        finally:
            with self._changed:
                self._writing -= 1
                self._changed.notify_all()

    def end(self, seconds: float) -> bool:
        """Allow no further write and wait for those under way. False when some still were after ``seconds``."""
        with self._changed:
            self._until = float("-inf")
            return self._changed.wait_for(lambda: self._writing == 0, seconds)


LEASES = "/apis/coordination.k8s.io/v1/leases"
# What a write under way has before the lease is given back without it.
DRAIN_SECONDS = 3.0

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Elector:
    """Runs for the lease ``namespace/name`` as ``identity``; ``on_gain`` is called each time it is won."""

    api: Api
    leadership: Leadership
    on_gain: Callable[[], None]
    _: KW_ONLY
    namespace: str
    name: str
    identity: str
    timing: Timing = Timing()  # noqa: RUF009 (a tuple)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._path = object_path(LEASES, self.namespace, self.name)
        self._seen: tuple[str, float] = ("", self.clock())  # (version, when it was first seen)
        self._leading = False
        self._trouble = ""
        self._moved_at = self.clock()
        self._stopping = Event()

    def run(self) -> None:
        """Stand for the lease until :meth:`stop`; then give it back if it is held. Errors are waited out."""
        while not self._stopping.is_set():
            try:
                self._round()
                self._trouble = ""
            except KubeError as error:
                self._say_trouble(error)
            self._notice_loss()
            self._stopping.wait(self.timing.renew if self._leading else self.timing.retry)
        self._give_back()

    def stop(self) -> None:
        self._stopping.set()

    def moved_at(self) -> float:
        """Seconds of the clock: when it last began a request or had its answer."""
        return self._moved_at

    def _round(self) -> None:
        # Counted from before the request: the others count from when they see it, which is later.
        self._notice_loss()
        started = self.clock()
        lease = self._look()
        self._yield_to(lease)
        step = leases.next_step(lease, started - self._seen[1], self.identity, self.timing)
        if step is Step.WAIT:
            return
        try:
            now = datetime.now(UTC)
            self._write(lease, leases.held(self.name, self.namespace, lease, self.identity, now, self.timing))
        except Conflict:
            self._yield_to(self._look())  # another replica was quicker
            return
        self.leadership.extend(started + self.timing.deadline)
        if not self._leading:
            self._leading = True
            log.info("this replica writes now", extra={"reason": step.value})
            self.on_gain()

    def _yield_to(self, lease: Lease | None) -> None:
        """Whoever else holds it writes: whatever time is left to this replica, somebody took it away."""
        if self._leading and lease is not None and lease.holder not in ("", self.identity):
            self._leading = False
            self.leadership.extend(float("-inf"))
            log.warning("another replica holds the lease: this one does not write any more")

    def _look(self) -> Lease | None:
        try:
            lease = leases.read(self._request("GET", self._path))
        except NotFound:
            return None
        if lease.metadata.resource_version != self._seen[0]:
            self._seen = (lease.metadata.resource_version, self.clock())
        return lease

    def _write(self, lease: Lease | None, body: dict[str, Any]) -> None:
        if lease is None:
            self._request("POST", namespaced(LEASES, self.namespace), body)
        else:
            self._request("PUT", self._path, body)

    def _notice_loss(self) -> None:
        if self._leading and not self.leadership.held:
            self._leading = False
            log.warning("this replica could not renew its lease and does not write any more")

    def _give_back(self) -> None:
        if not self.leadership.held:
            return
        if not self.leadership.end(DRAIN_SECONDS):
            log.warning("a write is still under way: the lease runs out by itself")
            return
        try:
            lease = self._look()
            if lease is not None and lease.holder == self.identity:
                self._write(lease, leases.released(self.name, self.namespace, lease, datetime.now(UTC)))
        except KubeError as error:
            log.warning("the lease could not be given back and runs out by itself: %s", error)

    def _say_trouble(self, error: KubeError) -> None:
        if str(error) != self._trouble:
            log.warning("lease %s/%s: %s", self.namespace, self.name, error, extra={"reason": type(error).__name__})
        self._trouble = str(error)

    def _request(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        # Half the deadline: a hanging server must leave time for a second attempt.
        seconds = min(self.timing.deadline / 2, REQUEST_TIMEOUT)
        self._moved_at = self.clock()
        try:
            return self.api.request(method, path, body=body, seconds=seconds)
        finally:
            self._moved_at = self.clock()
