"""Install, upgrade, roll back, uninstall: the real helm against a real API server."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from lastnode.contract import SESSION_LABEL
from testbed.errors import ApiError
from testbed.stack import Stack
from tests.chart.release import Release, everything
from tools.render import NAMESPACE, Object, key, plain, setup

WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastnode-webhook"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/lastnode-certificate"
TOKEN = f"/api/v1/namespaces/{NAMESPACE}/secrets/lastnode-sessions"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
# Their kinds come with cert-manager and Prometheus Operator, which are not there.
FOREIGN = ("cert-manager.io/v1", "monitoring.coreos.com/v1")
# What somebody else has changed by hand, Helm changes back only if told so.
FORCE = "--force-conflicts"

_numbers = itertools.count(1)


@pytest.fixture
def release(helm: Path, stack: Stack, tmp_path: Path) -> Iterator[Release]:
    release = Release(helm, stack, tmp_path)
    yield release
    if release.name in release.run("list", "--short"):
        release.uninstall()


def ours(stack: Stack) -> list[str]:
    """Every object that is recognisably of a release, by its labels or its name. The namespace is the user's."""
    return [
        f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
        for obj in everything(stack.api)
        if obj["metadata"].get("labels", {}).get("app.kubernetes.io/part-of") == "lastnode"
        or "lastnode" in obj["metadata"]["name"]
        if obj["kind"] not in ("Namespace", "Event")
    ]


def create_session(stack: Stack) -> Object:
    """A pod with the session label, in a namespace like any user's."""
    metadata = {"name": f"session-{next(_numbers)}", "labels": {SESSION_LABEL: "s"}}
    spec = {"containers": [{"name": "c", "image": "registry.example/c:1"}]}
    made: Object = stack.api.post("/api/v1/namespaces/default/pods", {"metadata": metadata, "spec": spec})
    return made


def certificate(stack: Stack) -> Object:
    """What the Secret holds; the API server trusts its CA."""
    data: Object = stack.api.get(SECRET)["data"]
    assert data.keys() == {"ca.crt", "tls.crt", "tls.key"}
    assert stack.api.get(WEBHOOK)["webhooks"][0]["clientConfig"]["caBundle"] == data["ca.crt"]
    return data


def served(stack: Stack) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(certificate(stack)["tls.crt"]))


def about(stack: Stack, annotation: str) -> str:
    return str(stack.api.get(SECRET)["metadata"]["annotations"][f"lastnode.dev/{annotation}"])


@pytest.mark.parametrize("name", ["webhook", "control-plane", "second-scheduler", "everything"])
def test_the_api_server_takes_every_object_and_knows_every_field(helm: Path, stack: Stack, name: str) -> None:
    namespace, *objects = plain(setup(helm, name))
    known = [obj for obj in objects if obj["apiVersion"] not in FOREIGN]
    stack.api.patch(f"/api/v1/namespaces/{NAMESPACE}?{STRICT}", namespace, APPLY)
    try:
        for obj in known:
            path = path_of(obj)
            stack.api.patch(f"{path}?{STRICT}&dryRun=All", obj, APPLY)
            stack.api.patch(f"{path}?{STRICT}", obj, APPLY)
            stored = stack.api.get(path)
            assert missing(obj, stored) == [], key(obj)
    finally:
        for obj in known:
            stack.api.delete(path_of(obj))


def test_a_field_that_kubernetes_does_not_know_would_be_refused(helm: Path, stack: Stack) -> None:
    (deployment, *_) = (obj for obj in setup(helm, "webhook") if obj["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["hostnetwork"] = True
    deployment["metadata"]["namespace"] = "default"
    with pytest.raises(ApiError, match="hostnetwork"):
        stack.api.patch(f"{path_of(deployment)}?{STRICT}&dryRun=All", deployment, APPLY)


@pytest.mark.parametrize("name", ["webhook", "cert-manager", "second-scheduler", "everything"])
def test_its_pods_meet_the_restricted_standard(helm: Path, stack: Stack, name: str) -> None:
    namespace = f"restricted-{next(_numbers)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    stack.api.post("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": labels}})
    pods = f"/api/v1/namespaces/{namespace}/pods?dryRun=All&fieldValidation=Strict"
    for obj in setup(helm, name):
        if obj["kind"] == "Deployment":
            pod = obj["spec"]["template"]
            stack.api.post(pods, {"metadata": pod["metadata"] | {"name": "p"}, "spec": pod["spec"]})
    with pytest.raises(ApiError, match="violates PodSecurity"):
        stack.api.post(pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}})


