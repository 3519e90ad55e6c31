"""The list-watch against the real API server, through a proxy that breaks the connection in every way there is."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
import urllib3

from lastnode import reading
from lastnode.contract import WORKLOAD_NAME_LABEL
from lastnode.kinds import AGENT_RUNTIME, AGENTCUBE
from lastnode.kube import api
from lastnode.kube.queue import Backoff
from lastnode.kube.watch import HEALTHY_SECONDS
from testbed.apply import apply
from testbed.errors import ApiError
from testbed.sandboxversions import definition
from testbed.stack import Stack
from tests.recorder.followed import Followed
from tests.recorder.tcpproxy import TcpProxy

Watched = Followed[TcpProxy]


@pytest.fixture
def followed(plane: Stack, tmp_path: Path) -> Iterator[Watched]:
    with TcpProxy(int(plane.cp.url.rpartition(":")[2])) as proxy:
        yield Followed(plane, proxy, proxy.kubeconfig(plane.cp.kubeconfig, tmp_path / "config"))


def test_it_follows_what_is_there_what_comes_and_what_goes(followed: Watched) -> None:
    followed.create(*"abcdefg")
    with followed.running() as watch:
        followed.until(lambda: watch.progress.synced, "the first list")
        assert followed.equal()
        assert len(followed.store) == 7
        followed.create("new")
        followed.delete("a")
        followed.becomes_equal()
    assert followed.counts.lists == 1
    assert followed.counts.events["ADDED"] == 1
    assert followed.counts.events["DELETED"] >= 1


def test_a_cut_connection_is_opened_again_without_a_new_list(followed: Watched) -> None:
    followed.create("a")
    with followed.running():
        followed.becomes_equal()
        for name in "bcd":
            followed.proxy.cut()
            followed.create(name)
            followed.becomes_equal()
    assert followed.counts.lists == 1


def test_what_changes_while_the_server_cannot_be_reached_is_not_missed(followed: Watched) -> None:
    followed.create("gone", "stays")
    with followed.running() as watch:
        followed.becomes_equal()
        followed.proxy.refusing = True
        followed.proxy.cut()
        followed.create("new")
        followed.delete("gone")
        followed.until(lambda: "unreachable" in followed.counts.failures, "the refused connection to be noticed")
        followed.until(lambda: bool(watch.progress.trouble), "the trouble to be told")
        assert not followed.equal()
        followed.proxy.refusing = False
        followed.becomes_equal()
        followed.until(lambda: not watch.progress.trouble, "the trouble to be over")


def test_a_connection_that_went_silent_is_noticed(followed: Watched) -> None:
    with followed.running(silence=1.0):
        followed.becomes_equal()
        followed.create("a")
        followed.becomes_equal()  # by the watch, which is open now
        followed.proxy.stalled = True
        followed.create("b")
        followed.until(lambda: "silent" in followed.counts.failures, "the silence to be noticed")
        assert not followed.equal()
        # The dead connections stay dead; new ones work.
        followed.proxy.cut()
        followed.proxy.stalled = False
        followed.becomes_equal()


def test_an_idle_watch_is_reopened_after_its_silence_and_loses_nothing(followed: Watched) -> None:
    with followed.running(silence=0.5):
        followed.until(lambda: followed.counts.failures.count("silent") >= 2, "two silences")
        followed.create("a")
        followed.becomes_equal()
    assert followed.counts.lists == 1


def test_a_server_that_hangs_up_at_once_is_asked_no_more_often_than_the_back_off_allows(followed: Watched) -> None:
    # Delays of 0.1, 0.2, 0.4 and 0.8 s at least come before the sixth attempt.
    followed.backoff = Backoff(0.2, 10.0, lambda low, high: low)
    followed.proxy.refusing = True
    with followed.running():
        followed.until(lambda: followed.proxy.connections >= 5, "five attempts")
    _spread(followed.proxy.opened_at, [0.1, 0.2, 0.4, 0.8])


def test_a_watch_that_is_closed_at_once_each_time_backs_off(followed: Watched) -> None:
    followed.create("a")
    followed.backoff = Backoff(0.2, 10.0, lambda low, high: low)
    with followed.running() as watch, _cutting(followed.proxy, lambda: watch.progress.synced):
        followed.until(lambda: len(followed.counts.failed_at) >= 4, "four failures")
    # Not its connections: an attempt whose last one was cut before the server answered it asks for the version first.
    _spread(followed.counts.failed_at, [0.1, 0.2, 0.4])
    assert followed.counts.lists == 1


def _spread(moments: list[float], least: list[float]) -> None:
    """Between one attempt and the next there was at least the back-off's delay."""
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(gap >= wanted for gap, wanted in zip(gaps, least, strict=False)), gaps


