"""Is the webhook registered as it should be, and does the API server get through to it?"""

import base64
import binascii
import socket
import ssl
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from kubectl_lastnode.doctor import BARE, INJECTIONS, Facts, Finding, fail, ok, probe, total, unknown, warn
from kubectl_lastnode.doctor.kinds import is_shown
from lastnode.kinds import Way, Ways, marks
from lastnode.kube import transport
from lastnode.kube.errors import ApiError, NotFound

_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 2
_POD: Final = {"apiVersion": "v1", "kind": "Pod", "spec": BARE}
_RENEW: Final = "Put the CA of the extender's certificate there: the chart and cert-manager do (docs/install.md)."


def registered(facts: Facts) -> Iterator[Finding]:
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


def called(facts: Facts) -> Iterator[Finding]:
    """Whether the API server asks it: session pods are created as dry runs, which change nothing."""
    ways = [way for way in Ways(facts.kinds).all if any(is_shown(hook, way) for hook in facts.webhooks)]
    if not ways or not facts.extenders:
        return
    if any(each.unreachable for each in facts.extenders):
        yield unknown(": not every extender answers, so not all that it is asked is seen", "Mend the others first.")
        return
    asked, missed = _dry_runs(facts), []
    for way in ways:
        before, refused = asked, _dry_run(facts, way)
        asked = _dry_runs(facts)
        if asked == before and refused:
            yield unknown(f": a pod could not be created as a dry run: {refused}",
                "Ask somebody who may create pods to run doctor, or choose another namespace with -n.")  # fmt: skip
            return
        if asked == before:
            missed.append(str(way.pods))
    if missed:
        yield fail(f"the API server does not get through: a pod with {' or '.join(missed)} was created unasked",
                   "The API server's log names the error. If it leaves this namespace out, try -n; if another extender "
                   "serves it, name all with --extender-url.")  # fmt: skip
    else:
        yield ok("the API server asks it about new session pods")


def _dry_run(facts: Facts, way: Way) -> ApiError | None:
    """What the API server says to a session's pod, if it does not take it."""
    pod = {**_POD, "metadata": {"generateName": "lastnode-doctor-", "labels": way.pods.example("lastnode-doctor")}}
    try:
        facts.cluster.post(f"/api/v1/namespaces/{facts.options.current_namespace}/pods", pod, {"dryRun": "All"})
    except ApiError as error:
        return error
    return None


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
    return total([probe(each.replica) for each in facts.extenders], INJECTIONS, result="dry_run")
