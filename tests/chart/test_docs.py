"""What docs/install.md and docs/operate.md have people type, where a control plane without nodes can show it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from testbed.paths import REPOSITORY
from testbed.stack import SCHEDULER_CONFIG, Stack
from tests.chart.release import Release
from tests.chart.test_rendered import CLAIMED, FOREIGN, problem
from tests.printed import blocks, commands
from tools.render import MANIFESTS, manifest, template

INSTALL = (REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8")
OPERATE = (REPOSITORY / "docs" / "operate.md").read_text(encoding="utf-8")
CHOOSE = (REPOSITORY / "docs" / "choose.md").read_text(encoding="utf-8")
RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text(encoding="utf-8")
NAMESPACE = "lastnode-system"


def documents(kind: str) -> list[dict[str, Any]]:
    return [one for text in blocks(INSTALL, "yaml") if (one := yaml.safe_load(text)).get("kind") == kind]


def run(kubectl: Path, stack: Stack, line: str, **names: str) -> subprocess.CompletedProcess[str]:
    """A kubectl command of the docs, with names in place of the words in capitals."""
    for word, name in names.items():
        line = line.replace(word, name)
    argv = ["bash", "-c", line.replace("kubectl ", f"{kubectl} --kubeconfig {stack.cp.kubeconfig} ", 1)]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60, cwd=REPOSITORY)


def test_the_walk_through_configures_the_scheduler_as_scheduler_config_does() -> None:
    (shown,) = documents("KubeSchedulerConfiguration")
    (appended,) = (one for text in blocks(INSTALL, "yaml") if "extenders" in (one := yaml.safe_load(text)))
    sticky, extender = (yaml.safe_load((SCHEDULER_CONFIG / f"{name}.yaml").read_text(encoding="utf-8"))
                        for name in ("sticky", "extender"))  # fmt: skip
    assert shown.pop("clientConnection") == {"kubeconfig": "/etc/kubernetes/scheduler.conf"}
    assert shown.pop("leaderElection") == {"leaderElect": True}
    assert shown == sticky
    assert appended["extenders"][0].pop("urlPrefix") == "http://10.96.41.7:8888"
    del extender["extenders"][0]["urlPrefix"]
    assert shown | appended == extender


def test_every_setting_that_the_docs_name_makes_objects_that_fit(helm: Path) -> None:
    pages = INSTALL + CHOOSE + OPERATE + RUNBOOK
    settings = set(re.findall(r"--set (?!image)([\w.]+=[\w.…:/-]*)", pages))
    settings |= set(re.findall(r"`((?:extender|webhook|scheduler)[\w.]*\.[\w.]+=[\w.-]+)`", pages))
    assert {"extender.hostNetwork=true", "extender.service.clusterIP=…", "extender.tls.enabled=false"} <= settings
    for setting in settings:
        # Plain HTTP is for kube-scheduler alone.
        beside = ["--set", "webhook.enabled=false"] if setting == "extender.tls.enabled=false" else []
        objects = template(helm, "--set", setting.replace("…", "10.96.0.9"), *beside)
        ours = [json.dumps(obj) for obj in objects if obj["apiVersion"] not in FOREIGN]
        assert [said for text in ours if (said := problem(text, CLAIMED[-1]))] == [], setting


def test_the_walk_through_has_an_install_for_each_setup() -> None:
    setups = {re.search(r"setups/([\w-]+)", line) for line in commands(INSTALL) if line.startswith("helm install")}
    assert {found.group(1) if found else "" for found in setups} == {"", "control-plane", "second-scheduler"}


def test_every_helm_upgrade_names_the_namespace_and_keeps_what_was_set() -> None:
    upgrades = [line for line in commands(OPERATE) if line.startswith(("helm upgrade", "helm rollback"))]
    assert len(upgrades) == 3
    for line in upgrades:
        assert f"--namespace {NAMESPACE}" in line
        assert "rollback" in line or "--reset-then-reuse-values" in line


def test_the_upgrade_and_the_way_back_work_as_they_are_printed(helm: Path, stack: Stack, tmp_path: Path) -> None:
    release = Release(helm, stack, tmp_path)
    release.install("webhook", "--set", "recorder.replicas=3")
    for line in (line for line in commands(OPERATE) if line.startswith("helm ")):
        if "monitoring" not in line and "uninstall" not in line:
            line = line.replace("deploy/chart", str(REPOSITORY / "deploy/chart")).replace("REVISION", "1")
            release.run(*line.replace(f"--namespace {NAMESPACE}", "").split()[1:])
    assert "recorder:\n  replicas: 3" in release.run("get", "values", "lastnode")
    release.uninstall()


def test_the_commands_of_the_operators_page_work(helm: Path, kubectl: Path, stack: Stack, tmp_path: Path) -> None:
    release = Release(helm, stack, tmp_path)
    release.install("webhook", "--set", "scheduler.enabled=true")
    container = {"name": "c", "image": "c:1"}
    for name, scheduler in (("moved", "default-scheduler"), ("waiting", "lastnode-scheduler")):
        spec = {"schedulerName": scheduler, "containers": [container]}
        stack.api.post("/api/v1/namespaces/default/pods", {"metadata": {"name": name}, "spec": spec})
    (pods,) = (line for line in commands(OPERATE) if "--field-selector" in line)
    assert re.findall(r"moved|waiting", run(kubectl, stack, pods).stdout) == ["waiting"]

    left = [line for line in commands(OPERATE) if "part-of=lastnode" in line]
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


def test_a_manifest_is_taken_away_without_helm_and_leaves_nothing(
    helm: Path, kubectl: Path, stack: Stack, tmp_path: Path
) -> None:
    file = tmp_path / "webhook.yaml"
    file.write_text(manifest(helm, "webhook"), encoding="utf-8")
    run(kubectl, stack, f"kubectl apply --server-side -f {file}")
    away = [line for line in commands(OPERATE) if line.startswith("kubectl delete") and "namespace" not in line]
    assert len(away) == 2
    for line in away:
        shown = str((MANIFESTS / "webhook.yaml").relative_to(REPOSITORY))
        run(kubectl, stack, line.replace(shown, f"{file} --wait=false"))
    finish_deleting(stack)
    left = [line for line in commands(OPERATE) if "part-of=lastnode" in line]
    assert "".join(run(kubectl, stack, line).stdout for line in left) == ""
