"""The cache of parsed memories: bounded, gone when the memory expires, never older than the annotations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from lastnode import view
from lastnode.contract import AGENTCUBE_PREFIX, RECENT_NODES_ANNOTATION
from lastnode.kube.store import Store
from lastnode.memory import Entry, Memory, render
from lastnode.objects import Workload, pack
from lastnode.status import EARLIEST, LATEST
from lastnode.view import MAX_MEMORIES, MemoryCache

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TTL = 100.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON.timestamp()

    def __call__(self) -> float:
        return self.now


def memory(node: str = "n", age: float = 0.0) -> Memory:
    return (Entry(node=node, ready_at=NOON - timedelta(seconds=age)),)


def workload(what: Memory, uid: str = "u", version: str = "1") -> Workload:
    return Workload(
        namespace="ns", name="w", uid=uid, resource_version=version, resource="r", kind="K", sticky=True,
        last_node=what[0].node if what else None,
        packed_nodes=pack(render(what, AGENTCUBE_PREFIX)[RECENT_NODES_ANNOTATION]),
    )  # fmt: skip


def test_it_recalls_what_the_annotations_say() -> None:
    cache = MemoryCache(TTL, Clock())
    assert cache.recall(workload(memory())) == memory()
    assert len(cache) == 1


def test_one_version_is_parsed_only_once() -> None:
    cache = MemoryCache(TTL, Clock())
    first = cache.recall(workload(memory()))
    assert cache.recall(workload(memory())) is first


def test_a_new_version_is_parsed_anew() -> None:
    cache = MemoryCache(TTL, Clock())
    cache.recall(workload(memory("old")))
    assert cache.recall(workload(memory("new"), version="2")) == memory("new")
    assert len(cache) == 1


def test_a_version_without_a_memory_is_not_answered_from_the_former_one() -> None:
    cache = MemoryCache(TTL, Clock())
    cache.recall(workload(memory()))
    assert cache.recall(workload((), version="2")) == ()


def test_workloads_of_one_name_do_not_share_a_memory() -> None:
    cache = MemoryCache(TTL, Clock())
    cache.recall(workload(memory("former"), uid="former"))
    assert cache.recall(workload(memory("present"), uid="present")) == memory("present")


@pytest.mark.parametrize(("age", "kept"), [(TTL - 0.5, 1), (TTL, 0), (TTL + 0.5, 0)])
def test_an_item_expires_exactly_when_its_newest_entry_does(age: float, kept: int) -> None:
    clock = Clock()
    cache = MemoryCache(TTL, clock)
    cache.recall(workload(memory()))
    clock.now += age
    assert len(cache) == kept


@pytest.mark.parametrize("age", [TTL, 10 * TTL])
def test_what_is_expired_already_is_recalled_but_not_kept(age: float) -> None:
    cache = MemoryCache(TTL, Clock())
    assert cache.recall(workload(memory(age=age))) == memory(age=age)
    assert len(cache) == 0


def test_a_memory_of_nothing_is_parsed_only_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCache(TTL, Clock())
    nothing = workload(())
    assert (cache.recall(nothing), len(cache)) == ((), 1)
    monkeypatch.delattr(view, "parse_text")  # it is not there to be called again
    assert cache.recall(nothing) == ()


def test_nothing_is_kept_of_a_workload_that_has_not_opted_in_or_does_not_any_more() -> None:
    cache, store = MemoryCache(TTL, Clock()), Store[Workload]()
    cache.follow([store])
    on, off = workload(memory()), msgspec.structs.replace(workload(memory(), version="2"), sticky=False)
    for before, after in ((on, off), (on, None)):
        store.upsert(before)
        assert (cache.recall(before), len(cache)) == (memory(), 1)
        store.remove(before) if after is None else store.upsert(after)
        assert len(cache) == 0
    assert (cache.recall(off), len(cache)) == ((), 0)


def test_without_a_ttl_nothing_expires() -> None:
    clock = Clock()
    cache = MemoryCache(0, clock)
    cache.recall(workload(memory()))
    clock.now += 10 * 365 * 86400
    assert len(cache) == 1


def test_an_undated_memory_does_not_expire() -> None:
    clock = Clock()
    cache = MemoryCache(TTL, clock)
    cache.recall(workload((Entry(node="n", hostname="n"),)))
    clock.now += 10 * TTL
    assert len(cache) == 1


def test_it_is_bounded_and_forgets_those_not_used_for_longest() -> None:
    cache = MemoryCache(TTL, Clock(), size=3)
    first = cache.recall(workload(memory(), uid="0"))
    for number in range(1, 3):
        cache.recall(workload(memory(), uid=str(number)))
    assert cache.recall(workload(memory(), uid="0")) is first
    cache.recall(workload(memory(), uid="3"))
    assert len(cache) == 3
    assert cache.recall(workload(memory(), uid="0")) is first
    assert MAX_MEMORIES > 0


@pytest.mark.parametrize("ready_at", [EARLIEST, LATEST])
def test_the_ends_of_time_are_no_trouble(ready_at: datetime) -> None:
    cache = MemoryCache(TTL, Clock())
    assert cache.recall(workload((Entry(node="n", ready_at=ready_at),)))[0].ready_at == ready_at
