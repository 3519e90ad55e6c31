"""The wiring: watches bring changes into one queue, one thread decides, the writers send."""

import logging
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from lastnode.contract import SANDBOX_RESOURCE
from lastnode.kube.api import Api
from lastnode.kube.errors import Refused
from lastnode.kube.observer import Observer
from lastnode.kube.queue import Backoff
from lastnode.kube.store import Keys, ObjectKey, Store
from lastnode.kube.watch import ListWatch
from testbed.agent import nodes, requests, wire
from testbed.agent.kubelets import Kubelets
from testbed.agent.requests import Request
from testbed.agent.sandboxes import Sandboxes
from testbed.agent.settings import Settings
from testbed.agent.timers import Moment, Timers
from testbed.agent.wire import SeenNode
from testbed.agent.writers import Writers

# How soon after an outage, or after the Sandbox CRD was installed, the agent is back: it has the machine to itself.
_RETRY_FIRST: Final = 0.2
_RETRY_CAP: Final = 2.0
_JOIN_SECONDS: Final = 5.0

log = logging.getLogger(__name__)

Change = Callable[[Moment], None]


class _Mirror(Store[Any]):
    """A store that forgets what a list lacks only when that list has really been seen.

    A list-watch empties its sink when the resource is not served. That is also what an API server says for a moment
    while it starts, and the pods of all Sandboxes would be collected.
    """

    def __init__(self) -> None:
        super().__init__()
        self._keys = Keys()

    def retain(self, keys: Keys, among: Callable[[Any], bool] = lambda _: True) -> None:
        self._keys = keys

    def settle(self) -> None:
        super().retain(self._keys)


class _Lists(Observer):
    """The observer of one list-watch: hears of whole lists, and of nothing else."""

    def __init__(self, mirror: _Mirror, when_listed: Callable[[], None]) -> None:
        self._mirror = mirror
        self._when_listed = when_listed

    def listed(self, resource: str, seconds: float, objects: int) -> None:
        self._mirror.settle()
        self._when_listed()


class Agent:
    """Runs in the thread that calls :meth:`run`, until :meth:`stop` is called by any thread or signal handler."""

    def __init__(self, api: Api, settings: Settings) -> None:
        self._settings = settings
        self._inbox: SimpleQueue[Change | None] = SimpleQueue()
        self._timers = Timers()
        self._writers = Writers(api, settings.writers, self._on_refusal)
        self._kubelets = Kubelets(settings.model, self._timers, self._writers.send)
        self._sandboxes = Sandboxes(self._writers.send, settings.sandbox_status)
        self._unlisted = {"nodes", "pods", SANDBOX_RESOURCE}
        self._announced = False
        self._failure: BaseException | None = None
        self._watches = [
            self._watch(api, "nodes", wire.node, self._node_changed),
            self._watch(api, "pods", wire.pod, self._pod_changed),
            self._watch(api, SANDBOX_RESOURCE, wire.sandbox, self._sandboxes.sandbox_changed),
        ]

    def run(self) -> None:
        """Serve until stopped. Raises what broke a watch's thread, if that ever happens."""
        threads = [Thread(target=self._follow, args=(watch,), name=watch.resource) for watch in self._watches]
        self._writers.start()
        for thread in threads:
            thread.start()
        try:
            self._decide()
        finally:
            for watch in self._watches:
                watch.stop()
            for thread in threads:
                thread.join(_JOIN_SECONDS)
            self._writers.stop()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        self._inbox.put(None)  # reentrant, so a signal handler may call this

    def _decide(self) -> None:
        while True:
            now = _now()
            self._timers.run(now)
            due = self._timers.next_due()
            try:
                change = self._inbox.get(timeout=None if due is None else max(0.0, due - time.monotonic()))
            except Empty:
                continue
            if change is None:
                return
            change(_now())

    def _watch(self, api: Api, resource: str, read: Any, changed: Any) -> ListWatch[Any]:
        mirror = _Mirror()
        mirror.subscribe(lambda before, after: self._inbox.put(lambda now: changed(before, after, now)))
        lists = _Lists(mirror, lambda: self._inbox.put(lambda now: self._on_list(resource, now)))
        backoff = Backoff(_RETRY_FIRST, _RETRY_CAP)
        return ListWatch(api, resource, read, mirror, observer=lists, backoff=backoff)

    def _follow(self, watch: ListWatch[Any]) -> None:
        try:
            watch.run()
        except BaseException as error:  # raised again where run() was called
            self._failure = error
            self.stop()

    def _node_changed(self, before: SeenNode | None, after: SeenNode | None, now: Moment) -> None:
        self._kubelets.node_changed(before, after, now)
        self._announce()

    def _pod_changed(self, before: Any, after: Any, now: Moment) -> None:
        self._kubelets.pod_changed(before, after, now)
        self._sandboxes.pod_changed(before, after, now)

    def _on_refusal(self, request: Request, error: Refused) -> None:
        origin = request.origin
        if isinstance(origin, ObjectKey):
            self._inbox.put(lambda now: self._sandboxes.refused(origin, error.reason, now))

    def _on_list(self, resource: str, now: Moment) -> None:
        if resource not in self._unlisted:
            return
        self._unlisted.discard(resource)
        if resource == "nodes":
            self._kubelets.nodes_listed()
            self._make_nodes(now)
        if not self._unlisted & {"pods", SANDBOX_RESOURCE}:
            self._sandboxes.listed(now)
        self._announce()

    def _make_nodes(self, now: Moment) -> None:
        settings = self._settings
        for index in range(settings.nodes):
            name = f"{settings.node_prefix}{index}"
            if not self._kubelets.machines.exists(name):
                body = nodes.node_object(name, settings.model.shape, now.wall, index)
                self._writers.send(requests.create("/api/v1/nodes", body, name))

    def _announce(self) -> None:
        """Say once, on stdout, that everything is there: whoever started this may wait for the line."""
        served = len(self._kubelets.machines)
        if not self._announced and served >= self._settings.nodes and not self._unlisted & {"nodes", "pods"}:
            self._announced = True
            # One write: a log that others write to as well must not tear the line.
            sys.stdout.write(f"ready: {served} nodes (pid {os.getpid()})\n")
            sys.stdout.flush()


def _now() -> Moment:
    return Moment(time.monotonic(), datetime.now(UTC))
