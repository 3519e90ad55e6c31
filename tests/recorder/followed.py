"""A list-watch that runs in the test's process, what it was heard to say, and what it kept."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Generic, TypeVar

from lastnode import reading
from lastnode.kube import api
from lastnode.kube.observer import Observer
from lastnode.kube.queue import Backoff
from lastnode.kube.store import ObjectKey, Store
from lastnode.kube.unforeseen import Unforeseen
from lastnode.kube.watch import ListWatch
from testbed.stack import Stack

P = TypeVar("P")  # the proxy between it and the API server

PAGE = 3  # so that a handful of objects takes several pages
QUICK = 0.02  # seconds of back-off: faults here end when the test says so
_numbers = itertools.count(1)


class Counts(Observer):
    """What was counted, in order."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.unforeseen = Unforeseen(self.errors.append)
        self.lists = 0
        self.events: Counter[str] = Counter()
        self.skips = 0
        self.failures: list[str] = []
        self.failed_at: list[float] = []

    def listed(self, resource: str, seconds: float, objects: int) -> None:
        self.lists += 1

    def event(self, resource: str, kind: str) -> None:
        self.events[kind] += 1

    def skipped(self, resource: str) -> None:
        self.skips += 1

    def failed(self, resource: str, reason: str) -> None:
        self.failures.append(reason)
        self.failed_at.append(time.monotonic())


class Followed(Generic[P]):
    """A running list-watch of the nodes (or another resource) with the label ``of`` = ``mine``, and what it kept."""

    def __init__(self, plane: Stack, proxy: P, kubeconfig: Path) -> None:
        self.plane, self.proxy, self.mine = plane, proxy, f"l{next(_numbers)}"
        self.kubeconfig = kubeconfig
        self.store: Store[Any] = Store()
        self.counts = Counts()
        self.backoff = Backoff(QUICK, QUICK)

    @contextmanager
    def running(
        self, resource: str = "nodes", read: Any = reading.read_node, **options: Any
    ) -> Iterator[ListWatch[Any]]:
        server = api.load(str(self.kubeconfig), "test")
        options = {"backoff": self.backoff, "page_size": PAGE} | options
        watch = ListWatch(
            server, resource, read, self.store,
            selectors={"labelSelector": f"of={self.mine}"}, observer=self.counts, **options,
        )  # fmt: skip
        thread = Thread(target=watch.run)
        thread.start()
        try:
            yield watch
        finally:
            watch.stop()
            thread.join(10)
            server.close()
            assert not thread.is_alive()

    def create(self, *names: str) -> None:
        for name in names:
            body = {"metadata": {"name": f"{self.mine}-{name}", "labels": {"of": self.mine}}}
            self.plane.api.post("/api/v1/nodes", body)

    def delete(self, *names: str) -> None:
        for name in names:
            self.plane.api.delete(f"/api/v1/nodes/{self.mine}-{name}")

    def on_the_server(self) -> dict[ObjectKey, str]:
        items = self.plane.api.get(f"/api/v1/nodes?labelSelector=of%3D{self.mine}")["items"]
        return {ObjectKey("", item["metadata"]["name"]): item["metadata"]["resourceVersion"] for item in items}

    def equal(self) -> bool:
        """Whether what is kept is what the server has, version by version."""
        return {key: obj.resource_version for key, obj in self.store.items()} == self.on_the_server()

    def becomes_equal(self) -> None:
        self.until(self.equal, f"the store to equal the server; it has {sorted(map(str, self.store))}")

    def until(self, reached: Callable[[], bool], what: str, within: float = 30.0) -> None:
        self.plane.wait(reached, what, within)
