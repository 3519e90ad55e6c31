"""Lists: soon after an outage where a version has become too old, never one after the other, never too much at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lastnode.kube.pages import PAGE_BYTES
from lastnode.kube.queue import Backoff
from lastnode.kube.watch import HEALTHY_SECONDS, ListWatch
from testbed.stack import Stack
from tests.recorder.followed import Followed
from tests.recorder.httpproxy import Answer, Asked, HttpProxy, refusal

GONE = refusal(410, "Expired")
REFUSALS = 5
# To the list-watch a watch of 20 ms has lived for as long as a healthy one.
FASTER = HEALTHY_SECONDS / 0.02


@pytest.fixture
def followed(plane: Stack, tmp_path: Path) -> Iterator[Followed[HttpProxy]]:
    with HttpProxy(plane.cp) as proxy:
        yield Followed(plane, proxy, proxy.kubeconfig(tmp_path / "kubeconfig"))


def _quick_clock() -> float:
    return time.monotonic() * FASTER


def _is_healthy(followed: Followed[HttpProxy], watch: ListWatch[Any]) -> None:
    def lived() -> bool:
        since = watch._watching_since
        return since is not None and _quick_clock() - since > HEALTHY_SECONDS

    followed.until(lived, "a watch that lives for a while")


def test_after_an_outage_a_version_that_is_too_old_is_not_waited_for_as_long_as_the_outage(
    followed: Followed[HttpProxy],
) -> None:
    """The server refuses some watches, as one does that starts, and then says that the version is too old."""
    refused: list[Asked] = []

    def fault(asked: Asked) -> Answer | None:
        if not asked.is_watch or len(refused) > REFUSALS:
            return None
        refused.append(asked)
        return refusal(503, "ServiceUnavailable") if len(refused) <= REFUSALS else GONE

    followed.create("a")
    with followed.running(clock=_quick_clock) as watch:
        followed.becomes_equal()
        _is_healthy(followed, watch)
        followed.proxy.fault = fault
        followed.proxy.cut()
        followed.create("b")
        followed.becomes_equal()
    assert followed.counts.failures[-1] == "gone"
    assert followed.counts.lists == 2
    assert followed.backoff.attempts <= 1


def test_lists_do_not_follow_each_other_where_each_version_is_too_old_at_once(followed: Followed[HttpProxy]) -> None:
    followed.backoff = Backoff(0.01, 10.0)
    followed.create("a")
    with followed.running(clock=_quick_clock) as watch:
        followed.becomes_equal()
        _is_healthy(followed, watch)
        followed.proxy.fault = lambda asked: GONE if asked.is_watch else None
        followed.proxy.cut()
        followed.until(lambda: followed.counts.failures.count("gone") >= 5, "five refused versions")
        assert followed.backoff.attempts >= 5


def test_of_objects_that_are_large_fewer_are_taken_at_a_time(followed: Followed[HttpProxy]) -> None:
    size = 240_000  # of 256 KiB that annotations may have
    names = [f"n{number}" for number in range(PAGE_BYTES // size + 5)]
    for name in names:
        labels, annotations = {"of": followed.mine}, {"filler": "x" * size}
        metadata = {"name": f"{followed.mine}-{name}", "labels": labels, "annotations": annotations}
        followed.plane.api.post("/api/v1/nodes", {"metadata": metadata})
    with followed.running(page_size=500):
        followed.becomes_equal()
    limits = [int(parse_qs(urlsplit(asked.path).query)["limit"][0]) for asked in followed.proxy.asked
              if not asked.is_watch and "limit=" in asked.path]  # fmt: skip
    assert limits == [500, 125, 31, 31]
    assert (followed.counts.lists, followed.counts.failures) == (1, [])
    followed.delete(*names)
