"""The manifests of `make manifests`: the chart's objects, applied, given a certificate and removed without Helm."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.stack import Stack
from tests.chart.release import everything
from tools.render import NAMESPACE, Object, by_key, manifest, plain, setups

ALL_SETUPS = setups()
WEBHOOK = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastnode-webhook"


@pytest.mark.parametrize("name", ALL_SETUPS)
def test_the_manifest_of_a_setup_gives_the_same_objects_as_the_chart(
    rendered: dict[str, list[Object]], helm: Path, name: str
) -> None:
    text = manifest(helm, name)
    objects, chart = by_key(yaml.safe_load_all(text)), by_key(plain(rendered[name]))
    # A secret has no place in a file: the first lines say how it is made.
    assert len(base64.b64decode(chart.pop(("v1", "Secret", NAMESPACE, "lastnode-sessions"))["data"]["token"])) == 40
    assert "create secret generic lastnode-sessions --from-literal=token=" in text
    secret = ("v1", "Secret", NAMESPACE, "lastnode-certificate")
    assert (secret in chart) is (name in ("webhook", "second-scheduler"))
    if secret in chart:
        # The one difference: its certificate is given, and what Helm would make has no place in a file.
        webhook = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "lastnode-webhook")
        assert chart.pop(secret)["data"]["ca.crt"] == chart[webhook]["webhooks"][0]["clientConfig"]["caBundle"]
        for each in chart[webhook]["webhooks"]:
            del each["clientConfig"]["caBundle"]
        assert "needs a Secret lastnode-certificate in the namespace lastnode-system" in text
    assert objects == chart
    assert "PRIVATE KEY" not in text
    assert "Secret" not in {obj["kind"] for obj in objects.values()}
    assert not re.search(r"helm", text, re.IGNORECASE)


@pytest.mark.parametrize("name", ALL_SETUPS)
def test_kustomize_takes_a_manifest_as_its_base(helm: Path, kubectl: Path, tmp_path: Path, name: str) -> None:
    text = manifest(helm, name)
    (tmp_path / "base.yaml").write_text(text, encoding="utf-8")
    images = [{"name": "lastnode", "newName": "r.example/lastnode"}]
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": ["base.yaml"], "images": images}))
    built = subprocess.run([kubectl, "kustomize", tmp_path], check=True, capture_output=True, text=True).stdout
    expected = text.replace("image: lastnode:", "image: r.example/lastnode:")
    assert by_key(yaml.safe_load_all(built)) == by_key(yaml.safe_load_all(expected))


class Applied:
    """The manifest of the default setup, and kubectl on it."""

    def __init__(self, kubectl: Path, stack: Stack, text: str, directory: Path) -> None:
        self.stack = stack
        self.text = text
        self._kubectl = kubectl
        self._directory = directory
        self.apply(text)

    def apply(self, text: str) -> None:
        self.run("kubectl apply --server-side -f -", text)

    def run(self, line: str, given: str = "") -> None:
        line = line.replace("kubectl", f"{self._kubectl} --kubeconfig {self.stack.cp.kubeconfig}", 1)
        argv = ["bash", "-c", line]
        subprocess.run(argv, check=True, input=given, text=True, capture_output=True, timeout=60, cwd=self._directory)

    def webhooks(self) -> set[tuple[int, str]]:
        """How long each may take, and whom it trusts."""
        found = self.stack.api.get(WEBHOOK)["webhooks"]
        assert len(found) > 1
        return {(each["timeoutSeconds"], each["clientConfig"].get("caBundle")) for each in found}


@pytest.fixture
def applied(helm: Path, kubectl: Path, stack: Stack, tmp_path: Path) -> Iterator[Applied]:
    applied = Applied(kubectl, stack, manifest(helm, "webhook"), tmp_path)
    yield applied
    applied.run("kubectl delete --ignore-not-found --wait=false -f -", applied.text)
    finish_deleting(stack)


def finish_deleting(stack: Stack) -> None:
    """What kube-controller-manager does with a namespace once it is empty; none runs here."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    namespace = stack.api.get(path)
    assert namespace["status"]["phase"] == "Terminating"
    stack.api.request("PUT", f"{path}/finalize", namespace | {"spec": {"finalizers": []}})


def test_its_first_lines_say_how_the_api_server_learns_of_the_ca_and_applying_it_again_leaves_that_alone(
    applied: Applied, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_text("a CA\n")
    told = re.search(r"^#   (for n in .*\n(?:#     .*\n)+)", applied.text, re.MULTILINE)
    assert told
    applied.run(re.sub(r"^# +", "", told[1], flags=re.MULTILINE))
    bundle = base64.b64encode(b"a CA\n").decode()
    assert applied.webhooks() == {(1, bundle)}

    applied.apply(applied.text.replace("timeoutSeconds: 1", "timeoutSeconds: 2"))
    assert applied.webhooks() == {(2, bundle)}


def test_it_is_taken_away_and_leaves_nothing(applied: Applied, stack: Stack) -> None:
    def ours() -> list[str]:
        found = [obj for obj in everything(stack.api) if obj["kind"] not in ("Namespace", "Event")]
        return [obj["metadata"]["name"] for obj in found if "lastnode" in obj["metadata"]["name"]]

    assert len(ours()) > 10
    applied.run("kubectl delete --wait=false -f -", applied.text)
    assert ours() == []
