"""The webhook as the chart installs it, called over TLS by a real API server that trusts the chart's own caBundle.

One thing is not the chart's: there is no network of Services here, so the test puts the url of the process into the
webhook's clientConfig in place of the service, as JSON patch. Rules, selectors, policies and caBundle stay; the
certificate is asked to be valid for that url's host too (extender.tls.extraDnsNames).
"""

from __future__ import annotations

import base64
import itertools
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from lastnode.contract import SESSION_LABEL
from lastnode.kinds import Ways
from testbed.component import Component
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.chart.release import Release
from tests.chart.running import Installed
from tests.chart.sessions import Workload, preferred, returns
from tests.extender.cluster import create, make_nodes, remove, session_pod
from tests.printed import blocks
from tests.rbac import ROWS, as_json
from tests.subjects import KINDS
from tools.render import NAMESPACE

NODES = [f"node-{number:02}" for number in range(10)]
WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastnode-webhook"
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/lastnode-certificate"
OPT_OUT = {"lastnode.dev/inject": "disabled"}
# 2 s, so that a busy machine does not decide a test.
VALUES = (
    "--set", "extender.tls.extraDnsNames={localhost},webhook.timeoutSeconds=2", "--set-json", f"kinds={as_json(ROWS)}",
)  # fmt: skip
# kube-scheduler's configuration with the sticky profile, as docs/install.md prints it.
(PRINTED,) = (
    one
    for text in blocks((REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8"), "yaml")
    if (one := yaml.safe_load(text)).get("kind") == "KubeSchedulerConfiguration"
)

_numbers = itertools.count(1)


class Webhook:
    """The installed webhook, its extender running; ``point`` makes the API server call it."""

    def __init__(self, installed: Installed, release: Release, scheduler: Component) -> None:
        self.installed = installed
        self.scheduler = scheduler
        self.stack = installed.stack
        self.release = release
        self.extender: Component
        self.port = 0
        self.start()

    def start(self) -> None:
        name = f"extender-{next(_numbers)}"
        self.extender, self.port = self.installed.start("lastnode-extender", "extender", name=name)
        self.stack.wait(self.is_ready, "the extender to be ready")

    def registered(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.stack.api.get(WEBHOOK)["webhooks"]
        return found

    def bundle(self) -> str:
        (bundle,) = {str(each["clientConfig"]["caBundle"]) for each in self.registered()}
        return bundle

    def is_ready(self) -> bool:
        """Asked over TLS, trusting the webhook's caBundle and nothing else."""
        trust = ssl.create_default_context(cadata=base64.b64decode(self.bundle()).decode())
        trust.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does unasked
        try:
            with urllib.request.urlopen(f"https://localhost:{self.port}/readyz", timeout=5, context=trust) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def point(self) -> None:
        """The url in place of the service. Everything else of the configuration stays."""
        self._configure({"url": f"https://localhost:{self.port}/mutate", "caBundle": self.bundle()})

    def _configure(self, config: dict[str, Any]) -> None:
        places = [f"/webhooks/{number}/clientConfig" for number, _ in enumerate(self.registered())]
        operations = [{"op": "replace", "path": place, "value": config} for place in places]
        self.stack.api.patch(WEBHOOK, operations, "application/json-patch+json")

    def upgrade(self, value: str) -> None:
        """Upgrade with that value, the chart's own service being back in place of the url."""
        service = {"name": "lastnode-extender", "namespace": NAMESPACE, "path": "/mutate", "port": 8888}
        self._configure({"service": service, "caBundle": self.bundle()})
        self.release.upgrade("--reset-then-reuse-values", "--set", value)

    @contextmanager
    def handing(self, values: str) -> Iterator[None]:
        """With values that have it hand sessions to a scheduler of their own."""
        self.point()
        self.upgrade(values)
        self.restart()
        try:
            yield
        finally:
            self.upgrade("scheduler.enabled=false,webhook.schedulerName=")
            self.restart()

    def restart(self) -> None:
        """What a cluster does with the extender when its settings change."""
        self.extender.stop()
        self.start()
        self.point()

    def wanted(self, workload: Workload) -> list[str]:
        """The nodes that a session's pod created now would prefer."""
        pod = workload.pod()
        remove(self.stack, pod)
        return preferred(pod)


@pytest.fixture(scope="module")
def webhook(helm: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Webhook:
    make_nodes(stack, NODES)
    scheduler = stack.cp.start_scheduler("kube-scheduler")
    directory = tmp_path_factory.mktemp("webhook")
    release = Release(helm, stack, directory)
    release.install("webhook", *VALUES)
    installed = Installed(stack, directory)
    installed.start("lastnode-recorder", "recorder")
    return Webhook(installed, release, scheduler)


def test_an_upgrade_leaves_the_certificate_and_the_trust_as_they_are(webhook: Webhook) -> None:
    before = (webhook.stack.api.get(SECRET)["data"], webhook.bundle())
    assert before[0]["ca.crt"] == before[1]
    webhook.upgrade("webhook.excludedNamespaces={elsewhere}")
    excluded = [each["namespaceSelector"]["matchExpressions"][0]["values"] for each in webhook.registered()]
    assert all("elsewhere" in names for names in excluded)
    assert (webhook.stack.api.get(SECRET)["data"], webhook.bundle()) == before
    webhook.point()
    calls, failures = asked(webhook.stack), failed(webhook.stack)
    create(webhook.stack, session_pod("default", "after-an-upgrade", workload="w"))
    assert asked(webhook.stack) == calls + 1
    assert failed(webhook.stack) == failures


def test_a_new_certificate_is_served_without_a_restart(webhook: Webhook) -> None:
    """The old one is no longer trusted from the moment on in which Helm has replaced it."""
    before = webhook.bundle()
    webhook.upgrade("extender.tls.extraDnsNames={localhost,example.com}")
    assert webhook.bundle() != before
    assert not webhook.is_ready()
    webhook.installed.mount("lastnode-extender", "certificate")
    webhook.stack.wait(webhook.is_ready, "the new certificate to be served")
    assert webhook.extender.alive


@pytest.mark.parametrize("resource", KINDS)
def test_sessions_come_back_with_the_default_scheduler_and_no_library_call(webhook: Webhook, resource: str) -> None:
    webhook.point()
    plural = resource.partition(".")[0]
    assert returns(Workload(webhook.stack, f"sticky-{plural}", resource))
    assert not returns(Workload(webhook.stack, f"other-{plural}", resource, opted_in=False), memory=False)


def test_without_the_webhook_pods_are_created_and_with_it_again_the_preference_is_back(webhook: Webhook) -> None:
    stack = webhook.stack
    webhook.point()
    workload = Workload(stack, "outage")
    first = workload.session()
    workload.remembers(first.node)
    stack.wait(lambda: webhook.wanted(workload) == [first.node], "the preference")
    webhook.extender.stop()
    assert webhook.wanted(workload) == []
    counted = stack.api.get("/metrics")
    name = "agentruntimes.runtime.agentcube.volcano.sh.lastnode.dev"
    assert f'apiserver_admission_webhook_fail_open_count{{name="{name}"' in counted
    webhook.start()
    webhook.point()
    stack.wait(lambda: webhook.wanted(workload) == [first.node], "the preference again")


def test_a_namespace_and_a_workload_can_be_left_out(webhook: Webhook) -> None:
    stack = webhook.stack
    webhook.point()
    workload = Workload(stack, "optout")
    first = workload.session()
    workload.remembers(first.node)
    stack.wait(lambda: webhook.wanted(workload) == [first.node], "the preference")

    labelled = session_pod("default", "labelled", workload="optout")
    labelled["metadata"]["labels"] |= OPT_OUT
    assert preferred(create(stack, labelled)) == []

    path = "/api/v1/namespaces/default"
    stack.api.patch(path, {"metadata": {"labels": OPT_OUT}})
    stack.wait(lambda: webhook.wanted(workload) == [], "the namespace to be left out")
    stack.api.patch(path, {"metadata": {"labels": dict.fromkeys(OPT_OUT)}})
    stack.wait(lambda: webhook.wanted(workload) == [first.node], "the namespace to be back")


def test_sessions_come_back_through_the_profile_that_docs_install_has_people_write(webhook: Webhook) -> None:
    with webhook.handing("webhook.schedulerName=sticky-scheduler"):
        webhook.scheduler.stop()
        ours = webhook.stack.cp.start_scheduler("printed", PRINTED)
        try:
            come_back_by_name(webhook, "sticky-scheduler")
        finally:
            ours.stop()
            webhook.scheduler = webhook.stack.cp.start_scheduler("kube-scheduler-again")


def test_sessions_come_back_through_the_second_scheduler_of_the_release(webhook: Webhook) -> None:
    with webhook.handing("scheduler.enabled=true,webhook.schedulerName=lastnode-scheduler"):
        settings = webhook.installed.settings("lastnode-scheduler") / "scheduler.yaml"
        config = yaml.safe_load(settings.read_text(encoding="utf-8"))
        # No sidecar runs: the preference is in the pods.
        config["extenders"][0]["urlPrefix"] = f"http://127.0.0.1:{webhook.stack.cp.free_port()}"
        user = webhook.installed.account("lastnode-scheduler")
        second = webhook.stack.cp.start_scheduler("second", config, user=user)
        try:
            come_back_by_name(webhook, "lastnode-scheduler")
        finally:
            second.stop()


def come_back_by_name(webhook: Webhook, name: str) -> None:
    """Sessions with a node to come back to name that scheduler, which runs, and come back; others do not name it."""
    workload = Workload(webhook.stack, f"handed-{name}")
    assert returns(workload)
    assert workload.pod()["spec"]["schedulerName"] == name
    assert Workload(webhook.stack, f"first-{name}").pod()["spec"]["schedulerName"] == "default-scheduler"


def test_other_pods_are_not_shown_to_the_webhook(webhook: Webhook) -> None:
    """A pod without the session label, in the release's own namespace or in kube-system: no request arrives."""
    webhook.point()
    before = asked(webhook.stack)
    other = session_pod("default", "no-session", workload="w")
    del other["metadata"]["labels"][SESSION_LABEL]
    create(webhook.stack, other)
    create(webhook.stack, session_pod(NAMESPACE, "own", workload="w"))
    create(webhook.stack, session_pod("kube-system", "system", workload="w"))
    assert asked(webhook.stack) == before
    create(webhook.stack, session_pod("default", "a-session", workload="w"))
    assert asked(webhook.stack) == before + 1


def test_a_pod_of_several_kinds_is_asked_about_once_and_one_of_none_never(webhook: Webhook) -> None:
    """Any mixture of the labels that some selector asks for or wants to be absent."""
    webhook.point()
    ways = Ways(KINDS.values())
    asked_for = {one.key: one.value or "x" for way in ways.all for one in way.pods.requirements}
    mixtures = itertools.chain.from_iterable(itertools.combinations(asked_for, n) for n in range(len(asked_for) + 1))
    wrong = []
    for keys in mixtures:
        labels = {key: asked_for[key] for key in keys}
        pod = session_pod("default") | {"metadata": {"name": "mixed", "namespace": "default", "labels": labels}}
        before = asked(webhook.stack)
        webhook.stack.api.post("/api/v1/namespaces/default/pods?dryRun=All", pod)
        if (times := asked(webhook.stack) - before) != bool(ways.of(labels)):
            wrong.append((labels, times))
    assert len(asked_for) == 5
    assert wrong == []


def asked(stack: Stack) -> float:
    """How often the API server has called the webhook, by its own count."""
    name = "apiserver_admission_webhook_request_total"
    lines = [line for line in stack.api.get("/metrics").splitlines() if line.startswith(name) and "lastnode" in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def failed(stack: Stack) -> float:
    """How often it got no answer that it could trust."""
    name = "apiserver_admission_webhook_fail_open_count"
    lines = [line for line in stack.api.get("/metrics").splitlines() if line.startswith(name) and "lastnode" in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_it_is_removed_and_pods_are_still_created(webhook: Webhook) -> None:
    """And installed again, for the tests that may come after this one."""
    webhook.point()
    webhook.release.uninstall()
    try:
        create(webhook.stack, session_pod("default", "after", workload="w"))
        remaining = webhook.stack.api.get(WEBHOOK.rpartition("/")[0])["items"]
        assert remaining == []
    finally:
        webhook.release.install("webhook", *VALUES)
        webhook.extender.stop()
        webhook.start()
