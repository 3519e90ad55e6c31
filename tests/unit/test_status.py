"""What a status says about Ready and about crashes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from lastnode.kube.errors import Undecodable
from lastnode.status import Status, crashed_at, ready_since

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def status(**fields: Any) -> Status:
    return msgspec.convert(fields, Status)


def ended(minute: int, code: int = 1) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "finishedAt": f"2026-11-23T12:{minute:02}:00Z"}}


def ready(value: str, time: str | None = "2026-11-23T12:00:00Z") -> dict[str, Any]:
    return {"type": "Ready", "status": value, "lastTransitionTime": time}


@pytest.mark.parametrize(
    ("fields", "minute"),
    [
        ({"containerStatuses": [{"state": ended(3)}]}, 3),
        ({"containerStatuses": [{"state": {"running": {}}, "lastState": ended(3)}]}, 3),
        ({"containerStatuses": [{"state": ended(3)}, {"state": ended(5)}, {"lastState": ended(4)}]}, 5),
        ({"containerStatuses": [{"state": ended(3)}, {"state": ended(5, code=0)}]}, 3),
        ({"containerStatuses": [{"state": ended(3)}], "phase": "Failed", "conditions": [ready("False")]}, 3),
        ({"phase": "Failed", "conditions": [ready("False")]}, 0),
    ],
    ids=["ended", "restarted", "the last counts", "a good end is none", "before the condition", "evicted"],
)
def test_a_crash_has_the_time_of_the_last_end_with_an_error(fields: Any, minute: int) -> None:
    assert crashed_at(status(**fields)) == NOON.replace(minute=minute)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"containerStatuses": None, "conditions": None},
        {"phase": "Running", "conditions": [ready("False")]},
        {"phase": "Succeeded", "containerStatuses": [{"state": ended(3, code=0)}], "conditions": [ready("False")]},
        {"phase": "Failed", "conditions": [ready("False", time=None)]},
        {"containerStatuses": [{"state": {"terminated": {"exitCode": 1}}}]},
        {"containerStatuses": [{"state": {"waiting": {}}, "lastState": None}]},
    ],
)
def test_no_error_or_no_time_is_no_crash(fields: Any) -> None:
    assert crashed_at(status(**fields)) is None


def test_a_ready_that_is_not_true_is_no_ready_time() -> None:
    assert ready_since(status(conditions=[ready("Unknown")])) is None
    assert ready_since(status(conditions=[ready("True")])) == NOON


@pytest.mark.parametrize("time", ["2026-11-23T12:00:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_that_is_no_instant_is_undecodable(time: str) -> None:
    with pytest.raises(Undecodable):
        crashed_at(status(containerStatuses=[{"state": {"terminated": {"exitCode": 1, "finishedAt": time}}}]))
