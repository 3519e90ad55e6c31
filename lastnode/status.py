"""What a status says: since when a pod or a node is Ready, when a pod was bound, and when it crashed. Pure."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

# Every date that is read lies between these two, so that no sum with an age, a tolerance or a TTL leaves the calendar.
# Nothing that is remembered is older than the first, which also stands for a date that is missing.
EARLIEST: Final = datetime.fromtimestamp(0, UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)

# A date as it was sent: text, if all is well. Only utc() reads it, because a bad one must not cost its object.
Date = Any


class Part(msgspec.Struct, gc=False, rename="camel"):
    """Base of the partial objects that are read; never kept, so never seen by the garbage collector."""


class _Condition(Part):
    type: str = ""
    status: str = ""
    last_transition_time: Date = None


# How containers end whose end nobody saw, since the machine or the runtime went down: what containerd says of them
# (with exit code 255), and what the kubelet says (137). Sources: containerd's pkg/cri and Kubernetes' pkg/kubelet.
_NOT_SEEN: Final = frozenset({"Unknown", "ContainerStatusUnknown"})


class _Terminated(Part):
    exit_code: int = 0
    reason: str = ""
    finished_at: Date = None


class _ContainerState(Part):
    terminated: _Terminated | None = None


class _ContainerStatus(Part):
    state: _ContainerState | None = None
    last_state: _ContainerState | None = None


class Status(Part):
    """Of a pod or a node."""

    phase: str = ""
    reason: str = ""
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


def ready_since(status: Status | None) -> datetime | None:
    """When the Ready condition became True; EARLIEST where it is True but undated, None where it is not True."""
    for condition in (status.conditions if status else None) or ():
        if condition.type == "Ready" and condition.status == "True":
            return utc(condition.last_transition_time) or EARLIEST
    return None


def scheduled_since(status: Status | None) -> datetime | None:
    """When the scheduler bound a pod: its condition PodScheduled; None where it is not True or not dated."""
    for condition in (status.conditions if status else None) or ():
        if condition.type == "PodScheduled" and condition.status == "True":
            return utc(condition.last_transition_time)
    return None


def crashed_at(status: Status) -> datetime | None:
    """When a container last ended with an error; of a pod that failed otherwise (evicted), when it stopped being Ready.

    None where neither is the case, or where nothing says when. An end that nobody saw says nothing of the container,
    and a pod that failed by it, as one that is not restarted after its machine booted, has not crashed.
    """
    states = [s for each in status.container_statuses or () for s in (each.state, each.last_state)]
    ends = [state.terminated for state in states if state and state.terminated]
    times = [moment for end in ends if _is_error(end) and (moment := utc(end.finished_at))]
    if not times and _failed_otherwise(status, ends):
        ready = (c.last_transition_time for c in status.conditions or () if c.type == "Ready" and c.status != "True")
        times = [moment for time in ready if (moment := utc(time))]
    return max(times, default=None)


def _failed_otherwise(status: Status, ends: list[_Terminated]) -> bool:
    # Of an evicted pod's containers the kubelet may not have seen the end either.
    not_seen = any(end.reason in _NOT_SEEN for end in ends)
    return status.phase == "Failed" and (status.reason == "Evicted" or not not_seen)


def _is_error(end: _Terminated) -> bool:
    return bool(end.exit_code) and end.reason not in _NOT_SEEN


def utc(date: object) -> datetime | None:
    """The instant that a date (RFC 3339) names, in UTC and from EARLIEST to LATEST; None for anything else, also for a
    date without a time zone, which is no instant."""
    try:
        moment = msgspec.convert(date, datetime)
    except msgspec.ValidationError:
        return None
    if moment.tzinfo is None:
        return None
    if not EARLIEST.year <= moment.year < LATEST.year:
        return EARLIEST if moment.year < EARLIEST.year else LATEST
    return moment.astimezone(UTC)
