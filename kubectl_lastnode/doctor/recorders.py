"""Does somebody write the memory, and only one?"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from kubectl_lastnode.doctor.finding import Finding, fail, ok, warn
from kubectl_lastnode.doctor.look import Look
from kubectl_lastnode.doctor.probe import reached, total
from kubectl_lastnode.output import short
from kubectl_lastnode.replicas import RECORDER
from lastnode.kube.errors import NotFound

_LEASES: Final = "/apis/coordination.k8s.io/v1"
_DEFAULT_LEASE: Final = "lastnode-recorder"


def replicas(look: Look) -> Iterator[Finding]:
    """Reachable and ready."""
    if not look.recorder_probes:
        yield fail("recorder", "no recorder's pod found: nothing is written down",
                   "Install it (docs/install.md), or name it with --recorder-url.")  # fmt: skip
    yield from reached("recorder", look.recorder_probes)


def leader(look: Look) -> Iterator[Finding]:
    """Exactly one writes."""
    answering = [each for each in look.recorder_probes if not each.unreachable]
    leading = [each.title for each in answering if each.total("lastnode_leader") == 1]
    if len(leading) == 1:
        yield ok("leader", f"{leading[0]} writes")
    elif leading:
        yield fail("leader", f"{len(leading)} recorders write: {', '.join(leading)}",
                   "Only a single one may run with --no-leader-elect; all others need the same Lease.")  # fmt: skip
    elif answering and len(answering) == len(look.recorder_probes):
        yield fail("leader", "no recorder writes", "Look at the Lease and at the recorders' rights on it.")
    elif answering:
        yield warn("leader", "cannot know: not all recorders answer, and of those that do none writes",
                   "Mend the others first.")  # fmt: skip


def lease(look: Look) -> Iterator[Finding]:
    """The Lease by which the replicas agree is held, and freshly."""
    found = _leases(look)
    alone = any(each.total("lastnode_leader") == 1 for each in look.recorder_probes)
    if not found and alone:
        yield ok("lease", "there is none: a single recorder writes without (--no-leader-elect)")
    elif not found:
        yield fail("lease", f"there is no Lease {_DEFAULT_LEASE}: no recorder ever led",
                   "Look at the recorder's log; it needs get, create and update on leases.")  # fmt: skip
    for one in found:
        yield judged(one, look.now, alone=alone)


def judged(one: Any, now: datetime, *, alone: bool = False) -> Finding:
    """One Lease. ``alone``: a recorder writes all the same, without asking for it."""
    metadata, spec = one["metadata"], one.get("spec") or {}
    name, holder = f"{metadata['namespace']}/{metadata['name']}", spec.get("holderIdentity") or ""
    renewed = spec.get("renewTime")
    silent = (now - datetime.fromisoformat(renewed)).total_seconds() if renewed else 0.0
    if holder and renewed and silent < (spec.get("leaseDurationSeconds") or 0):
        return ok("lease", f"{name} is held by {holder}")
    told = f"{name} is held by nobody" if not holder else f"{name}: {holder} has not renewed it for {short(silent)}"
    if alone:
        return ok("lease", f"{told}; a recorder writes without it (--no-leader-elect)")
    return fail("lease", told, "No recorder runs, or none may update the Lease: look at their logs.")


def writes(look: Look) -> Iterator[Finding]:
    """What the API server refused to take."""
    refused = total(look.recorder_probes, "lastnode_record_writes_total", result="refused")
    written = total(look.recorder_probes, "lastnode_record_writes_total", result="written")
    if refused:
        yield fail("writes", f"{refused:.0f} writes were refused since the recorders started ({written:.0f} worked)",
                   "The recorder's log names the reason; usually the right to patch workloads is missing.")  # fmt: skip
    elif any(not each.unreachable for each in look.recorder_probes):
        yield ok("writes", f"{written:.0f} placements were written since the recorders started, none was refused")


def _leases(look: Look) -> list[Any]:
    """Those of the Deployments, which the chart names alike, else every one of the default name."""
    places = [(each.namespace, each.deployment) for each in look.accounts if each.program == RECORDER]
    if not places:
        query = {"fieldSelector": f"metadata.name={_DEFAULT_LEASE}"}
        return look.cluster.objects(f"{_LEASES}/leases", query)
    found = []
    for namespace, name in places:
        try:
            found.append(look.cluster.read(f"{_LEASES}/namespaces/{namespace}/leases/{name}"))
        except NotFound:
            continue
    return found
