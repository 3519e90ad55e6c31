"""Do the programs do their work: is the memory written, by one recorder only, and is its node asked for, by the
scheduler or through the webhook?
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any, Final

from kubectl_lastnode.cluster import EXTENDER, RECORDER
from kubectl_lastnode.doctor import INJECTIONS, Facts, Finding, Level, Probe, by, fail, ok, total, unknown, warn
from kubectl_lastnode.output import plural, short
from lastnode.kube.errors import NotFound
from lastnode.reasons import Reason

_PRIORITIZE: Final = "lastnode_prioritize_total"
_WRITES: Final = "lastnode_record_writes_total"
_TROUBLE: Final = ("error", "bad_request", "not_synced")
_CONFIGURE: Final = "Register the webhook, or name the extender in kube-scheduler's configuration (docs/install.md)."
_OTHERS: Final = "Mend the others first."
_LEASES: Final = "/apis/coordination.k8s.io/v1"
# As Python's ssl names it in every error about a certificate.
_UNTRUSTED: Final = "CERTIFICATE_VERIFY_FAILED"
_DEFAULT_LEASE: Final = "lastnode-recorder"


def recorders(facts: Facts) -> Iterator[Finding]:
    """Reachable and ready."""
    if not facts.recorders:
        yield fail(f"no recorder's pod found in {facts.cluster.release}: nothing is written down",
                   facts.missing(RECORDER))  # fmt: skip
    yield from _reached("recorder", facts.recorders)


def leader(facts: Facts) -> Iterator[Finding]:
    """Exactly one writes."""
    answering = [each for each in facts.recorders if not each.unreachable]
    leading = _leading(facts)
    if len(leading) == 1:
        yield ok(f"{leading[0]} writes")
    elif leading:
        yield fail(f"{len(leading)} recorders write: {', '.join(leading)}",
                   "Only a single one may run with --no-leader-elect; all others need the same Lease.")  # fmt: skip
    elif answering and len(answering) == len(facts.recorders):
        yield fail("no recorder writes", "Look at the Lease and at the recorders' rights on it.")
    elif answering:
        yield unknown(": not all recorders answer, and of those that do none writes", _OTHERS)


def lease(facts: Facts) -> Iterator[Finding]:
    """The Lease by which the replicas agree is held, and freshly."""
    found = _leases(facts)
    alone = bool(_leading(facts))
    if not found and alone:
        yield ok("there is none: a single recorder writes without (--no-leader-elect)")
    elif not found and any(each.unreachable for each in facts.recorders):
        yield unknown(": there is no Lease, and not all recorders answer: one may write without", _OTHERS)
    elif not found:
        yield fail(f"there is no Lease {_DEFAULT_LEASE}: no recorder ever led",
                   "Look at the recorder's log; it needs get, create and update on leases.")  # fmt: skip
    for one in found:
        yield judged_lease(one, facts.options.now, alone=alone)


def judged_lease(one: Any, now: datetime, *, alone: bool = False) -> Finding:
    """One Lease. ``alone``: a recorder writes all the same, without asking for it. Pure."""
    metadata, spec = one["metadata"], one.get("spec") or {}
    name, holder = f"{metadata['namespace']}/{metadata['name']}", spec.get("holderIdentity") or ""
    renewed = spec.get("renewTime")
    silent = (now - datetime.fromisoformat(renewed)).total_seconds() if renewed else 0.0
    if holder and renewed and silent < (spec.get("leaseDurationSeconds") or 0):
        return ok(f"{name} is held by {holder}")
    told = f"{name} is held by nobody" if not holder else f"{name}: {holder} has not renewed it for {short(silent)}"
    if alone:
        return ok(f"{told}; a recorder writes without it (--no-leader-elect)")
    return fail(told, "No recorder runs, or none may update the Lease: look at their logs.")


def writes(facts: Facts) -> Iterator[Finding]:
    """What the API server refused to take."""
    refused, written = (total(facts.recorders, _WRITES, result=result) for result in ("refused", "written"))
    if refused:
        yield fail(f"{refused:.0f} writes were refused since the recorders started ({written:.0f} worked)",
                   "The recorder's log names the reason; usually the right to patch workloads is missing.")  # fmt: skip
    elif not all(each.unreachable for each in facts.recorders):
        yield ok(f"{written:.0f} placements were written since the recorders started, none was refused")


def extenders(facts: Facts) -> Iterator[Finding]:
    """Reachable and ready."""
    if not facts.extenders:
        yield warn(f"no extender's pod found in {facts.cluster.release}: only programs that use the library ask for "
                   "nodes", facts.missing(EXTENDER))  # fmt: skip
    yield from _reached("extender", facts.extenders)


def called(facts: Facts) -> Iterator[Finding]:
    """Whether the scheduler or the API server ever asks, and what they get."""
    if all(each.unreachable for each in facts.extenders):
        return
    asked, shown = by(facts.extenders, _PRIORITIZE, "result"), by(facts.extenders, INJECTIONS, "result")
    if asked or shown:
        yield ok(f"since the extenders started: prioritize {_told(asked)}; mutate {_told(shown)}")
        bad = {result: number for result in _TROUBLE if (number := asked.get(result, 0) + shown.get(result, 0))}
        if bad:
            told = f"requests that could not be answered as they should: {_told(bad)}"
            yield Finding("answers", Level.WARN, told, "Look at the extender's log.")
        return
    if any(each.unreachable for each in facts.extenders):
        yield unknown(": not all extenders answer, and those that do were never asked", _OTHERS)
        return
    returning = [record.asked for record in facts.journals.sessions if record.last_node]
    if brought := returning.count("term"):
        whose = f"{brought} of {plural(len(returning), 'session')} that could return"
        yield ok(f"nobody asks, nor needs to: {whose} had the preference in their pods")
    elif returning:
        yield fail("sessions became Ready, and neither kube-scheduler nor the API server ever asked", _CONFIGURE)
    else:
        yield warn("never asked since it started; no session that could return is known either", _CONFIGURE)


def not_asked(facts: Facts) -> Iterator[Finding]:
    """What the sessions that moved say."""
    moved = [record.reason for record in facts.journals.sessions if record.reason]
    silent = moved.count(Reason.NOT_ASKED)
    if silent:
        yield fail(f"{silent} of {len(moved)} sessions that moved had nobody asking for their node", _CONFIGURE)
    elif moved:
        yield ok(f"for each of {len(moved)} sessions that moved somebody had asked, or nothing could be asked")


def journals(facts: Facts) -> Iterator[Finding]:
    """What of the sessions' history was missing for the checks before."""
    for line in facts.journals.trouble:
        yield warn(line, "Without it report and explain know less.")


