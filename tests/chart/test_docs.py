"""What docs/install.md and docs/operations.md have people type, where a control plane without nodes can show it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.chart.release import Release
from tests.chart.test_rendered import CLAIMED, problem
from tools.render import template

INSTALL = (REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8")
OPERATIONS = (REPOSITORY / "docs" / "operations.md").read_text(encoding="utf-8")
NAMESPACE = "lastnode-system"


def blocks(text: str, language: str) -> list[str]:
    """Code blocks, also those inside of a list."""
    found = re.findall(rf"^( *)(?:\d\. )?```{language}\n(.*?)^\1 *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^ {3}", "", body, flags=re.MULTILINE) if indent else body for indent, body in found]


def documents(kind: str) -> list[dict[str, Any]]:
    return [one for text in blocks(INSTALL, "yaml") if (one := yaml.safe_load(text)).get("kind") == kind]


def commands(text: str) -> list[str]:
    """Whole command lines after a $ prompt, comments off."""
    joined = "\n".join(blocks(text, "console")).replace("\\\n", " ")
    return [line.partition("  #")[0].strip() for line in re.findall(r"^ *\$ (.*)$", joined, re.MULTILINE)]


def run(kubectl: Path, stack: Stack, line: str, **names: str) -> subprocess.CompletedProcess[str]:
    """A kubectl command of the docs, with names in place of the words in capitals."""
    for word, name in names.items():
        line = line.replace(word, name)
    argv = ["bash", "-c", line.replace("kubectl ", f"{kubectl} --kubeconfig {stack.cp.kubeconfig} ", 1)]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, cwd=REPOSITORY)


def test_the_walk_through_configures_the_scheduler_as_scheduler_config_does() -> None:
    (shown,) = documents("KubeSchedulerConfiguration")
    ours = yaml.safe_load((REPOSITORY / "scheduler-config" / "extender.yaml").read_text(encoding="utf-8"))
    assert shown.pop("clientConnection") == {"kubeconfig": "/etc/kubernetes/scheduler.conf"}
    assert shown.pop("leaderElection") == {"leaderElect": True}
    assert shown["extenders"][0].pop("urlPrefix") == "http://10.96.41.7:8888"
    del ours["extenders"][0]["urlPrefix"]
    assert shown == ours


def test_the_kustomization_shown_builds_and_puts_the_image_in_place(kubectl: Path, tmp_path: Path) -> None:
    (shown,) = documents("Kustomization")
    shown["images"][0]["newName"] = "r.example/lastnode"
    shutil.copytree(REPOSITORY / "deploy" / "kustomize", tmp_path / "deploy" / "kustomize")
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(shown))
    built = subprocess.run([kubectl, "kustomize", tmp_path], check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"image: (.*)", built)) == {"r.example/lastnode:0.1.0"}


@pytest.mark.parametrize(
    "line", [line for line in commands(INSTALL) if line.startswith("helm install")], ids=lambda line: line[-60:]
)
def test_every_helm_install_of_the_walk_through_installs(helm: Path, stack: Stack, tmp_path: Path, line: str) -> None:
    release = Release(helm, stack, tmp_path)
    arguments = line.replace("REGISTRY", "r.example").replace("deploy/chart", str(REPOSITORY / "deploy/chart")).split()
    del arguments[0], arguments[arguments.index("--namespace") : arguments.index("--namespace") + 2]
    release.run(*arguments)
    assert "STATUS: deployed" in release.run("status", "lastnode")
    release.uninstall()


def test_every_setting_that_the_docs_name_makes_objects_that_fit(helm: Path) -> None:
    pages = INSTALL + OPERATIONS
    settings = set(re.findall(r"--set (?!image)([\w.]+=[\w.…-]*)", pages)) - {"webhook.schedulerName="}
    assert {"extender.hostNetwork=true", "extender.port=10250", "extender.prioritize.clusterIP=…"} <= settings
    for setting in settings:
        objects = template(helm, "--set", setting.replace("…", "10.96.0.9"))
        assert [said for obj in objects if (said := problem(json.dumps(obj), CLAIMED[-1]))] == [], setting


def test_the_walk_through_has_an_install_for_each_way() -> None:
    profiles = {re.search(r"profiles/([\w-]+)", line) for line in commands(INSTALL) if line.startswith("helm install")}
    assert {found.group(1) if found else "" for found in profiles} == {"", "control-plane", "second-scheduler"}


def test_the_commands_of_the_operators_page_work(helm: Path, kubectl: Path, stack: Stack, tmp_path: Path) -> None:
    release = Release(helm, stack, tmp_path)
    release.install("webhook", "--set", "scheduler.enabled=true")
    container = {"name": "c", "image": "c:1"}
    for name, scheduler in (("moved", "default-scheduler"), ("waiting", "lastnode-scheduler")):
        spec = {"schedulerName": scheduler, "containers": [container]}
        stack.api.post("/api/v1/namespaces/default/pods", {"metadata": {"name": name}, "spec": spec})
    (pods,) = (line for line in commands(OPERATIONS) if "--field-selector" in line)
    assert re.findall(r"moved|waiting", run(kubectl, stack, pods).stdout) == ["waiting"]

    left = [line for line in commands(OPERATIONS) if "part-of=lastnode" in line]
    found = "".join(run(kubectl, stack, line).stdout for line in left)
    assert {"lastnode-webhook", "lastnode-recorder", "lastnode-scheduler-authentication"} <= set(
        re.findall(r"lastnode-[\w-]+", found)
    )
    release.uninstall()
    assert "".join(run(kubectl, stack, line).stdout for line in left) == ""


def finish_deleting(stack: Stack) -> None:
    """What kube-controller-manager does with a namespace once it is empty; none runs here."""
    path = f"/api/v1/namespaces/{NAMESPACE}"
    namespace = stack.api.get(path)
    assert namespace["status"]["phase"] == "Terminating"
    stack.api.request("PUT", f"{path}/finalize", namespace | {"spec": {"finalizers": []}})


def test_the_manifest_is_taken_away_without_helm_and_leaves_nothing(kubectl: Path, stack: Stack) -> None:
    manifest = "kubectl {} -f deploy/manifests/lastnode.yaml --wait=false"
    run(kubectl, stack, manifest.format("apply --server-side").replace(" --wait=false", ""))
    (webhook,) = (line for line in commands(OPERATIONS) if line.startswith("kubectl delete mutatingwebhook"))
    run(kubectl, stack, webhook)
    run(kubectl, stack, manifest.format("delete --ignore-not-found"))
    finish_deleting(stack)
    left = [line for line in commands(OPERATIONS) if "part-of=lastnode" in line]
    assert "".join(run(kubectl, stack, line).stdout for line in left) == ""


def test_applying_the_manifest_again_leaves_certificate_and_bundle_alone(kubectl: Path, stack: Stack) -> None:
    base = f"{REPOSITORY}/deploy/manifests/lastnode.yaml"
    objects = [
        one for one in yaml.safe_load_all(Path(base).read_text()) if one["kind"] == "MutatingWebhookConfiguration"
    ]
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/lastnode-webhook"
    text = yaml.safe_dump(objects[0])
    apply = [str(kubectl), "--kubeconfig", str(stack.cp.kubeconfig), "apply", "--server-side", "-f", "-"]
    subprocess.run(apply, check=True, input=text, text=True, capture_output=True)
    webhooks = {"webhooks": [{"name": "mutate.lastnode.dev", "clientConfig": {"caBundle": "Y2E="}}]}
    stack.api.patch(path, webhooks, "application/strategic-merge-patch+json")
    changed = text.replace("timeoutSeconds: 1", "timeoutSeconds: 2")
    subprocess.run(apply, check=True, input=changed, text=True, capture_output=True)
    (webhook,) = stack.api.get(path)["webhooks"]
    assert (webhook["timeoutSeconds"], webhook["clientConfig"]["caBundle"]) == (2, "Y2E=")
    stack.api.delete(path)
