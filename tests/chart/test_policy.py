"""What the recorder's account may do by RBAC and still does not get through: the chart's ValidatingAdmissionPolicy on a
real API server, which leaves the recorder its work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lastnode import contract
from testbed.api import Api
from testbed.errors import ApiError
from testbed.stack import Stack
from tests.chart.release import Release
from tests.chart.running import Installed
from tests.chart.sessions import Workload
from tests.extender.cluster import make_nodes, session_pod
from tests.rbac import ROWS, as_json
from tests.recorder.space import WORKLOADS
from tests.subjects import (
    AGENT_RUNTIMES,
    CODE_INTERPRETERS,
    CRON_JOBS,
    KINDS,
    SANDBOXES,
    STATEFUL_SETS,
    Subject,
)
from tools.render import NAMESPACE, template

NODES = ["node-1", "node-2"]
PATH = f"{WORKLOADS}/namespaces/default/agentruntimes/guarded"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
EVENTS = "/api/v1/namespaces/default/events"
DRY = "?dryRun=All"
SPECS: dict[str, dict[str, Any]] = {
    AGENT_RUNTIMES: {"podTemplate": {"spec": {"serviceAccountName": "admin"}}},
    CODE_INTERPRETERS: {"template": {"spec": {"serviceAccountName": "admin"}}},
    SANDBOXES: {"podTemplate": {"spec": {"serviceAccountName": "admin"}}},
    STATEFUL_SETS: {"replicas": 3},
    CRON_JOBS: {"suspend": True},
}
MANY = {f"example.com/{number}": "x" * 60 for number in range(2000)}

Object = dict[str, Any]


@pytest.fixture(scope="module")
def recorder(helm: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API server as the recorder's account sees it, with the policy in force and the recorder at work."""
    directory = tmp_path_factory.mktemp("policy")
    release = Release(helm, stack, directory)
    release.install("control-plane", "--set-json", f"kinds={as_json(ROWS)}", "--set", "recorder.settings.nominate=5000")
    installed = Installed(stack, directory)
    component, _ = installed.start("lastnode-recorder", "recorder")
    make_nodes(stack, NODES)
    api = stack.cp.api(installed.account("lastnode-recorder"))
    lease = {"metadata": {"name": "another"}, "spec": {}}
    stack.wait(lambda: refusal(api, "POST", f"{LEASES}{DRY}", lease).startswith("422"), "the policy to be in force")
    yield api
    component.stop()
    release.uninstall()


@pytest.fixture(scope="module")
def guarded(recorder: Api, stack: Stack) -> Workload:
    """A workload whose session the recorder wrote down, so that there is something of everything to change."""
    scheduler = stack.cp.start_scheduler("kube-scheduler")
    workload = Workload(stack, "guarded")
    stack.api.patch(PATH, {"metadata": {"labels": {"team": "a"}, "finalizers": ["example.com/kept"]}})
    workload.remembers(workload.session().node)
    scheduler.stop()
    return workload


def refusal(api: Api, method: str, path: str, body: Object) -> str:
    """Status and text; empty where it was done."""
    try:
        api.patch(path, body) if method == "PATCH" else api.request(method, path, body)
    except ApiError as error:
        return f"{error.status} {error}"
    return ""


def annotations(**what: Any) -> Object:
    return {"metadata": {"annotations": what}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spec": {"podTemplate": {"spec": {"serviceAccountName": "admin"}}}}, "nothing of a workload but its memory"),
        ({"spec": None}, "nothing of a workload but its memory"),
        ({"metadata": {"labels": {"team": "b"}}}, "nothing of a workload's metadata"),
        ({"metadata": {"labels": None}}, "nothing of a workload's metadata"),
        ({"metadata": {"finalizers": []}}, "nothing of a workload's metadata"),
        ({"metadata": {"finalizers": ["example.com/kept", "example.com/new"]}}, "nothing of a workload's metadata"),
        (
            {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]}},
            "nothing of a workload's metadata",
        ),
        (annotations(**{contract.STICKINESS_ANNOTATION: "disabled"}), "no annotation of a workload but its memory"),
        (annotations(**{contract.STICKINESS_ANNOTATION: None}), "no annotation of a workload but its memory"),
        (annotations(**{"example.com/new": "x"}), "no annotation of a workload but its memory"),
        ({"metadata": {"annotations": None}}, "no annotation of a workload but its memory"),
    ],
)
def test_of_a_workload_it_changes_nothing_but_the_memory(
    recorder: Api, guarded: Workload, stack: Stack, change: Object, said: str
) -> None:
    told = refusal(recorder, "PATCH", f"{PATH}{DRY}", change)
    assert told.startswith("422"), told
    assert said in told
    assert refusal(stack.api, "PATCH", f"{PATH}{DRY}", change)[:3] in ("", "422")  # 422: of the definition, by anybody
    assert "the recorder" not in refusal(stack.api, "PATCH", f"{PATH}{DRY}", change)


