"""etcd is restored from a copy: versions go back, and what watches from a later one has to list anew."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.controlplane import ControlPlane
from testbed.stack import Stack
from tests.recorder.followed import Followed
from tests.recorder.httpproxy import Answer, Asked, HttpProxy
from tests.recorder.space import Space


@pytest.fixture(scope="module")
def restored() -> Iterator[Stack]:
    """A control plane of its own, whose past may change."""
    with Stack.start() as stack:
        yield stack


@pytest.fixture
def followed(plane: Stack, tmp_path: Path) -> Iterator[Followed[HttpProxy]]:
    with HttpProxy(plane.cp) as proxy:
        yield Followed(plane, proxy, proxy.kubeconfig(tmp_path / "config"))


def with_etcd_stopped(cp: ControlPlane, source: Path, target: Path) -> None:
    """Copy one directory in place of the other while nobody uses them."""
    cp.apiserver.stop()
    cp.etcd.stop()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    cp.etcd.start()
    cp.apiserver.start()


def test_after_etcd_was_restored_sessions_are_recorded_as_before(restored: Stack, tmp_path: Path) -> None:
    restored.start_recorder()
    space = Space(restored)
    first, second, third = (space.node(name) for name in "abc")
    space.workload()
    space.session("first", first, 1)
    space.written(first)
    data = restored.cp.dir / "etcd"
    with_etcd_stopped(restored.cp, data, tmp_path / "copy")
    for number in range(100):
        space.workload(f"w{number}")
    space.session("lost", second, 2)
    restored.wait(lambda: space.last_node() == second, "the session before the restore", within=100)
    with_etcd_stopped(restored.cp, tmp_path / "copy", data)
    assert space.last_node() == first
    space.session("third", third, 3)
    # Two restarts in a row have made the back-off long.
    restored.wait(lambda: space.last_node() == third, "the session after the restore", within=100)
    assert [each["node"] for each in space.recent()] == [third, first]


def test_an_event_whose_version_went_back_leads_to_a_new_list(followed: Followed[HttpProxy]) -> None:
    def fault(asked: Asked) -> Answer | None:
        followed.proxy.fault = None if asked.is_watch else fault
        older = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1"}}}\n'
        return Answer(200, older, {}) if asked.is_watch else None

    followed.create("a")
    with followed.running():
        followed.becomes_equal()
        followed.proxy.fault = fault
        followed.proxy.cut()
        followed.until(lambda: "gone" in followed.counts.failures, "the older version to be noticed")
        followed.create("b")
        followed.becomes_equal()
    assert followed.counts.lists == 2


def test_a_watch_from_a_version_that_is_yet_to_come_is_noticed_by_its_silence(followed: Followed[HttpProxy]) -> None:
    followed.create("a")
    with followed.running(silence=1.0) as watch:
        followed.becomes_equal()
        watch._version = str(10**12)  # as if the server had gone back since
        followed.proxy.cut()
        followed.create("b")
        followed.until(lambda: "gone" in followed.counts.failures, "the server's version to be compared")
        followed.becomes_equal()
    assert followed.counts.lists == 2
