"""/livez: false once a loop has stopped moving, and not because the API server is away. With real loops."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from lastnode import reading
from lastnode.daemon import health
from lastnode.kube import api
from lastnode.kube.election import Elector, Leadership
from lastnode.kube.lease import Timing
from lastnode.kube.queue import Backoff, WorkQueue
from lastnode.kube.store import Store
from lastnode.kube.watch import ListWatch
from lastnode.objects import Node, WorkloadKey
from lastnode.view import MemoryCache, View
from testbed.stack import Stack
from tests.recorder.httpproxy import HttpProxy
from tests.recorder.loops import following, running, writer_of
from tests.recorder.space import Space
from tests.recorder.tcpproxy import TcpProxy

# In the place of three minutes. Back-off and silence are as much shorter here.
LIMIT = 2.0


@pytest.fixture
def proxy(plane: Stack) -> Iterator[TcpProxy]:
    with TcpProxy(int(plane.cp.url.rpartition(":")[2])) as proxy:
        yield proxy


def nodes_watch(server: api.Api, store: Store[Node]) -> ListWatch[Node]:
    return ListWatch(server, "nodes", reading.read_node, store, silence=0.5, backoff=Backoff(0.1, 0.5))


def live(checks: health.Checks) -> bool:
    return health.report("livez", checks, verbose=False).status == 200


def test_a_watch_whose_loop_hangs_is_not_live_and_the_others_are(plane: Stack) -> None:
    server = api.load(str(plane.cp.kubeconfig), "test")
    hanging, well = nodes_watch(server, Store()), nodes_watch(server, Store())
    goes_on = Event()
    hanging.store.subscribe(lambda *_: goes_on.wait(60) and None)  # type: ignore[attr-defined]
    checks = health.live_checks([hanging], limit=LIMIT)
    others = health.live_checks([well], limit=LIMIT)
    Space(plane).node("a")
    with ExitStack() as loops:
        loops.enter_context(running(well))
        loops.enter_context(running(hanging))
        loops.callback(goes_on.set)
        plane.wait(lambda: not live(checks), "the one that hangs to be noticed")
        assert live(others)
        goes_on.set()
        plane.wait(lambda: live(checks), "it to move again")


def test_an_api_server_that_is_away_for_longer_is_no_reason_to_be_restarted(
    plane: Stack, proxy: TcpProxy, tmp_path: Path
) -> None:
    server = api.load(str(proxy.kubeconfig(plane.cp.kubeconfig, tmp_path / "config")), "test")
    watch = nodes_watch(server, Store())
    leadership = Leadership()
    elector = Elector(
        server, leadership, lambda: None, namespace="default", name="liveness", identity="me", timing=Timing.of(1.0)
    )
    checks = health.live_checks([watch], {"elector": elector.moved_at}, limit=LIMIT)
    with running(watch), running(elector):
        plane.wait(lambda: watch.progress.synced and leadership.held, "both to work")
        proxy.refusing = True
        proxy.cut()
        plane.wait(lambda: watch.progress.lost and not leadership.held, "the loss to be noticed")
        end = time.monotonic() + 2 * LIMIT
        while time.monotonic() < end:
            assert live(checks)
        proxy.refusing = False
        plane.wait(lambda: not watch.progress.lost and leadership.held, "both to work again")


def test_a_write_that_never_ends_is_noticed_and_an_idle_writer_is_well(plane: Stack, tmp_path: Path) -> None:
    space = Space(plane)
    goes_on = Event()
    with HttpProxy(plane.cp) as proxy:
        server = api.load(str(proxy.kubeconfig(tmp_path / "config")), "test")
        view = View()
        queue: WorkQueue[WorkloadKey] = WorkQueue()
        writer = writer_of(server, view, following(view, queue), queue, MemoryCache(0), nodes_known=False)
        checks = health.live_checks((), {"writers": writer.moved_at}, limit=LIMIT)
        proxy.fault = lambda asked: goes_on.wait(60) and None if asked.method == "PATCH" else None
        with ExitStack() as loops:
            for watch in view.watches(server, sessions=True):
                loops.enter_context(running(watch))
            loops.enter_context(running(writer))
            loops.callback(goes_on.set)
            space.workload()
            node = space.node("a")
            idle_since = time.monotonic()
            plane.wait(lambda: time.monotonic() > idle_since + LIMIT, "it to be idle for longer than the limit")
            assert live(checks)
            space.session("s", node, 1)
            plane.wait(lambda: not live(checks), "the write that hangs to be noticed")
            goes_on.set()
            space.written(node)
            plane.wait(lambda: live(checks), "the writer to be well again")
