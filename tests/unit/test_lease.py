"""Who may take the lease, and who may write: the rules alone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from lastnode.kube.election import Leadership
from lastnode.kube.errors import Undecodable
from lastnode.kube.lease import Step, Timing, held, next_step, read, released

TIMING = Timing()
NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def lease(holder: str | None, **spec: Any) -> Any:
    body = {"metadata": {"resourceVersion": "7"}, "spec": {"holderIdentity": holder, **spec}}
    return read(msgspec.json.encode(body))


def test_no_lease_is_created_and_ones_own_is_renewed() -> None:
    assert next_step(None, 0, "a", TIMING) is Step.CREATE
    assert next_step(lease("a"), 1000, "a", TIMING) is Step.RENEW


@pytest.mark.parametrize("holder", ["", None])
def test_a_released_lease_is_taken_at_once(holder: str | None) -> None:
    assert next_step(lease(holder), 0, "a", TIMING) is Step.TAKE


@pytest.mark.parametrize(("seen_for", "step"), [(14.99, Step.WAIT), (15.0, Step.TAKE)])
def test_anothers_lease_is_taken_once_it_was_silent_for_its_whole_duration(seen_for: float, step: Step) -> None:
    assert next_step(lease("b", leaseDurationSeconds=15), seen_for, "a", TIMING) is step


def test_the_duration_that_counts_is_the_one_that_the_holder_promised() -> None:
    assert next_step(lease("b", leaseDurationSeconds=60), 59, "a", TIMING) is Step.WAIT


def test_a_holder_stops_writing_before_anybody_may_take_its_lease() -> None:
    for duration in (1.0, 3.0, 15.0, 60.0):
        timing = Timing.of(duration)
        assert timing.renew < timing.deadline < timing.duration == duration


def test_a_renewal_keeps_the_time_of_acquiring_and_a_takeover_counts_as_a_transition() -> None:
    first = held("n", "ns", None, "a", NOW, TIMING)
    assert first["spec"]["acquireTime"] == "2026-11-23T12:00:00.123456Z"
    assert first["spec"]["leaseTransitions"] == 0
    assert "resourceVersion" not in first["metadata"]
    ours = lease("a", acquireTime="earlier", leaseTransitions=3)
    assert held("n", "ns", ours, "a", NOW, TIMING)["spec"]["acquireTime"] == "earlier"
    assert held("n", "ns", ours, "a", NOW, TIMING)["spec"]["leaseTransitions"] == 3
    assert held("n", "ns", ours, "b", NOW, TIMING)["spec"]["leaseTransitions"] == 4
    assert held("n", "ns", ours, "b", NOW, TIMING)["metadata"]["resourceVersion"] == "7"


def test_a_released_lease_has_no_holder() -> None:
    assert released("n", "ns", lease("a"), NOW)["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"metadata": 1}', b"\xff", b'{"metadata":{},"spec":{"leaseTransitions":"x"}}']
)
def test_what_is_no_lease_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        read(data)


def test_leadership_ends_by_itself_at_its_moment() -> None:
    now = 100.0
    leadership = Leadership(lambda: now)
    assert not leadership.held
    leadership.extend(110.0)
    now = 109.9
    assert leadership.held
    now = 110.0
    assert not leadership.held
    with leadership.writing() as allowed:
        assert not allowed


def test_the_only_replica_always_leads() -> None:
    assert Leadership.sole().held


def test_ending_waits_for_a_write_under_way_and_allows_no_other() -> None:
    leadership = Leadership.sole()
    begun, finish = threading.Event(), threading.Event()

    def write() -> None:
        with leadership.writing():
            begun.set()
            finish.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(10)
    assert not leadership.end(0.01)
    with leadership.writing() as allowed:
        assert not allowed
    finish.set()
    assert leadership.end(10)
    writer.join()
