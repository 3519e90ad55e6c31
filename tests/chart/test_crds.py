"""The patch that adds spec.nodeStickiness: applied with kubectl to definitions without it, on a real API server."""

from __future__ import annotations

import copy
import itertools
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lastnode.kinds import BUILT_IN
from testbed.api import Api
from testbed.apply import apply
from testbed.errors import ApiError
from testbed.extras import CRDS
from testbed.paths import REPOSITORY
from testbed.stack import Stack

PATCH = REPOSITORY / "deploy" / "crds" / "node-stickiness.yaml"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
WORKLOADS = "/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/default"
POD = {"spec": {"containers": [{"name": "c", "image": "registry.example/c:1"}]}}

_numbers = itertools.count(1)

Object = dict[str, Any]


@pytest.fixture(params=[kind.resource for kind in BUILT_IN if kind.field])
def definition(request: pytest.FixtureRequest, stack: Stack) -> str:
    """The name of a definition as agentcube releases it: whatever a test before did to it is undone."""
    name: str = request.param
    api = stack.api
    api.delete(f"{DEFINITIONS}/{name}")
    stack.wait(lambda: missing(api, f"{DEFINITIONS}/{name}"), "the definition to be gone")
    apply(stack.cp, CRDS / "without-stickiness")
    return name


def missing(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except ApiError as error:
        return error.status == 404
    return False


def patch(kubectl: Path, stack: Stack, name: str) -> subprocess.CompletedProcess[str]:
    argv: list[str | Path] = [kubectl, "--kubeconfig", stack.cp.kubeconfig, "patch", "crd", name]
    argv += ["--type=json", "--patch-file", PATCH]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)


def create(stack: Stack, definition: str, stickiness: object) -> Object:
    """A workload with that under spec.nodeStickiness, as the API server stored it."""
    plural = definition.partition(".")[0]
    kind = {"agentruntimes": "AgentRuntime", "codeinterpreters": "CodeInterpreter"}[plural]
    template = "podTemplate" if kind == "AgentRuntime" else "template"
    body = {
        "apiVersion": "runtime.agentcube.volcano.sh/v1alpha1",
        "kind": kind,
        "metadata": {"name": f"w{next(_numbers)}"},
        "spec": {template: POD, "nodeStickiness": stickiness},
    }
    made: Object = stack.api.post(f"{WORKLOADS}/{plural}", body)
    return made


def keeps_the_field(stack: Stack, definition: str) -> bool:
    return bool(create(stack, definition, {"enabled": True})["spec"].get("nodeStickiness") == {"enabled": True})


def test_before_the_field_is_dropped_and_afterwards_it_is_kept_and_validated(
    stack: Stack, kubectl: Path, definition: str
) -> None:
    assert "nodeStickiness" not in create(stack, definition, {"enabled": True})["spec"]
    assert patch(kubectl, stack, definition).returncode == 0
    stack.wait(lambda: keeps_the_field(stack, definition), "the new schema to be served")
    assert create(stack, definition, {"enabled": False, "unknown": 1})["spec"]["nodeStickiness"] == {"enabled": False}
    assert create(stack, definition, {})["spec"]["nodeStickiness"] == {}
    for wrong in ({"enabled": "yes"}, {"enabled": 1}, "enabled", True):
        with pytest.raises(ApiError, match="nodeStickiness") as refused:
            create(stack, definition, wrong)
        assert refused.value.status == 422


def test_everything_else_stays_and_a_second_time_changes_nothing(stack: Stack, kubectl: Path, definition: str) -> None:
    path = f"{DEFINITIONS}/{definition}"
    before = stack.api.get(path)
    assert patch(kubectl, stack, definition).returncode == 0
    stack.wait(lambda: keeps_the_field(stack, definition), "the new schema to be served")
    after = stack.api.get(path)

    expected = copy.deepcopy(before["spec"])
    properties = expected["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    added = after["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    properties["nodeStickiness"] = added["nodeStickiness"]
    assert after["spec"] == expected
    assert "nodeStickiness" not in str(before["spec"])

    again = patch(kubectl, stack, definition)
    assert again.returncode == 0
    assert "no change" in again.stdout
    assert stack.api.get(path)["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


def test_the_schema_stays_structural(stack: Stack, kubectl: Path, definition: str) -> None:
    assert patch(kubectl, stack, definition).returncode == 0
    stack.wait(lambda: keeps_the_field(stack, definition), "the new schema to be served")
    conditions = stack.api.get(f"{DEFINITIONS}/{definition}")["status"]["conditions"]
    assert not [one for one in conditions if one["type"] == "NonStructuralSchema" and one["status"] == "True"]


def test_a_definition_of_another_version_is_refused_and_left_alone(
    stack: Stack, kubectl: Path, definition: str
) -> None:
    path = f"{DEFINITIONS}/{definition}"
    newer = copy.deepcopy(stack.api.get(path)["spec"]["versions"][0]) | {"name": "v1beta1", "storage": False}
    stack.api.patch(path, [{"op": "add", "path": "/spec/versions/0", "value": newer}], "application/json-patch+json")
    before = stack.api.get(path)["spec"]
    refused = patch(kubectl, stack, definition)
    assert refused.returncode != 0
    assert "The request is invalid" in refused.stderr
    assert stack.api.get(path)["spec"] == before


def test_definitions_that_are_installed_anew_take_the_field_away_until_they_are_patched_again(
    stack: Stack, kubectl: Path, definition: str
) -> None:
    assert patch(kubectl, stack, definition).returncode == 0
    stack.wait(lambda: keeps_the_field(stack, definition), "the new schema to be served")
    workload = create(stack, definition, {"enabled": True})
    path = f"{WORKLOADS}/{definition.partition('.')[0]}/{workload['metadata']['name']}"

    apply(stack.cp, CRDS / "without-stickiness")
    stack.wait(lambda: "nodeStickiness" not in stack.api.get(path)["spec"], "the field to be gone")
    assert patch(kubectl, stack, definition).returncode == 0
    stack.wait(lambda: "nodeStickiness" in stack.api.get(path)["spec"], "the field to be back")