@contextmanager
def _cutting(proxy: TcpProxy, begun: Callable[[], bool]) -> Iterator[None]:
    """Cut every connection again and again, as soon as ``begun``."""
    over: list[bool] = []

    def cut() -> None:
        while not over:
            if begun():
                proxy.cut()
            time.sleep(0.01)

    thread = Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        over.append(True)
        thread.join(10)


def test_events_that_came_together_wait_for_no_others_and_stopping_waits_for_none(followed: Watched) -> None:
    """Were each to wait for the next one, they would take a minute."""
    with followed.running(gather=3.0) as watch:
        followed.until(lambda: watch.progress.synced, "the first list")
        followed.create(*(f"n{number}" for number in range(20)))
        followed.becomes_equal()
    with followed.running(gather=60.0) as watch:
        followed.until(lambda: watch.progress.synced, "the first list")
        followed.create("last")
        followed.becomes_equal()


def test_slow_failures_back_off_as_quick_ones_do(followed: Watched) -> None:
    """A connection that takes long to fail (a firewall that drops packets) is no healthy watch."""
    followed.proxy.refusing = True
    followed.proxy.delay = 0.2
    # For this list-watch each of these failures takes twice as long as a watch has to live to count as healthy.
    factor = 2 * HEALTHY_SECONDS / followed.proxy.delay
    with followed.running(clock=lambda: time.monotonic() * factor):
        followed.until(lambda: len(followed.counts.failures) >= 4, "four failures")
    assert followed.backoff.attempts >= 4


def test_a_version_compacted_away_leads_to_a_new_list(followed: Watched) -> None:
    followed.create("gone", "stays")
    with followed.running() as watch:
        followed.becomes_equal()
        followed.proxy.refusing = True
        followed.proxy.cut()
        followed.delete("gone")
        followed.create("new")
        followed.until(lambda: "unreachable" in followed.counts.failures, "the connection to be missed")
        _compact(followed.plane)
        # The watch cache still knows old versions; a server that starts anew has none.
        followed.plane.cp.apiserver.restart()
        _until_served(followed)
        followed.proxy.refusing = False
        followed.becomes_equal()
        assert watch.progress.trouble == ""
    assert "gone" in followed.counts.failures
    assert followed.counts.lists >= 2


def test_a_version_from_the_distant_past_leads_to_a_new_list(followed: Watched) -> None:
    followed.create("a")
    _compact(followed.plane)
    # A server that has run since the beginning still has the whole past in its watch cache.
    followed.plane.cp.apiserver.restart()
    _until_served(followed)
    with followed.running(page_size=1) as watch:
        followed.becomes_equal()
        watch._version = "1"  # as if it had slept since the beginning
        followed.proxy.cut()
        followed.create("b")
        followed.until(lambda: "gone" in followed.counts.failures, "the old version to be refused")
        followed.becomes_equal()


def test_a_restarted_api_server_is_found_again(followed: Watched) -> None:
    followed.create("a")
    with followed.running():
        followed.becomes_equal()
        followed.plane.cp.apiserver.kill()
        followed.until(lambda: bool(followed.counts.failures), "the loss to be noticed")
        followed.plane.cp.apiserver.start()
        _until_served(followed)
        followed.create("b")
        followed.delete("a")
        followed.becomes_equal()


@pytest.mark.parametrize("stalled", [False, True])
def test_stop_returns_at_once_while_a_watch_is_open(followed: Watched, stalled: bool) -> None:
    with ExitStack() as stack:
        watch = stack.enter_context(followed.running(silence=600.0))
        followed.until(lambda: watch.progress.heard_at is not None and watch._watching_since is not None, "a watch")
        followed.proxy.stalled = stalled
        started = time.monotonic()
        stack.close()
        assert time.monotonic() - started < 5