def test_install_upgrade_rollback_and_uninstall(stack: Stack, release: Release) -> None:
    printed = release.install("webhook")
    assert printed.rstrip().splitlines()[-1].strip() == "kubectl lastnode doctor"
    before = certificate(stack)

    release.upgrade("--set", "webhook.timeoutSeconds=2,recorder.replicas=3,settings.memoryTtl=1h")
    release.upgrade("--reset-then-reuse-values")
    assert stack.api.get(WEBHOOK)["webhooks"][0]["timeoutSeconds"] == 2
    assert stack.api.get(f"{DEPLOYMENTS}/lastnode-recorder")["spec"]["replicas"] == 3
    assert certificate(stack) == before

    release.rollback("1")
    assert stack.api.get(WEBHOOK)["webhooks"][0]["timeoutSeconds"] == 1
    assert stack.api.get(f"{DEPLOYMENTS}/lastnode-recorder")["spec"]["replicas"] == 2
    assert certificate(stack) == before

    create_session(stack)  # nobody answers the webhook's calls: no pod may fail for that
    release.uninstall()
    assert ours(stack) == []
    create_session(stack)


def test_the_token_of_all_sessions_is_kept_until_it_is_removed_or_somebody_elses(
    stack: Stack, release: Release
) -> None:
    release.install("webhook")
    first = stack.api.get(TOKEN)["data"]["token"]
    assert len(base64.b64decode(first)) == 40
    release.upgrade("--set", "recorder.replicas=3")
    assert stack.api.get(TOKEN)["data"] == {"token": first}
    stack.api.delete(TOKEN)
    release.upgrade("--reuse-values")
    assert stack.api.get(TOKEN)["data"]["token"] != first
    release.upgrade("--set", "recorder.sessionsToken.secretName=mine")
    with pytest.raises(ApiError, match="not found"):
        stack.api.get(TOKEN)


def test_a_new_certificate_is_made_when_its_names_change_and_when_half_of_its_time_is_over(
    stack: Stack, release: Release
) -> None:
    release.install("webhook")
    first = certificate(stack)
    release.upgrade("--set", "extender.tls.extraDnsNames={example.com}")
    second = certificate(stack)
    assert [name for name in first if second[name] == first[name]] == []
    assert about(stack, "names").endswith(".svc,example.com")
    release.upgrade("--reuse-values")
    assert certificate(stack) == second

    ends, due = served(stack).not_valid_after_utc.date(), date.fromisoformat(about(stack, "renew-after"))
    assert ends - due == timedelta(days=1825)
    stack.api.patch(SECRET, {"metadata": {"annotations": {"lastnode.dev/renew-after": str(date.today())}}})
    release.upgrade("--reuse-values", FORCE)
    assert certificate(stack)["tls.crt"] != second["tls.crt"]
    assert about(stack, "renew-after") == str(due)


@pytest.mark.parametrize(
    "lost", [{"data": {"tls.key": ""}}, {"metadata": {"annotations": None}}], ids=["the key", "the annotations"]
)
def test_a_certificate_that_somebody_broke_is_replaced_by_the_next_upgrade(
    stack: Stack, release: Release, lost: Object
) -> None:
    release.install("webhook")
    before = certificate(stack)
    stack.api.patch(SECRET, lost)
    release.upgrade("--reuse-values", FORCE)
    assert certificate(stack)["tls.crt"] != before["tls.crt"]
    assert all(certificate(stack).values())


