"""Is the webhook registered as it should be, and does the API server get through to it?"""

import base64
import binascii
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509

from kubectl_lastnode.doctor.extenders import INJECTIONS
from kubectl_lastnode.doctor.finding import Finding, fail, ok, warn
from kubectl_lastnode.doctor.look import Look
from kubectl_lastnode.doctor.probe import probe, total
from lastnode.contract import SESSION_LABEL
from lastnode.kube.errors import ApiError, NotFound

_SECONDS: Final = 5.0
_MOST_SECONDS: Final = 2
_RENEW: Final = "Let the extender (certificates.mode selfSigned) or cert-manager write it, or put the right CA there."


def registered(look: Look) -> Iterator[Finding]:
    """Its configuration."""
    if not look.webhooks:
        yield ok("webhook", "not registered: nodes are asked for by the extender or by the library alone")
    for found in look.webhooks:
        for hook in found.get("webhooks") or ():
            yield from _hook(look, hook)


def reached(look: Look) -> Iterator[Finding]:
    """Whether the API server asks it: a session's pod is created as a dry run, which changes nothing."""
    if not look.webhooks or not look.extender_probes:
        return
    if any(each.unreachable for each in look.extender_probes):
        yield warn("webhook-called", "cannot know: not every extender answers, so not all that it is asked is seen",
                   "Mend the others first.")  # fmt: skip
        return
    before = _dry_runs(look)
    refused = _try_a_pod(look)
    if _dry_runs(look) > before:
        yield ok("webhook-called", "the API server asks it about new session pods")
    elif isinstance(refused, ApiError):
        yield warn("webhook-called", f"cannot know: a pod could not be created as a dry run: {refused}",
                   "Ask somebody who may create pods to run doctor, or choose another namespace with -n.")  # fmt: skip
    else:
        yield fail("webhook-called", "the API server does not get through: a new session's pod was created unasked",
                   "The API server's log names the error. If it leaves this namespace out, try -n; if another extender "
                   "serves it, name all with --extender-url.")  # fmt: skip


def _hook(look: Look, hook: Any) -> Iterator[Finding]:
    name, client = hook["name"], hook["clientConfig"]
    yield _bundle(look, name, client)
    if hook.get("failurePolicy") != "Ignore":
        yield fail("webhook", f"{name}: failurePolicy {hook.get('failurePolicy')}: when it is down, no session starts",
                   "Set failurePolicy: Ignore.")  # fmt: skip
    if hook.get("timeoutSeconds", 10) > _MOST_SECONDS:
        yield warn("webhook", f"{name}: may hold a pod's creation up for {hook.get('timeoutSeconds', 10)} s",
                   "Set timeoutSeconds: 1.")  # fmt: skip
    if not narrowed(hook):
        yield warn("webhook", f"{name}: is asked about pods that are no sessions'",
                   f"Give its objectSelector {{key: {SESSION_LABEL}, operator: Exists}}.")  # fmt: skip
    if service := client.get("service"):
        yield _service(look, name, service)


def narrowed(hook: Any) -> bool:
    """Whether only session pods are shown to it."""
    expressions = (hook.get("objectSelector") or {}).get("matchExpressions") or ()
    return any((each["key"], each["operator"]) == (SESSION_LABEL, "Exists") for each in expressions)


def _bundle(look: Look, name: str, client: Any) -> Finding:
    if not client.get("caBundle"):
        return fail("webhook", f"{name}: caBundle is empty: the API server trusts no certificate", _RENEW)
    try:
        pem = base64.b64decode(client["caBundle"]).decode()
        wrong = expired(pem, look.now)
    except (ValueError, binascii.Error) as error:
        return fail("webhook", f"{name}: caBundle holds no certificate: {error}", _RENEW)
    if wrong:
        return fail("webhook", f"{name}: {wrong}", _RENEW)
    return _matches(look, name, client, pem)


def expired(pem: str, now: datetime) -> str:
    """What is wrong with a bundle: none of its certificates is valid now. :raises ValueError: it holds none."""
    found = x509.load_pem_x509_certificates(pem.encode())
    if any(each.not_valid_before_utc <= now <= each.not_valid_after_utc for each in found):
        return ""
    return (
        f"no certificate in caBundle is valid now (the last ends {max(c.not_valid_after_utc for c in found):%Y-%m-%d})"
    )


def _matches(look: Look, name: str, client: Any, pem: str) -> Finding:
    """The bundle against what is served: at the webhook's own URL, or at --extender-url under the Service's name."""
    place = _address(look, client)
    if place is None:
        return ok("webhook", f"{name}: caBundle is a valid CA; webhook-called says whether it is the right one")
    host, port, called = place
    try:
        context = ssl.create_default_context(cadata=pem)
        with (
            socket.create_connection((host, port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=called),
        ):
            return ok("webhook", f"{name}: the certificate at {host}:{port} is of caBundle's CA")
    except ssl.SSLCertVerificationError as error:
        text = f"{name}: caBundle does not fit the certificate at {host}:{port}: {error.verify_message}"
        return fail("webhook", text, _RENEW)
    except OSError as error:
        return warn("webhook", f"{name}: cannot know whether caBundle fits: {host}:{port}: {error}",
                    "Reach it from here with --extender-url https://….")  # fmt: skip


def _address(look: Look, client: Any) -> tuple[str, int, str] | None:
    """Host, port, and the name that the certificate must be for."""
    service = client.get("service")
    url = client.get("url") or next((u for u in look.call.extender_url.split(",") if u.startswith("https:")), "")
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    called = f"{service['name']}.{service['namespace']}.svc" if service else parts.hostname
    return parts.hostname, parts.port or 443, called


def _service(look: Look, name: str, service: Any) -> Finding:
    place = f"{service['namespace']}/{service['name']}"
    try:
        look.cluster.read(f"/api/v1/namespaces/{service['namespace']}/services/{service['name']}")
        return ok("webhook", f"{name}: its Service {place} is there")
    except NotFound:
        return fail("webhook", f"{name}: its Service {place} does not exist", "Install the extender, or remove the "
                    "MutatingWebhookConfiguration.")  # fmt: skip


def _dry_runs(look: Look) -> float:
    return total(map(probe, look.extenders), INJECTIONS, result="dry_run")


def _try_a_pod(look: Look) -> ApiError | None:
    labels = {SESSION_LABEL: "lastnode-doctor"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "lastnode-doctor-", "labels": labels},
        "spec": {"containers": [{"name": "none", "image": "none"}]},
    }
    try:
        look.cluster.post(f"/api/v1/namespaces/{look.call.current_namespace}/pods", pod, {"dryRun": "All"})
        return None
    except ApiError as error:
        return error
