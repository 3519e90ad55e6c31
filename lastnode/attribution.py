"""Which workload a session belongs to. Pure: from records to a record, never from the shape of a name.

A pod may say it itself, unless only its controller may (kinds.Sessions); otherwise its controller does. Nothing says
the kind in today's agentcube, so every kind is looked at: one that has opted in is the answer, two are ambiguous.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from lastnode.contract import CLOCK_TOLERANCE
from lastnode.kube.store import ObjectKey
from lastnode.objects import Controller, Session, Workload
from lastnode.reasons import Meant


class Verdict(Meant):
    """How an attribution ended."""

    FOUND = "found", "the session's workload is known"
    UNCLAIMED = "unclaimed", "neither the pod nor its Sandbox names a workload"
    SANDBOX_UNKNOWN = "sandbox_unknown", "owned by a Sandbox that is not seen yet, or was made again"
    WORKLOAD_UNKNOWN = "workload_unknown", "no workload of the name that the session gives"
    WORKLOAD_REPLACED = "workload_replaced", "the pod is older than the workload of that name"
    AMBIGUOUS = "ambiguous", "workloads of two kinds have the name that the session gives, and have opted in"


class Claim(NamedTuple):
    """A workload's name, and its kind where somebody said it."""

    name: str
    kind: str | None


class Attribution(NamedTuple):
    """``workload`` is set exactly when ``verdict`` is FOUND. ``claim``: whom the session named, if anybody."""

    verdict: Verdict
    workload: Workload | None = None
    claim: Claim | None = None


def attribute(
    session: Session,
    controllers: Mapping[ObjectKey, Controller],
    workloads: Iterable[Mapping[ObjectKey, Workload]],
) -> Attribution:
    """The workload of a session. ``workloads``: one mapping a resource, each by namespace and name."""
    claim = claim_of(session, controllers)
    if isinstance(claim, Verdict):
        return Attribution(claim)
    key = ObjectKey(session.namespace, claim.name)
    named = [found for kind in workloads if (found := kind.get(key)) and claim.kind in (None, found.kind)]
    matches = [found for found in named if not _predates(session, found)]
    if not matches:
        return Attribution(Verdict.WORKLOAD_REPLACED if named else Verdict.WORKLOAD_UNKNOWN, claim=claim)
    opted_in = [found for found in matches if found.sticky]
    if len(opted_in) > 1:
        return Attribution(Verdict.AMBIGUOUS, claim=claim)
    return Attribution(Verdict.FOUND, (opted_in or matches)[0], claim)


def claim_of(session: Session, controllers: Mapping[ObjectKey, Controller]) -> Claim | Verdict:
    """What the pod, else its controller, says about the workload; a verdict where nothing can be known."""
    if session.workload_name:
        return Claim(session.workload_name, session.workload_kind)
    if not session.controller:
        return Verdict.UNCLAIMED
    controller = controllers.get(ObjectKey(session.namespace, session.controller))
    if controller is None or (session.controller_uid and controller.uid != session.controller_uid):
        return Verdict.SANDBOX_UNKNOWN
    if not controller.workload_name:
        return Verdict.UNCLAIMED
    return Claim(controller.workload_name, controller.workload_kind or session.workload_kind)


def _predates(session: Session, workload: Workload) -> bool:
    # A workload deleted and made again under its name must not inherit from sessions of the former one. Two API servers
    # may have dated the two, so a little younger than its session is no younger, unless a former one was seen.
    # Timestamps have whole seconds: the same second counts as after.
    tolerance = timedelta() if workload.successor else CLOCK_TOLERANCE
    return bool(session.created_at and workload.created_at and session.created_at + tolerance < workload.created_at)
