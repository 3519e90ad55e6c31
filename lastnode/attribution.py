"""Which workload a session belongs to. Pure: from records to a record, never from the shape of a name.

A pod may lead to several, in different ways: a session of agentcube's is also a Sandbox's. The first that has opted in
is the answer. Where a name may be that of two kinds, as nothing says the kind in today's agentcube, every kind is
looked at: two that have opted in are ambiguous.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from lastnode.contract import CLOCK_TOLERANCE
from lastnode.kinds import Way
from lastnode.kube.store import ObjectKey
from lastnode.objects import Linked, Session, Workload
from lastnode.reasons import Meant


class Verdict(Meant):
    """How an attribution ended."""

    FOUND = "found", "the session's workload is known"
    UNCLAIMED = "unclaimed", "neither the pod nor what controls it leads to a workload"
    CONTROLLER_UNKNOWN = "controller_unknown", "controlled by an object that is not seen yet, or was made again"
    WORKLOAD_UNKNOWN = "workload_unknown", "no workload of the name that the session gives"
    WORKLOAD_REPLACED = "workload_replaced", "the pod is older than the workload of that name"
    AMBIGUOUS = "ambiguous", "workloads of two kinds have the name that the session gives, and have opted in"


class Awaited(NamedTuple):
    """An object that may change an answer when it comes or changes."""

    resource: str
    namespace: str
    name: str


class Attribution(NamedTuple):
    """``workload`` is set exactly when ``verdict`` is FOUND. ``awaits``: what may change the answer; nothing where a
    workload is found that has opted in."""

    verdict: Verdict
    workload: Workload | None = None
    awaits: tuple[Awaited, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether something may yet come by which a workload is found. (One that is there may only opt in later.)"""
        return self.workload is None and bool(self.awaits)


class Seen(NamedTuple):
    """The objects that are known. ``controller``: one by resource and place. ``workloads``: of each way the kinds that
    pods lead to in it, by resource."""

    controller: Callable[[str, ObjectKey], Linked | None]
    workloads: Mapping[Way, Mapping[str, Mapping[ObjectKey, Workload]]]


def attribute(session: Session, seen: Seen, *, complete: bool = True) -> Attribution:
    """The workload of a session: the first that has opted in, else what may still lead to one, else any. ``complete``:
    all objects were seen; before, none is the first while an earlier way may still lead to another one."""
    found = [_in_one_way(session, way, seen) for way in session.ways]
    for each in found:
        if each.workload is not None and each.workload.sticky:
            return each
        if each.is_open and not complete:
            break
    if not found:
        return Attribution(Verdict.UNCLAIMED)
    awaits = dict.fromkeys(awaited for each in found for awaited in each.awaits)
    return min(found, key=lambda each: (not each.is_open, each.workload is None))._replace(awaits=tuple(awaits))


def _in_one_way(session: Session, way: Way, seen: Seen) -> Attribution:
    kinds = seen.workloads[way]
    if way.named_by and way.pods_say and (name := session.claim(way.named_by)):
        return _by_name(session, kinds, name, session.claim(way.kind_by))
    if not way.through:
        return Attribution(Verdict.UNCLAIMED) if way.named_by else _by_controller(session, session, kinds)
    if not session.controller or not _is_of([way.through], session):
        return Attribution(Verdict.UNCLAIMED)
    awaited = (Awaited(way.through, session.namespace, session.controller),)
    between = seen.controller(way.through, ObjectKey(session.namespace, session.controller))
    if between is None or (session.controller_uid and between.uid != session.controller_uid):
        return Attribution(Verdict.CONTROLLER_UNKNOWN, awaits=awaited)
    if not way.named_by:
        found = _by_controller(session, between, kinds)
    elif name := between.claim(way.named_by):
        found = _by_name(session, kinds, name, between.claim(way.kind_by) or session.claim(way.kind_by))
    else:
        found = Attribution(Verdict.UNCLAIMED)
    return found._replace(awaits=awaited) if found.verdict is Verdict.UNCLAIMED else found


def _by_controller(session: Session, owned: Linked, kinds: Mapping[str, Mapping[ObjectKey, Workload]]) -> Attribution:
    """What controls ``owned`` is the workload: that very object, so its age says nothing more."""
    if not owned.controller or not _is_of(kinds, owned):
        return Attribution(Verdict.UNCLAIMED)
    key = ObjectKey(session.namespace, owned.controller)
    awaits = tuple(Awaited(resource, *key) for resource in kinds)
    for known in kinds.values():
        if (found := known.get(key)) and found.uid == owned.controller_uid:
            return Attribution(Verdict.FOUND, found, () if found.sticky else awaits)
    return Attribution(Verdict.CONTROLLER_UNKNOWN, awaits=awaits)


def _by_name(
    session: Session, kinds: Mapping[str, Mapping[ObjectKey, Workload]], name: str, kind: str | None
) -> Attribution:
    key = ObjectKey(session.namespace, name)
    named = [found for known in kinds.values() if (found := known.get(key)) and kind in (None, found.kind)]
    matches = [found for found in named if not _predates(session, found)]
    if named and not matches:
        return Attribution(Verdict.WORKLOAD_REPLACED)
    opted_in = [found for found in matches if found.sticky]
    if len(opted_in) == 1:
        return Attribution(Verdict.FOUND, opted_in[0])
    awaits = tuple(Awaited(resource, *key) for resource in kinds)
    if opted_in:
        return Attribution(Verdict.AMBIGUOUS, awaits=awaits)
    return (
        Attribution(Verdict.FOUND, matches[0], awaits)
        if matches
        else Attribution(Verdict.WORKLOAD_UNKNOWN, awaits=awaits)
    )


def _is_of(resources: Iterable[str], owned: Linked) -> bool:
    """Whether what controls it is of one of these resources' API groups; its UID says the rest."""
    return owned.controller_group in {resource.partition(".")[2] for resource in resources}


def _predates(session: Session, workload: Workload) -> bool:
    # A workload deleted and made again under its name must not inherit from sessions of the former one. Two API servers
    # may have dated the two, so a little younger than its session is no younger, unless a former one was seen.
    # Timestamps have whole seconds: the same second counts as after.
    tolerance = timedelta() if workload.successor else CLOCK_TOLERANCE
    return bool(session.created_at and workload.created_at and session.created_at + tolerance < workload.created_at)
