"""`kubectl auth can-i` for the ServiceAccounts of an installed chart: what each has to be able to, and what never."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lastnode.kinds import DEFAULT_RESOURCES
from testbed.stack import Stack
from tests.chart.release import Release
from tools.render import NAMESPACE

WEBHOOKS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
WORKLOADS = DEFAULT_RESOURCES
LEASES = "leases.coordination.k8s.io"
EVERYWHERE = "-A"
OWN = f"-n{NAMESPACE}"
OTHER = "-ndefault"
SYSTEM = "-nkube-system"

# (verbs, resources, where)
Question = tuple[str, tuple[str, ...], str]

MAY: dict[str, list[Question]] = {
    "recorder": [
        ("list watch", ("nodes", "pods", *WORKLOADS), EVERYWHERE),
        ("get patch", WORKLOADS, EVERYWHERE),
        ("create", ("events",), EVERYWHERE),
        ("get update", (f"{LEASES}/lastnode-recorder",), OWN),
        ("create", (LEASES,), OWN),
    ],
    "extender": [
        ("list watch", ("nodes", *WORKLOADS), EVERYWHERE),
    ],
    "scheduler": [
        ("list watch", ("nodes", "pods", *WORKLOADS), EVERYWHERE),
        ("create", ("pods/binding",), EVERYWHERE),
        ("get update", (f"{LEASES}/lastnode-scheduler",), OWN),
        ("create", (LEASES,), OWN),
        ("get", ("configmaps/extension-apiserver-authentication",), SYSTEM),
    ],
}

# Nobody of ours has anything to do with these.
NEVER: list[Question] = [
    ("get list watch create update patch delete", ("secrets",), EVERYWHERE),
    ("get list", ("secrets",), SYSTEM),
    ("create update patch", ("pods", "nodes", "nodes/status"), EVERYWHERE),
    ("create", ("pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"), EVERYWHERE),
    ("create update delete", WORKLOADS, EVERYWHERE),
    ("create update patch delete", ("deployments.apps", "daemonsets.apps"), EVERYWHERE),
    ("create update patch delete bind escalate", ("clusterroles.rbac.authorization.k8s.io",), EVERYWHERE),
    ("create update patch delete", ("clusterrolebindings.rbac.authorization.k8s.io",), EVERYWHERE),
    ("impersonate", ("users", "groups", "serviceaccounts"), EVERYWHERE),
    ("create", ("serviceaccounts/token",), EVERYWHERE),
    ("get list watch create update patch delete deletecollection", (WEBHOOKS,), EVERYWHERE),
    ("get update patch delete", (f"{WEBHOOKS}/lastnode-webhook",), EVERYWHERE),
    ("get list watch create update patch delete", ("secrets", "secrets/lastnode-certificate"), OWN),
    ("delete", (LEASES,), EVERYWHERE),
    ("get list watch create update patch delete", ("configmaps",), OTHER),
]
MUST_NOT: dict[str, list[Question]] = {
    "recorder": [
        *NEVER,
        ("get list watch update patch delete", ("events",), EVERYWHERE),
        ("delete", ("pods", "nodes"), EVERYWHERE),
        ("update", (f"{LEASES}/somebody-elses",), OWN),
        ("create update", (LEASES,), SYSTEM),
        ("create", ("pods/binding",), EVERYWHERE),
    ],
    "extender": [
        *NEVER,
        ("delete", ("pods", "nodes"), EVERYWHERE),
        ("list watch", ("pods",), EVERYWHERE),
        ("patch", WORKLOADS, EVERYWHERE),
        ("create", ("events",), EVERYWHERE),
        ("get update create", (LEASES,), OWN),
        ("create", ("pods/binding",), EVERYWHERE),
    ],
    # kube-scheduler itself deletes pods when it preempts, so not all of the others' list is for it.
    "scheduler": [
        *NEVER,
        ("patch", WORKLOADS, EVERYWHERE),
        ("update", (f"{LEASES}/lastnode-recorder",), OWN),
    ],
}


@pytest.fixture(scope="module")
def installed(helm: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    Release(helm, stack, tmp_path_factory.mktemp("helm")).install("webhook", "--set", "scheduler.enabled=true")
    return stack


def single(questions: list[Question]) -> list[tuple[str, str, str]]:
    return [(verb, one, where) for verbs, resources, where in questions for verb in verbs.split() for one in resources]


def account(component: str) -> str:
    return f"system:serviceaccount:{NAMESPACE}:lastnode-{component}"


def can(kubectl: Path, stack: Stack, component: str, verb: str, resource: str, where: str) -> bool:
    """`kubectl auth can-i`, which is a process a question."""
    kind, named = split(resource)
    argv: list[str | Path] = [kubectl, "--kubeconfig", stack.cp.kubeconfig, "auth", "can-i", verb]
    argv += [kind if "subresource" in named else resource, where, f"--as={account(component)}"]
    argv += [f"--{name}={value}" for name, value in named.items() if name == "subresource"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert "doesn't have a resource type" not in done.stderr, done.stderr
    return done.stdout.startswith("yes")


def is_allowed(stack: Stack, component: str, verb: str, resource: str, where: str) -> bool:
    """The same question as kubectl puts it to the API server, without starting kubectl some hundred times."""
    kind, named = split(resource)
    plural, _, group = kind.partition(".")
    namespace = where.removeprefix("-A").removeprefix("-n")
    attributes = {"verb": verb, "resource": plural, "group": group, "namespace": namespace, **named}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
    spec = {"user": account(component), "groups": groups, "resourceAttributes": attributes}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    return bool(stack.api.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"])


def split(resource: str) -> tuple[str, dict[str, str]]:
    """ "pods/exec" is a subresource, "secrets/x" an object."""
    kind, _, rest = resource.partition("/")
    if not rest:
        return kind, {}
    return kind, {"subresource" if kind in ("pods", "nodes", "serviceaccounts") else "name": rest}


@pytest.mark.parametrize("component", sorted(MAY))
def test_each_account_can_do_what_it_needs(installed: Stack, kubectl: Path, component: str) -> None:
    questions = single(MAY[component])
    with ThreadPoolExecutor(4) as threads:
        said = list(threads.map(lambda question: can(kubectl, installed, component, *question), questions))
    assert [question for question, yes in zip(questions, said, strict=True) if not yes] == []
    assert all(is_allowed(installed, component, *question) for question in questions)


@pytest.mark.parametrize("component", sorted(MUST_NOT))
def test_no_account_can_do_what_is_not_its_business(installed: Stack, component: str) -> None:
    questions = single(MUST_NOT[component])
    assert len(questions) > 50
    assert [question for question in questions if is_allowed(installed, component, *question)] == []


def test_kubectl_says_no_as_well(installed: Stack, kubectl: Path) -> None:
    assert not can(kubectl, installed, "recorder", "get", "secrets", SYSTEM)
    assert not can(kubectl, installed, "extender", "create", "pods/exec", EVERYWHERE)
    assert not can(kubectl, installed, "extender", "patch", f"{WEBHOOKS}/lastnode-webhook", EVERYWHERE)
