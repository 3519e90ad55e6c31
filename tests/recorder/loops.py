"""Single parts of the recorder, run in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry

from lastnode.kube.api import Api
from lastnode.kube.election import Leadership
from lastnode.kube.queue import WorkQueue
from lastnode.objects import WorkloadKey
from lastnode.view import MemoryCache, View
from recorder.metrics import RecordMetrics
from recorder.sessions import Sessions
from recorder.writing import Writer


@contextmanager
def running(loop: Any) -> Iterator[None]:
    """A list-watch, an elector or a writer in a thread of its own, which has ended afterwards."""
    thread = Thread(target=getattr(loop, "run", None) or loop.work)
    thread.start()
    try:
        yield
    finally:
        loop.stop()
        thread.join(30)
        assert not thread.is_alive()


def following(view: View, queue: WorkQueue[WorkloadKey], early_crash: float = 0.0) -> Sessions:
    """The sessions of a view, whose workloads go into the queue; nothing is counted."""
    sessions = Sessions(view, queue.add, recall=lambda _: (), ttl=0, known=lambda: True, early_crash=early_crash)
    sessions.follow()
    return sessions


def writer_of(api: Api, view: View, sessions: Sessions, queue: WorkQueue[WorkloadKey], cache: MemoryCache, *,
              nodes_known: bool) -> Writer:  # fmt: skip
    """The only writer, with counters that nobody reads."""
    return Writer(
        api, view, sessions, queue, cache, RecordMetrics(CollectorRegistry()),
        leadership=Leadership.sole(), nodes_known=lambda: nodes_known,
    )  # fmt: skip