def test_stop_returns_at_once_while_it_waits_out_a_back_off(followed: Watched) -> None:
    followed.backoff = Backoff(600.0, 600.0)
    followed.proxy.refusing = True
    with ExitStack() as stack:
        stack.enter_context(followed.running())
        followed.until(lambda: bool(followed.counts.failures), "a failure")
        started = time.monotonic()
        stack.close()
        assert time.monotonic() - started < 5


def test_an_object_that_cannot_be_read_is_skipped_and_counted_alone(followed: Watched) -> None:
    def picky(data: Any) -> Any:
        node = reading.read_node(data)
        if node.name.endswith("-odd"):
            reading.read_node(b'{"metadata": 7}')
        return node

    followed.create("a", "odd", "z")
    with followed.running(read=picky):
        followed.until(lambda: len(followed.store) == 2 and followed.counts.skips == 1, "all but the odd one")
        followed.create("next")
        followed.until(lambda: len(followed.store) == 3, "events to go on")


def test_an_error_that_nobody_foresaw_costs_only_the_object_that_it_is_about(followed: Watched) -> None:
    """While it is read, or while somebody is told of it."""

    def picky(data: Any) -> Any:
        node = reading.read_node(data)
        if node.name.endswith("-odd"):
            raise OverflowError("date value out of range")
        return node

    def listener(before: Any, after: Any) -> None:
        if after is not None and after.name.endswith("-hard"):
            raise ZeroDivisionError

    followed.store.subscribe(listener)
    followed.create("a", "hard", "odd", "z")
    with followed.running(read=picky):
        followed.until(lambda: len(followed.store) == 3 and followed.counts.skips == 1, "all but the odd one")
        followed.create("next-odd", "next-hard", "next")
        followed.until(lambda: len(followed.store) == 5, "events to go on")
    assert (followed.counts.lists, followed.counts.failures) == (1, [])
    assert sorted(followed.counts.errors) == ["listener", "listener", "reading", "reading"]


def test_an_object_that_its_definition_allows_and_we_cannot_read_costs_no_other(followed: Watched) -> None:
    group = f"{followed.mine}.example.com"
    resource = f"sandboxes.{group}"
    collection = f"/apis/{group}/v1/namespaces/default/sandboxes"
    apply(followed.plane.cp, _definition(resource, group))
    followed.until(lambda: _served(followed.plane, collection), "the collection")

    def add(name: str, spec: Any) -> None:
        body = {"apiVersion": f"{group}/v1", "kind": "Sandbox", "spec": spec}
        followed.plane.api.post(collection, body | {"metadata": {"name": name, "labels": {"of": followed.mine}}})

    sticky = {"nodeStickiness": {"enabled": True}}
    add("a", sticky)
    add("b-odd", "none")
    add("c", sticky)
    with followed.running(resource, functools.partial(reading.read_workload, AGENT_RUNTIME)):
        followed.until(lambda: [key.name for key in followed.store] == ["a", "c"], "all but the odd one")
        assert followed.counts.skips == 1
        add("d-odd", [sticky])
        add("e", sticky)
        followed.until(lambda: [key.name for key in followed.store] == ["a", "c", "e"], "events to go on")
        assert followed.counts.skips == 2
        followed.plane.api.patch(f"{collection}/a", {"spec": 7})
        followed.until(lambda: [key.name for key in followed.store] == ["c", "e"], "what was known before to go")
        followed.plane.api.delete(f"{collection}/a")
        followed.plane.api.patch(f"{collection}/c", {"spec": {"nodeStickiness": "yes", "warmPoolSize": []}})
        followed.until(lambda: [one.sticky for one in followed.store.values()] == [False, True], "it to be no opt-in")
        assert (followed.counts.skips, followed.counts.lists) == (4, 1)
    followed.plane.api.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource}")