def versions(facts: Facts) -> Iterator[Finding]:
    """All programs and this one are of one release."""
    mine = version("lastnode")
    probes = [each for each in (*facts.recorders, *facts.extenders) if each.version]
    others = [f"{each.replica.title} is {each.version}" for each in probes if each.version != mine]
    if others:
        yield warn(f"this is {mine}; {', '.join(others)}", "Use one release for all.")
    elif probes:
        yield ok(f"all {len(probes)} programs are {mine}, and so is this one")


def _reached(what: str, probes: Iterable[Probe]) -> Iterator[Finding]:
    """Whether each replica of ``what`` (recorder, extender) answers and is ready."""
    for each in probes:
        if each.unreachable:
            remedy = f"Look at its pod; if only you cannot reach it, port-forward and use --{what}-url."
            if _UNTRUSTED in each.unreachable:
                remedy = "Name the CA of an extender with --extender-ca; a recorder's must be one of the system's."
            yield fail(f"{each.replica.title} does not answer: {each.unreachable}", remedy)
        elif each.unready:
            yield fail(f"{each.replica.title} is not ready: {each.unready}", "Look at its log and its account.")
        else:
            yield ok(f"{each.replica.title} is ready")


def _leading(facts: Facts) -> list[str]:
    return [each.replica.title for each in facts.recorders if total([each], "lastnode_leader") == 1]


def _leases(facts: Facts) -> list[Any]:
    """Those of the Deployments, which the chart names alike, else every one of the default name."""
    places = [(each.namespace, each.deployment) for each in facts.accounts if each.program == RECORDER]
    if not places:
        return [*facts.cluster.objects(f"{_LEASES}/leases", {"fieldSelector": f"metadata.name={_DEFAULT_LEASE}"})]
    found = []
    for namespace, name in places:
        with contextlib.suppress(NotFound):
            found.append(facts.cluster.read(f"{_LEASES}/namespaces/{namespace}/leases/{name}"))
    return found


def _told(results: Mapping[str, float]) -> str:
    return ", ".join(f"{number:.0f} {result}" for result, number in sorted(results.items())) or "nothing"
