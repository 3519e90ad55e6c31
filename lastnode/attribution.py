"""Which workload a session belongs to. Pure: from records to a record, never from the shape of a name.

A pod may say it itself; otherwise the Sandbox that controls it does. Nothing says the kind in today's agentcube, so
every kind is looked at: one match is the answer, two are ambiguous.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from lastnode.kube.records import ObjectKey
from lastnode.objects import Sandbox, Session, Workload


class Verdict(StrEnum):
    """How an attribution ended. A closed set: metrics use it as label values."""

    FOUND = "found"
    UNCLAIMED = "unclaimed"  # neither the pod nor its Sandbox names a workload
    SANDBOX_UNKNOWN = "sandbox_unknown"  # owned by a Sandbox that is not (yet) seen, or was re-created
    WORKLOAD_UNKNOWN = "workload_unknown"
    WORKLOAD_REPLACED = "workload_replaced"  # the pod is older than the workload of that name
    AMBIGUOUS = "ambiguous"


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
    sandboxes: Mapping[ObjectKey, Sandbox],
    workloads: Iterable[Mapping[ObjectKey, Workload]],
) -> Attribution:
    """The workload of a session. ``workloads``: one mapping a resource, each by namespace and name."""
    claim = claim_of(session, sandboxes)
    if isinstance(claim, Verdict):
        return Attribution(claim)
    key = ObjectKey(session.namespace, claim.name)
    matches = [found for kind in workloads if (found := kind.get(key)) and claim.kind in (None, found.kind)]
    if len(matches) != 1:
        return Attribution(Verdict.AMBIGUOUS if matches else Verdict.WORKLOAD_UNKNOWN, claim=claim)
    if _predates(session, matches[0]):
        return Attribution(Verdict.WORKLOAD_REPLACED, claim=claim)
    return Attribution(Verdict.FOUND, matches[0], claim)


def claim_of(session: Session, sandboxes: Mapping[ObjectKey, Sandbox]) -> Claim | Verdict:
    """What the pod, else its Sandbox, says about the workload; a verdict where nothing can be known."""
    if session.workload_name:
        return Claim(session.workload_name, session.workload_kind)
    if not session.sandbox:
        return Verdict.UNCLAIMED
    sandbox = sandboxes.get(ObjectKey(session.namespace, session.sandbox))
    if sandbox is None or (session.sandbox_uid and sandbox.uid != session.sandbox_uid):
        return Verdict.SANDBOX_UNKNOWN
    if not sandbox.workload_name:
        return Verdict.UNCLAIMED
    return Claim(sandbox.workload_name, sandbox.workload_kind or session.workload_kind)


def _predates(session: Session, workload: Workload) -> bool:
    # A workload deleted and made again under its name must not inherit from sessions of the former one. Timestamps
    # have whole seconds, so the same second counts as after.
    return bool(session.created_at and workload.created_at and session.created_at < workload.created_at)
