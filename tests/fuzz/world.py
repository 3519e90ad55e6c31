"""What both programs make of the API server's bytes, in this process: no thread, no connection, no clock.

Readers, view, sessions, writing and looking up are the programs' own; only the loops between them are done here, so
that nothing is caught on the way: whatever is raised but Undecodable is a fault.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from extender.lookup import Lookup
from extender.waiting import Patience
from lastnode.kube import wire
from lastnode.kube.errors import Undecodable
from lastnode.kube.store import Keys
from lastnode.memory import patch_body, render
from lastnode.objects import WorkloadKey
from lastnode.preference import scores, terms
from lastnode.reading import read_patched
from lastnode.view import MemoryCache, View
from recorder.counting import SessionLog, record_of
from recorder.life import Life, Write, decide
from recorder.sessions import Sessions

TTL = 24 * 60 * 60.0
EARLY_CRASH = 30.0


class World:
    """``now``: the time of day, which stands still. ``counted``: sessions whose outcome is certain."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self.view = View()
        self.counted = 0
        self._versions = itertools.count(1_000_000)
        nobody: Any = None  # asked by none of what is used here
        # Of the pods' watches the first: which brings a pod makes no difference to what becomes of it.
        self._watches = {watch.resource: watch for watch in reversed(self.view.watches(nobody, sessions=True))}
        self._cache = MemoryCache(TTL, now.timestamp)
        self._journal = SessionLog(100, "fuzz", now.timestamp)
        self._sessions = Sessions(
            self.view, lambda _: None, recall=self._cache.recall, ttl=TTL, known=lambda: True,
            early_crash=EARLY_CRASH, inquire=lambda life: None, count=self._count, now=lambda: now,
        )  # fmt: skip
        self._sessions.follow()
        self._lookup = Lookup(
            self.view, self._cache, TTL, synced=lambda: True, clock=now.timestamp, patience=Patience(0.0, 1)
        )

    def event(self, resource: str, line: bytes) -> None:
        """A line of that resource's watch."""
        watch = self._watches[resource]
        try:
            event = wire.event(line)
            wire.version(event)
            obj = watch.read(event.object)
        except Undecodable:
            return
        (watch.store.remove if event.type == "DELETED" else watch.store.upsert)(obj)

    def page(self, resource: str, data: bytes) -> None:
        """The only page of a list."""
        watch, seen = self._watches[resource], Keys()
        try:
            items = wire.page(data).items or ()
        except Undecodable:
            return
        for item in items:
            try:
                obj = watch.read(item)
            except Undecodable:
                continue
            seen.add(obj)
            watch.store.upsert(obj)
        watch.store.retain(seen, watch.mine)

    def settle(self) -> None:
        """Write what is pending, once; then there is nothing more to write, and the sessions are looked at."""
        for key in self._sessions.unwritten():
            self._write(key)
        assert not self._sessions.unwritten()
        for session in list(self.view.sessions.values()):
            preference = self._lookup.find(msgspec.structs.replace(session, node=None))
            list(terms(preference.nodes))
            assert all(0 <= score <= 10 for score in scores(preference.nodes).values())

    def _write(self, key: WorkloadKey) -> None:
        pending = self._sessions.pending(key)
        assert pending is not None
        workload, nodes = self.view.workload(key), self.view.nodes_by_name
        known = self._cache.recall(workload) if workload else ()
        decision = decide(workload, known, pending, nodes, self._now)
        if not isinstance(decision, Write):
            assert workload is not None
            kind = self.view.kinds[key.resource]
            patch = patch_body(workload, render(decision, kind.prefix))["metadata"]
            annotations = {name: text for name, text in patch["annotations"].items() if text is not None}
            version = str(next(self._versions))
            metadata = {"name": key.name, "resourceVersion": version, "annotations": annotations}
            written = read_patched(kind, workload, json.dumps({"metadata": metadata}).encode())
            self.view.workloads[key.resource].adopt(written)
            again = decide(written, self._cache.recall(written), pending, nodes, self._now)
            assert again is Write.UNCHANGED, f"written again and again: {decision} {again}"
        self._sessions.settle(key, pending, ours=True)

    def _count(self, life: Life) -> None:
        self._journal.add(record_of(life))
        self.counted += 1


def now() -> datetime:
    """A moment that is the same in each run: what is found plays again."""
    return datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
