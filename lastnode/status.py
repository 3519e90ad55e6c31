"""What a status says: since when a pod or a node is Ready, when a pod was bound, and when it crashed. Pure."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from lastnode.kube.errors import Undecodable


class Part(msgspec.Struct, gc=False, rename="camel"):
    """Base of the partial objects that are read; never kept, so never seen by the garbage collector."""


class _Condition(Part):
    type: str = ""
    status: str = ""
    last_transition_time: datetime | None = None


class _Terminated(Part):
    exit_code: int = 0
    finished_at: datetime | None = None


class _ContainerState(Part):
    terminated: _Terminated | None = None


class _ContainerStatus(Part):
    state: _ContainerState | None = None
    last_state: _ContainerState | None = None


class Status(Part):
    """Of a pod or a node."""

    phase: str = ""
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None


def ready_since(status: Status | None) -> datetime | None:
    """When the Ready condition became True; the epoch where it is True but undated, None where it is not True."""
    for condition in (status.conditions if status else None) or ():
        if condition.type == "Ready" and condition.status == "True":
            return utc(condition.last_transition_time) or _UNDATED
    return None


def scheduled_since(status: Status | None) -> datetime | None:
    """When the scheduler bound a pod: its condition PodScheduled; None where it is not True or not dated."""
    for condition in (status.conditions if status else None) or ():
        if condition.type == "PodScheduled" and condition.status == "True":
            return utc(condition.last_transition_time)
    return None


def crashed_at(status: Status) -> datetime | None:
    """When a container last ended with an error; of a pod that failed otherwise (evicted), when it stopped being Ready.

    None where neither is the case, or where nothing says when.
    """
    states = [s for each in status.container_statuses or () for s in (each.state, each.last_state)]
    ends = [state.terminated for state in states if state and state.terminated]
    times = [end.finished_at for end in ends if end.exit_code and end.finished_at]
    if not times and status.phase == "Failed":
        times = [
            c.last_transition_time for c in status.conditions or () if c.type == "Ready" and c.last_transition_time
        ]
    return max((moment for time in times if (moment := utc(time))), default=None)


def utc(moment: datetime | None) -> datetime | None:
    """:raises Undecodable: it has no time zone, or no place in UTC's calendar."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise Undecodable(f"{moment.isoformat()} has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise Undecodable(f"{moment.isoformat()} does not exist in UTC") from error


_UNDATED: Final = datetime.fromtimestamp(0, UTC)
