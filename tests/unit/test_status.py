"""What a status says about Ready and about crashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.status import EARLIEST, LATEST, Status, crashed_at, ready_since, scheduled_since, utc

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def status(**fields: Any) -> Status:
    return msgspec.convert(fields, Status)


def ended(minute: int, code: int = 1, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "finishedAt": f"2026-11-23T12:{minute:02}:00Z", "reason": reason}}


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
        (
            {
                "phase": "Failed",
                "reason": "Evicted",
                "conditions": [ready("False")],
                "containerStatuses": [{"state": ended(3, code=137, reason="ContainerStatusUnknown")}],
            },
            0,
        ),
    ],
    ids=["ended", "restarted", "the last counts", "a good end is none", "before the condition", "failed", "evicted"],
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
        {"containerStatuses": [{"state": {"running": {}}, "lastState": ended(3, code=255, reason="Unknown")}]},
        {"containerStatuses": [{"state": ended(3, code=137, reason="ContainerStatusUnknown")}], "phase": "Running"},
        {
            "phase": "Failed",
            "conditions": [ready("False")],
            "containerStatuses": [{"state": ended(3, code=255, reason="Unknown")}],
        },
        {"phase": "Failed", "conditions": [ready("True")]},
        {"phase": "Failed", "reason": "OutOfcpu"},
    ],
)
def test_no_error_or_no_time_is_no_crash(fields: Any) -> None:
    assert crashed_at(status(**fields)) is None


def test_a_ready_that_is_not_true_is_no_ready_time() -> None:
    assert ready_since(status(conditions=[ready("Unknown")])) is None
    assert ready_since(status(conditions=[ready("True")])) == NOON


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("2026-11-23T14:00:00+02:00", NOON),
        ("0001-01-01T00:00:03Z", EARLIEST),
        ("0001-01-01T00:00:00+23:59", EARLIEST),
        ("1969-12-31T23:59:59Z", EARLIEST),
        ("9000-01-01T00:00:00Z", LATEST),
        ("9999-12-31T23:59:59-12:00", LATEST),
        (NOON, NOON),
    ],
)
def test_a_date_is_an_instant_in_utc_within_what_can_be_reckoned_with(date: object, moment: datetime) -> None:
    assert utc(date) == moment
    assert utc(moment) == moment


@pytest.mark.parametrize("date", [None, "", "yesterday", "2026-11-23T12:00:00", "0000-01-01T00:00:00Z", 7, [], {}])
def test_what_is_no_instant_counts_as_absent(date: object) -> None:
    assert utc(date) is None


odd_dates = (
    st.text(max_size=25)
    | st.integers()
    | st.datetimes(timezones=st.none() | st.timezones()).map(str)
    | st.tuples(
        st.sampled_from(["-001", "0000", "0001", "1969", "2026", "9999", "99999"]),
        st.sampled_from(["Z", "", "+23:59", "-23:59"]),
    ).map(lambda parts: f"{parts[0]}-01-01T00:00:00{parts[1]}")
)


@given(odd_dates)
def test_any_date_leaves_room_for_an_age_and_a_ttl(date: object) -> None:
    moment = utc(date)
    if moment is not None:
        century = timedelta(days=36525)
        assert moment - century < moment < moment + century
        assert moment.timestamp() >= 0


@given(odd_dates)
def test_whatever_the_dates_of_a_status_are_it_is_read(date: object) -> None:
    end = {"terminated": {"exitCode": 1, "finishedAt": date}}
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": date}
    got = status(containerStatuses=[{"state": end}], conditions=[condition, condition | {"type": "PodScheduled"}])
    assert crashed_at(got) == scheduled_since(got) == utc(date)
    assert ready_since(got) == (utc(date) or EARLIEST)
