"""Do the programs do their work: is the memory written, by one recorder only, and is its node asked for, by the
scheduler or through the webhook?
"""

import base64
import binascii
import contextlib
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from kubectl_lastnode.cluster import RECORDER
from kubectl_lastnode.doctor import BARE, Facts, Finding, Level, Probe, by, fail, ok, probe, total, unknown, warn
from kubectl_lastnode.output import short
from lastnode.kinds import Way, marks
from lastnode.kube import transport
from lastnode.kube.errors import ApiError, NotFound
from lastnode.reasons import Reason

_INJECTIONS: Final = "lastnode_injections_total"
_PRIORITIZE: Final = "lastnode_prioritize_total"
_WRITES: Final = "lastnode_record_writes_total"
_TROUBLE: Final = ("error", "bad_request", "not_synced")
_CONFIGURE: Final = "Register the webhook, or name the extender in kube-scheduler's configuration (docs/install.md)."
_LEASES: Final = "/apis/coordination.k8s.io/v1"
_DEFAULT_LEASE: Final = "lastnode-recorder"
_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 2
_POD: Final = {"apiVersion": "v1", "kind": "Pod", "spec": BARE}
_RENEW: Final = "Put the CA of the extender's certificate there: the chart and cert-manager do (docs/install.md)."


def recorders(facts: Facts) -> Iterator[Finding]:
    """Reachable and ready."""
    if not facts.recorders:
        yield fail(f"no recorder's pod found in {facts.cluster.release}: nothing is written down",
                   "Install it (docs/install.md), or say where: --release-namespace, --recorder-url.")  # fmt: skip
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
        yield unknown(": not all recorders answer, and of those that do none writes", "Mend the others first.")


def lease(facts: Facts) -> Iterator[Finding]:
    """The Lease by which the replicas agree is held, and freshly."""
    found = _leases(facts)
    alone = bool(_leading(facts))
    if not found and alone:
        yield ok("there is none: a single recorder writes without (--no-leader-elect)")
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
                   "nodes", "Install it, or name it with --extender-url, if that is not what you want.")  # fmt: skip
    yield from _reached("extender", facts.extenders)


def called(facts: Facts) -> Iterator[Finding]:
    """Whether the scheduler or the API server ever asks, and what they get."""
    if all(each.unreachable for each in facts.extenders):
        return
    asked, shown = by(facts.extenders, _PRIORITIZE, "result"), by(facts.extenders, _INJECTIONS, "result")
    if asked or shown:
        yield ok(f"since the extenders started: prioritize {_told(asked)}; mutate {_told(shown)}")
        bad = {result: number for result in _TROUBLE if (number := asked.get(result, 0) + shown.get(result, 0))}
        if bad:
            told = f"requests that could not be answered as they should: {_told(bad)}"
            yield Finding("answers", Level.WARN, told, "Look at the extender's log.")
    elif any(record.last_node for record in facts.journals.sessions):
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


def webhook(facts: Facts) -> Iterator[Finding]:
    """Its configuration."""
    if not facts.webhooks:
        yield ok("not registered: nodes are asked for by the extender or by the library alone")
    for hook in facts.webhooks:
        yield _bundle(facts, hook["name"], hook["clientConfig"])
        yield from _manners(hook, facts.cluster.ways.all)
        if service := hook["clientConfig"].get("service"):
            whose = f"{hook['name']}: its Service {service['namespace']}/{service['name']}"
            try:
                facts.cluster.read(f"/api/v1/namespaces/{service['namespace']}/services/{service['name']}")
                yield ok(f"{whose} is there")
            except NotFound:
                yield fail(f"{whose} does not exist",
                           "Install the extender, or remove the MutatingWebhookConfiguration.")  # fmt: skip


def webhook_called(facts: Facts) -> Iterator[Finding]:
    """Whether the API server asks it: a session's pod is created as a dry run, which changes nothing."""
    if not facts.webhooks or not facts.extenders:
        return
    if any(each.unreachable for each in facts.extenders):
        yield unknown(": not every extender answers, so not all that it is asked is seen", "Mend the others first.")
        return
    before, refused = _dry_runs(facts), None
    try:
        for way in facts.cluster.ways.all:
            path = f"/api/v1/namespaces/{facts.options.current_namespace}/pods"
            labels = way.pods.example("lastnode-doctor")
            pod = {**_POD, "metadata": {"generateName": "lastnode-doctor-", "labels": labels}}
            facts.cluster.post(path, pod, {"dryRun": "All"})
    except ApiError as error:
        refused = error
    if _dry_runs(facts) > before:
        yield ok("the API server asks it about new session pods")
    elif refused:
        yield unknown(f": a pod could not be created as a dry run: {refused}",
            "Ask somebody who may create pods to run doctor, or choose another namespace with -n.")  # fmt: skip
    else:
        yield fail("the API server does not get through: a new session's pod was created unasked",
                   "The API server's log names the error. If it leaves this namespace out, try -n; if another extender "
                   "serves it, name all with --extender-url.")  # fmt: skip