def test_the_memory_it_writes_and_removes(recorder: Api, guarded: Workload, stack: Stack) -> None:
    memory = {contract.LAST_NODE_ANNOTATION: "n", contract.RECENT_NODES_ANNOTATION: "[]"}
    assert refusal(recorder, "PATCH", f"{PATH}{DRY}", annotations(**memory)) == ""
    assert refusal(recorder, "PATCH", f"{PATH}{DRY}", annotations(**dict.fromkeys(memory))) == ""
    # Then the recorder reads the workload again.
    for stale in ({"resourceVersion": "1"}, {"resourceVersion": "1", "uid": "another"}):
        body = {"metadata": {**annotations(**memory)["metadata"], **stale}}
        assert refusal(recorder, "PATCH", f"{PATH}{DRY}", body).startswith("409")
    bare = {"apiVersion": WORKLOADS.removeprefix("/apis/"), "kind": "AgentRuntime", "metadata": {"name": "bare"}}
    path = f"{WORKLOADS}/namespaces/default/agentruntimes"
    spec = stack.api.get(PATH)["spec"]
    stack.api.post(path, bare | {"spec": spec})
    assert refusal(recorder, "PATCH", f"{path}/bare{DRY}", annotations(**memory)) == ""


@pytest.mark.parametrize("resource", KINDS)
def test_of_every_kind_it_writes_the_memory_under_its_own_prefix_alone(
    recorder: Api, stack: Stack, resource: str
) -> None:
    subject = Subject(stack, resource, name="prefixes")
    for prefix in {kind.prefix for kind in KINDS.values()}:
        for name in (contract.LAST_NODE, contract.RECENT_NODES, contract.STICKINESS):
            told = refusal(recorder, "PATCH", f"{subject.path}{DRY}", annotations(**{f"{prefix}/{name}": "n"}))
            if prefix == subject.kind.prefix and name != contract.STICKINESS:
                assert told == ""
            else:
                assert "no annotation of a workload but its memory" in told
    told = refusal(recorder, "PATCH", f"{subject.path}{DRY}", {"spec": SPECS[resource]})
    assert "nothing of a workload but its memory" in told


def test_a_workload_with_thousands_of_annotations_is_still_written(recorder: Api, stack: Stack) -> None:
    """What looking through them costs stays within what an expression may cost."""
    path = f"{WORKLOADS}/namespaces/default/agentruntimes"
    body = {"apiVersion": WORKLOADS.removeprefix("/apis/"), "kind": "AgentRuntime"}
    template = {"spec": {"containers": [{"name": "c", "image": "c:1"}]}}
    stack.api.post(path, body | {"metadata": {"name": "many", "annotations": MANY}, "spec": {"podTemplate": template}})
    assert refusal(recorder, "PATCH", f"{path}/many", annotations(**{contract.LAST_NODE_ANNOTATION: "n"})) == ""
    assert "no annotation" in refusal(recorder, "PATCH", f"{path}/many", annotations(**{"example.com/7": "y"}))


def test_its_events_say_that_a_session_moved_and_its_lease_is_its_own(recorder: Api, stack: Stack) -> None:
    event = {
        "metadata": {"name": "e"}, "involvedObject": {"kind": "AgentRuntime", "name": "w", "namespace": "default"},
        "reason": "SessionMoved", "reportingComponent": "lastnode-recorder", "reportingInstance": "r",
    }  # fmt: skip
    assert refusal(recorder, "POST", f"{EVENTS}{DRY}", event) == ""
    for wrong in ({"reason": "Killing"}, {"reportingComponent": "kubelet"}, {"reason": None}):
        told = refusal(recorder, "POST", f"{EVENTS}{DRY}", event | wrong)
        assert told.startswith("422")
        assert "no Events but SessionMoved" in told
        assert refusal(stack.api, "POST", f"{EVENTS}{DRY}", event | wrong) == ""
    told = refusal(recorder, "POST", f"{LEASES}{DRY}", {"metadata": {"name": "lastnode-scheduler"}, "spec": {}})
    assert "the recorder has one Lease, lastnode-recorder" in told


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"phase": "Failed"}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"status": {"message": None}},
        {"metadata": {"labels": {"app": "other"}}},
        {"metadata": {"annotations": {"example.com/new": "x"}}},
        {"metadata": {"finalizers": ["example.com/new"]}},
    ],
)
def test_of_a_pod_it_sets_a_nomination_that_nobody_has_set_and_nothing_else(
    recorder: Api, stack: Stack, change: Object
) -> None:
    pods, pod = "/api/v1/namespaces/default/pods", session_pod("default", "waiting")
    path, nomination = f"{pods}/waiting/status", {"status": {"nominatedNodeName": NODES[0]}}
    stack.api.post(pods, pod)
    stack.api.patch(path, {"status": {"message": "m"}})
    try:
        assert refusal(recorder, "PATCH", f"{path}{DRY}", nomination) == ""
        for wrong in (change, {**nomination, **change, "status": {**nomination["status"], **change.get("status", {})}}):
            told = refusal(recorder, "PATCH", f"{path}{DRY}", wrong)
            assert told.startswith("422")
            assert "changes nothing else of them" in told
            assert refusal(stack.api, "PATCH", f"{path}{DRY}", wrong) == ""
        stack.api.patch(path, nomination)
        again = {"status": {"nominatedNodeName": NODES[1]}}
        assert "pods that nobody has nominated" in refusal(recorder, "PATCH", f"{path}{DRY}", again)
    finally:
        stack.api.request("DELETE", f"{pods}/waiting", {"gracePeriodSeconds": 0})


def test_where_it_is_switched_off_or_not_served_there_is_none(helm: Path) -> None:
    def kinds(*arguments: str) -> set[str]:
        return {obj["kind"] for obj in template(helm, *arguments) if "Policy" in obj["kind"]}

    both = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    served = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy"
    assert kinds() == kinds("--api-versions", f"v1/Pod,{served}") == both
    assert kinds("--api-versions", "v1/Pod") == kinds("--set", "recorder.admissionPolicy.enabled=false") == set()
    assert kinds("--set", "recorder.enabled=false") == set()