def test_an_object_nested_deeper_than_a_decoder_goes_is_read_and_costs_no_other(followed: Watched) -> None:
    group = f"{followed.mine}.example.com"
    resource = f"sandboxes.{group}"
    collection = f"/apis/{group}/v1/namespaces/default/sandboxes"
    apply(followed.plane.cp, _definition(resource, group))
    followed.until(lambda: _served(followed.plane, collection), "the collection")
    server = api.load(str(followed.plane.cp.kubeconfig), "test")

    def add(name: str, levels: int = 1) -> None:
        labels = {"of": followed.mine, WORKLOAD_NAME_LABEL: f"w-of-{name}"}
        nested = msgspec.Raw(b'{"a":' * levels + b"1" + b"}" * levels)
        body = {"apiVersion": f"{group}/v1", "kind": "Sandbox", "metadata": {"name": name, "labels": labels}}
        server.request("POST", collection, body={**body, "spec": nested})

    def seen() -> list[str]:
        return [controller.claim(WORKLOAD_NAME_LABEL) for controller in followed.store.values()]

    add("a")
    add("b-deep", levels=1000)
    add("c")
    with followed.running(resource, functools.partial(reading.read_controller, AGENTCUBE.keys)):
        followed.until(lambda: seen() == ["w-of-a", "w-of-b-deep", "w-of-c"], "the page")
        add("d-deep", levels=5000)
        add("e")
        followed.until(lambda: seen()[3:] == ["w-of-d-deep", "w-of-e"], "the events")
        server.request("DELETE", f"{collection}/d-deep")
        followed.until(lambda: len(seen()) == 4, "the deep one's end")
    assert (followed.counts.lists, followed.counts.skips, followed.counts.failures) == (1, 0, [])
    followed.plane.api.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource}")


def test_a_resource_not_installed_installed_later_and_deleted_is_followed_all_the_way(followed: Watched) -> None:
    group = f"{followed.mine}.example.com"
    resource = f"sandboxes.{group}"
    definition = _definition(resource, group)
    collection = f"/apis/{group}/v1/namespaces/default/sandboxes"

    def add(name: str) -> None:
        body = {"apiVersion": f"{group}/v1", "kind": "Sandbox"}
        followed.plane.api.post(collection, body | {"metadata": {"name": name, "labels": {"of": followed.mine}}})

    with followed.running(resource, functools.partial(reading.read_controller, AGENTCUBE.keys)) as watch:
        followed.until(lambda: watch.progress.synced, "an absent resource to count as an empty one")
        assert not followed.store
        assert "not served" in watch.progress.trouble
        for round_ in range(2):
            apply(followed.plane.cp, definition)
            followed.until(lambda: _served(followed.plane, collection), "the collection")
            add(f"s{round_}")
            followed.until(
                lambda name=f"s{round_}": [key.name for key in followed.store] == [name], "the object"  # type: ignore[misc]
            )  # fmt: skip
            defined = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{resource}"
            followed.plane.api.delete(defined)
            followed.until(lambda: not followed.store, "the objects of a deleted resource to go")
            # Before that it takes no new objects, and a definition that is applied would only change the old one.
            followed.until(lambda path=defined: not _served(followed.plane, path), "the definition to go")  # type: ignore[misc]
        followed.until(lambda: "not served" in watch.progress.trouble, "its absence to be told")


def _definition(resource: str, group: str) -> dict[str, Any]:
    """A definition of another group in the likeness of Sandbox's."""
    published = definition(["v1beta1"])
    version = published["spec"]["versions"][0] | {"name": "v1"}
    version["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = published["spec"] | {"group": group, "versions": [version]}
    return {**published, "metadata": {"name": resource}, "spec": spec}


def _served(plane: Stack, path: str) -> bool:
    try:
        plane.api.get(path)
    except ApiError:
        return False
    return True


def _until_served(followed: Watched) -> None:
    followed.until(lambda: _served(followed.plane, "/api/v1/nodes"), "the API server")


def _compact(plane: Stack) -> None:
    """Compact etcd's history up to now, through its HTTP gateway."""
    with urllib3.PoolManager() as http:
        now = http.request("POST", f"{plane.cp.etcd.url}/v3/kv/range", json={"key": "AA=="}).json()["header"][
            "revision"
        ]
        done = http.request("POST", f"{plane.cp.etcd.url}/v3/kv/compaction", json={"revision": now, "physical": True})
        assert done.status == 200, done.data
