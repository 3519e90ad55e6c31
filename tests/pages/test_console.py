"""Every command that the documentation prints, typed page by page on a running cluster, or known in elsewhere.py."""

from __future__ import annotations

import re
from typing import Any

import pytest

from testbed.apply import apply
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from testbed.workloads import SANDBOX_VERSION, WORKLOAD_VERSION, agent_runtime, sandbox_for
from tests.pages.elsewhere import OTHERS, other
from tests.pages.printed import Shell
from tests.printed import commands
from tests.unit.test_docs import TOLD
from tests.waiting import eventually

PRINTED = {str(page.relative_to(REPOSITORY)): commands(page.read_text(encoding="utf-8")) for page in TOLD}
PAGES = sorted(page for page, lines in PRINTED.items() if lines)
(INSTALL,) = PRINTED["deploy/chart/README.md"]
UNINSTALL = "helm uninstall lastnode --namespace lastnode-system"
# A person's own names for the words in capitals, and what stands for what is only there elsewhere.
NAMES = {
    "NAMESPACE": "team-a", "REGISTRY": "registry.example", "REVISION": "1", "IMAGES": "images", "NAME": "support-agent",
    "/etc/kubernetes/lastnode/scheduler.yaml": "scheduler-config/sticky.yaml",
    # Nobody is there to be asked.
    "forget --node node-9": "forget --node node-9 --yes",
}  # fmt: skip


@pytest.fixture(scope="module")
def person(stack: Stack) -> Shell:
    """Somebody's shell in the repository: a session ran in team-a, and Prometheus Operator's kinds are there."""
    apply(stack.cp, [operators(plural, kind) for plural, kind in
                     (("servicemonitors", "ServiceMonitor"), ("prometheusrules", "PrometheusRule"))])  # fmt: skip
    stack.api.post("/api/v1/namespaces", {"metadata": {"name": "team-a"}})
    runtime = agent_runtime("support-agent", namespace="team-a", sticky=True, via="annotation")
    stack.api.post(f"/apis/{WORKLOAD_VERSION}/namespaces/team-a/agentruntimes", runtime)
    stack.api.post(f"/apis/{SANDBOX_VERSION}/namespaces/team-a/sandboxes", sandbox_for(runtime, "x7k2"))
    shell = Shell(stack, "team-a")
    eventually(lambda: "valid" in shell.run("kubectl lastnode list", ""), "the session to be written down")
    return shell


def operators(plural: str, kind: str) -> dict[str, Any]:
    """The definition of one of Prometheus Operator's kinds, which takes anything."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    group, names = "monitoring.coreos.com", {"plural": plural, "kind": kind}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": names,
            "versions": [version],
        },
    }


def prepare(person: Shell, line: str) -> None:
    """A release has to be there for what changes it, and none for what installs it."""
    if line.startswith("helm"):
        installs = line.startswith("helm install")
        if installs == is_deployed(person):
            succeed(person, UNINSTALL if installs else named(person, INSTALL))


def is_deployed(person: Shell) -> bool:
    return person.type("helm status lastnode --namespace lastnode-system").returncode == 0


def succeed(person: Shell, line: str) -> None:
    done = person.type(line)
    # doctor: 1 where it found a failure, which is what its page shows.
    good = (0, 1) if "lastnode doctor" in line and " failure" in done.stdout else (0,)
    assert done.returncode in good, f"{line}\n{done.stdout}{done.stderr}"


def named(person: Shell, line: str) -> str:
    for word, name in {**NAMES, "FILE": str(person.rows), "http://localhost:8889": person.recorder}.items():
        line = line.replace(word, name)
    return line


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_prints_can_be_typed(person: Shell, page: str) -> None:
    for line in PRINTED[page]:
        known = other(page, line)
        typed = known.instead if known else named(person, line)
        if typed:
            prepare(person, typed)
            succeed(person, typed)
    if is_deployed(person):
        succeed(person, UNINSTALL)


def test_commands_are_printed_where_they_are_looked_for() -> None:
    """In console blocks, after a prompt."""
    for page in TOLD:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"```(?:sh|bash|shell|zsh)\b", text) == []
        assert len(re.findall(r"^ *(?:\d\. )?```console\n *[$#] ", text, re.MULTILINE)) == text.count("```console"), (
            page
        )


def test_what_is_not_run_here_is_printed_somewhere_and_run_where_it_says() -> None:
    used = {other(page, line) for page, lines in PRINTED.items() for line in lines}
    assert [one.command for one in OTHERS if one not in used] == []
    modules = {name for one in OTHERS for name in re.findall(r"tests/[\w/]+\.py", one.why)}
    assert [name for name in modules if not (REPOSITORY / name).exists()] == []