def test_a_certificate_of_somebody_elses_takes_its_place(stack: Stack, release: Release) -> None:
    release.install("webhook")
    release.upgrade("--set", "extender.tls.secretName=mine,extender.tls.caBundle=Y2E=")
    assert stack.api.get(WEBHOOK)["webhooks"][0]["clientConfig"]["caBundle"] == "Y2E="
    assert "Secret lastnode-system/lastnode-certificate" not in ours(stack)


def test_parts_that_are_switched_off_by_an_upgrade_go_and_come_back(stack: Stack, release: Release) -> None:
    foreign = ("extender.tls.certManager", "monitoring.serviceMonitor", "monitoring.prometheusRule")
    release.install("everything", "--set", ",".join(f"{kind}.enabled=false" for kind in foreign))
    everything_on = set(ours(stack))
    assert "RoleBinding kube-system/lastnode-scheduler-authentication" in everything_on
    release.upgrade("--set", "webhook.enabled=false")
    assert "MutatingWebhookConfiguration /lastnode-webhook" not in ours(stack)
    assert not [name for name in ours(stack) if "scheduler" in name]
    release.rollback("1")
    assert {name for name in ours(stack) if "sh.helm" not in name} == {
        name for name in everything_on if "sh.helm" not in name
    }
    release.uninstall()
    assert ours(stack) == []


@pytest.mark.parametrize(
    ("setup", "values", "told", "untold"),
    [
        ("webhook", "recorder.replicas=2", "2. Opt a workload in", "stay Pending"),
        ("webhook", "webhook.schedulerName=sticky", 'will name the scheduler "sticky". Check that one', "3. Have"),
        ("webhook", "scheduler.enabled=true", "--set webhook.schedulerName=lastnode-scheduler", "podTemplate"),
        ("second-scheduler", "recorder.replicas=2", "2. Opt a workload in", "3. Have"),
        ("second-scheduler", "recorder.replicas=2", "2. Opt a workload in", "stay Pending"),
        ("second-scheduler", "webhook.enabled=false", "spec.podTemplate.spec.schedulerName: lastnode-", "stay Pending"),
    ],
)
def test_helm_says_which_scheduler_sessions_will_name_and_what_is_left_to_do(
    release: Release, setup: str, values: str, told: str, untold: str
) -> None:
    printed = release.install(setup, "--dry-run=client", "--set", values)
    notes = printed.partition("NOTES:")[2]
    assert (told in notes, untold in notes) == (True, False), notes


def test_what_was_installed_is_what_helm_template_shows(helm: Path, stack: Stack, release: Release) -> None:
    plain_http = (
        "--set",
        "webhook.enabled=false,extender.tls.enabled=false",
    )  # no certificate, which differs each time
    release.install("second-scheduler", *plain_http)
    for obj in setup(helm, "second-scheduler", *plain_http):
        if obj["kind"] == "Secret":  # whose token is random
            del obj["data"]
        assert missing(obj, stack.api.get(path_of(obj))) == [], key(obj)


APPLY = "application/apply-patch+yaml"
STRICT = "fieldManager=test&force=true&fieldValidation=Strict"


def path_of(obj: Object) -> str:
    version, kind = obj["apiVersion"], obj["kind"].lower()
    plural = f"{kind.removesuffix('y')}ies" if kind.endswith("policy") else f"{kind}s"
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = obj["metadata"].get("namespace")
    return f"{base}/{f'namespaces/{namespace}/' if namespace else ''}{plural}/{obj['metadata']['name']}"


def missing(wanted: object, stored: object, path: str = "") -> list[str]:
    """Where what is stored is not what was sent; what the server filled in does not count."""
    if isinstance(wanted, dict) and isinstance(stored, dict):
        return [said for name, value in wanted.items() for said in missing(value, stored.get(name), f"{path}.{name}")]
    if isinstance(wanted, list) and isinstance(stored, list) and len(wanted) == len(stored):
        pairs = enumerate(zip(wanted, stored, strict=True))
        return [said for index, (one, other) in pairs for said in missing(one, other, f"{path}[{index}]")]
    return [] if wanted == stored or (not wanted and not stored) else [f"{path}: {wanted!r} became {stored!r}"]