def _reached(what: str, probes: Iterable[Probe]) -> Iterator[Finding]:
    """Whether each replica of ``what`` (recorder, extender) answers and is ready."""
    for each in probes:
        if each.unreachable:
            remedy = f"Look at its pod; if only you cannot reach it, port-forward and use --{what}-url."
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


def _manners(hook: Any, known: Sequence[Way]) -> Iterator[Finding]:
    """What a webhook may never cost: a session's start, its time, or a call for a pod that is no session's."""
    name, policy, seconds = hook["name"], hook.get("failurePolicy"), hook.get("timeoutSeconds", 10)
    selected = (hook.get("objectSelector") or {}).get("matchExpressions") or ()
    if policy != "Ignore":
        yield fail(f"{name}: failurePolicy {policy}: when it is down, no session starts", "Set failurePolicy: Ignore.")
    if seconds > _MOST_SECONDS:
        yield warn(f"{name}: may hold a pod's creation up for {seconds} s", "Set timeoutSeconds: 1.")
    asked = {each["key"] for each in selected if each["operator"] in ("Exists", "In")}
    if not asked & {way.pods.mark.key for way in known}:
        remedy = f"Give its objectSelector {{key: {marks(known)}, operator: Exists}}."
        yield warn(f"{name}: is asked about pods that are no sessions'", remedy)


def _bundle(facts: Facts, name: str, client: Any) -> Finding:
    if not client.get("caBundle"):
        return fail(f"{name}: caBundle is empty: the API server trusts no certificate", _RENEW)
    try:
        trust = trusting(base64.b64decode(client["caBundle"]).decode())
    except (ValueError, binascii.Error) as error:
        return fail(f"{name}: caBundle holds no certificate: {error}", _RENEW)
    if wrong := expired(trust, facts.options.now):
        return fail(f"{name}: {wrong}", _RENEW)
    return _matches(facts, name, client, trust)


def trusting(pem: str) -> ssl.SSLContext:
    """A client's side of TLS that trusts nobody but a bundle's CAs. :raises ValueError: it holds none."""
    try:
        return transport.trust(pem=pem)
    except ssl.SSLError as error:
        raise ValueError(f"not PEM: {error.reason or error}") from error


def expired(trust: ssl.SSLContext, now: datetime) -> str:
    """What is wrong with a bundle: none of its CAs is valid now."""
    seconds = ssl.cert_time_to_seconds
    spans = [(seconds(str(ca["notBefore"])), seconds(str(ca["notAfter"]))) for ca in trust.get_ca_certs()]
    if not spans or any(start <= now.timestamp() <= end for start, end in spans):
        return ""
    last = datetime.fromtimestamp(max(end for _, end in spans), UTC)
    return f"no certificate in caBundle is valid now (the last ends {last:%Y-%m-%d})"


def _matches(facts: Facts, name: str, client: Any, trust: ssl.SSLContext) -> Finding:
    """The bundle against what is served: at the webhook's own URL, or at --extender-url under the Service's name."""
    service, asked = client.get("service"), facts.options.extender_url.split(",")
    parts = urlsplit(client.get("url") or next((url for url in asked if url.startswith("https:")), ""))
    if not parts.hostname:
        return ok(f"{name}: caBundle is a valid CA; webhook-called says whether it is the right one")
    called = f"{service['name']}.{service['namespace']}.svc" if service else parts.hostname
    place, there = (parts.hostname, parts.port or 443), f"{parts.hostname}:{parts.port or 443}"
    try:
        with socket.create_connection(place, _SECONDS) as plain, trust.wrap_socket(plain, server_hostname=called):
            return ok(f"{name}: the certificate at {there} is of caBundle's CA")
    except ssl.SSLCertVerificationError as error:
        return fail(f"{name}: caBundle does not fit the certificate at {there}: {error.verify_message}", _RENEW)
    except OSError as error:
        told = f"{name}: cannot know whether caBundle fits: {there}: {error}"
        return warn(told, "Reach it from here with --extender-url https://….")


def _dry_runs(facts: Facts) -> float:
    return total([probe(each.replica) for each in facts.extenders], _INJECTIONS, result="dry_run")
