"""The webhook's bytes: whatever comes in, an AdmissionReview that allows goes out, with a patch that prefers."""

import base64
import json
import threading
import time
from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from extender import prefer_node
from extender.holding import Holding
from extender.http import Verb
from extender.lookup import Lookup
from extender.metrics import InjectionMetrics
from extender.mutate import Mutator, allow, prefer, read, schedule_by
from extender.waiting import Patience
from lastnode.contract import SANDBOX_LABEL, SANDBOX_RESOURCE, SESSION_LABEL, WORKLOAD_NAME_LABEL
from lastnode.kube.errors import Undecodable
from lastnode.objects import Node, Workload
from lastnode.ranking import Preference, Preferred
from lastnode.reasons import MUTATE, Reason
from lastnode.view import MemoryCache, View
from tests.unit.strategies import NODE, OURS, label_values, node_names, pod_specs, preferred_terms

RESOURCE = "agentruntimes.runtime.agentcube.volcano.sh"
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"
LONG = ".".join(["long"] * 20)
Object = dict[str, Any]


def review(pod: Any, **request: Any) -> Object:
    """What kube-apiserver 1.37 sends for a pod that is created, as far as anybody reads it."""
    pods = {"group": "", "version": "v1", "resource": "pods"}
    asked = {
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": pods,
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": pods,
        "namespace": "demo",
        "operation": "CREATE",
        "userInfo": {"username": "admin", "groups": ["system:masters"]},
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": asked | request}


def session(spec: Any = None, **metadata: Any) -> Object:
    """A pod on its way through admission: no namespace of its own, no UID, a null for its time."""
    labels = {SESSION_LABEL: "s-1", WORKLOAD_NAME_LABEL: "w"}
    spec = {"containers": []} if spec is None else spec
    return {"metadata": {"generateName": "w-", "creationTimestamp": None, "labels": labels} | metadata, "spec": spec}


def view() -> View:
    """Knows the workloads "w" (by hostname), "long" (whose node's name no label can have) and "fresh" of "demo"."""
    known = View()
    for name, last_node in (("w", NODE), ("long", LONG), ("fresh", None)):
        known.workloads[RESOURCE].upsert(
            Workload(namespace="demo", name=name, uid=name, resource=RESOURCE, kind="AgentRuntime", sticky=True,
                     last_node=last_node)
        )  # fmt: skip
    for name in (NODE, LONG):
        known.nodes.upsert(Node(name=name, uid=name, hostname=name if name == NODE else "", ready=True))
    return known


def webhook(known: View | None = None, scheduler: str = "", **lookup: Any) -> tuple[Verb, CollectorRegistry]:
    registry = CollectorRegistry()
    found = Lookup(known or view(), MemoryCache(0), 0, synced=lambda: True, **lookup)
    return Verb(Mutator(found, InjectionMetrics(registry), Holding(), scheduler)), registry


def counted(registry: CollectorRegistry) -> dict[str, float]:
    counts = {r: registry.get_sample_value("lastnode_injections_total", {"result": r}) for r in MUTATE}
    return {result: count for result, count in counts.items() if count}


def answered(body: bytes, scheduler: str = "") -> tuple[Object, str]:
    """The response within the answer, and the one result that was counted."""
    asked, registry = webhook(scheduler=scheduler)
    answer = json.loads(asked.answer(body))
    (result,) = counted(registry)
    assert registry.get_sample_value("lastnode_injection_duration_seconds_count") == 1
    return valid(answer), result


def valid(answer: Any) -> Object:
    """The response of an AdmissionReview that a kube-apiserver takes, whatever was asked."""
    assert answer.keys() == {"apiVersion", "kind", "response"}
    assert (answer["apiVersion"], answer["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response: Object = answer["response"]
    assert response["allowed"] is True
    assert isinstance(response["uid"], str)
    assert response.keys() in ({"uid", "allowed"}, {"uid", "allowed", "patchType", "patch"})
    return response


def patched(pod: Object, response: Object) -> Object:
    """The pod as the API server would go on with it."""
    if "patch" not in response:
        return pod
    assert response["patchType"] == "JSONPatch"
    result: Object = jsonpatch.apply_patch(pod, base64.b64decode(response["patch"], validate=True))
    return result


def ask(pod: Object, scheduler: str = "", **request: Any) -> tuple[Object, str]:
    """The pod after the webhook, and what was counted."""
    response, result = answered(json.dumps(review(pod, **request)).encode(), scheduler)
    assert response["uid"] == UID
    return patched(pod, response), result


# The patch


@given(pod_specs(preferred_terms | st.sampled_from(OURS)))
def test_the_patch_makes_of_any_pod_what_prefer_node_makes_of_its_spec_and_changes_nothing_else(spec: Object) -> None:
    pod = session(spec)
    before = deepcopy(pod)
    after, result = ask(pod)
    carried = any(term in OURS for term in _terms(spec))
    assert result == ("already_injected" if carried else "injected")
    # Where the pod carries the preference in the other rendering the library would add its own; nobody shall.
    assert after == ({**before, "spec": before["spec"] if carried else prefer_node(spec, NODE)})


def _terms(spec: Object) -> list[Any]:
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return list(node_affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or [])


@given(pod_specs(), st.sampled_from(["", "sticky"]))
def test_asked_again_about_its_own_work_it_changes_nothing(spec: Object, scheduler: str) -> None:
    once, first = ask(session(spec), scheduler)
    twice, second = ask(once, scheduler)
    assert (first, second) == ("injected", "already_injected")
    assert twice == once


@given(pod_specs(), node_names(), label_values | st.just(""))
def test_whatever_node_is_remembered_the_patch_says_exactly_that(spec: Object, node: str, hostname: str) -> None:
    found = read(json.dumps(review(session(spec))).encode())
    before = found.spec()
    after = prefer(before, Preference((Preferred(node, hostname, "", 100),), Reason.VALID))
    response = valid(json.loads(allow(found.uid, before, after)))
    match = "hostname" if hostname else "name"
    assert patched({"spec": spec}, response) == {"spec": prefer_node(spec, node, hostname=hostname, match=match)}  # type: ignore[arg-type]


@given(
    pod_specs(),
    st.lists(
        st.builds(Preferred, node_names(), label_values | st.just(""), st.just(""), st.sampled_from([100, 10, 1])),
        min_size=1,
        unique_by=lambda one: one.node,
    ),
    st.sampled_from(["", "sticky"]),
)
def test_a_patch_of_several_terms_and_a_scheduler_only_adds_and_repeats_none_of_the_author_s_terms(
    spec: Object, nodes: list[Preferred], scheduler: str
) -> None:
    before = read(json.dumps(review(session(spec))).encode()).spec()
    after = schedule_by(prefer(before, Preference(tuple(nodes), Reason.VALID)), scheduler)
    response = valid(json.loads(allow(UID, before, after)))
    assert patched({"spec": spec}, response) == {"spec": {**spec, **after}}
    for operation in json.loads(base64.b64decode(response["patch"])):
        assert operation["op"] == "add"
        assert operation["value"] not in _terms(spec)


def test_the_patch_of_a_plain_pod_is_one_operation_however_large_the_pod() -> None:
    response, _ = answered(json.dumps(review(session({"containers": [{"name": "c" * 9000}]}))).encode())
    operations = json.loads(base64.b64decode(response["patch"]))
    expected = prefer_node({}, NODE)["affinity"]
    assert operations == [{"op": "add", "path": "/spec/affinity", "value": expected}]


def test_a_node_whose_name_no_label_can_hold_is_preferred_by_its_name() -> None:
    labels = {SESSION_LABEL: "s-1", WORKLOAD_NAME_LABEL: "long"}
    after, result = ask(session(labels=labels))
    assert result == "injected"
    assert after["spec"] == prefer_node({"containers": []}, LONG, match="name")


# The scheduler


@pytest.mark.parametrize("given", [{}, {"schedulerName": ""}, {"schedulerName": "default-scheduler"}])
def test_a_pod_that_chose_no_scheduler_gets_the_sticky_one(given: Object) -> None:
    after, _ = ask(session({"containers": [], **given}), "sticky")
    assert after["spec"]["schedulerName"] == "sticky"
    assert after["spec"]["affinity"] == prefer_node({}, NODE)["affinity"]


@pytest.mark.parametrize("chosen", ["volcano", "sticky"])
def test_a_scheduler_that_somebody_chose_stays(chosen: str) -> None:
    after, _ = ask(session({"containers": [], "schedulerName": chosen}), "sticky")
    assert after["spec"]["schedulerName"] == chosen
    assert "affinity" in after["spec"]


def test_a_pod_that_has_the_preference_already_gets_the_sticky_scheduler_and_no_second_term() -> None:
    spec = prefer_node({"containers": []}, NODE, match="name")
    after, result = ask(session(spec), "sticky")
    assert result == "already_injected"
    assert after["spec"] == {**spec, "schedulerName": "sticky"}


def test_a_pod_with_nothing_to_come_back_to_keeps_its_scheduler() -> None:
    pod = session(labels={SESSION_LABEL: "s-1", WORKLOAD_NAME_LABEL: "fresh"})
    assert ask(pod, "sticky") == (pod, "nothing_remembered")


def test_the_scheduler_is_set_only_where_one_is_named() -> None:
    spec = {"schedulerName": "default-scheduler"}
    assert schedule_by(spec, "") is spec
    assert schedule_by(spec, "default-scheduler") is spec


# What is left alone


@pytest.mark.parametrize(
    ("pod", "request_", "result"),
    [
        (session(), {"operation": "UPDATE"}, "not_ours"),
        (session(), {"subResource": "ephemeralcontainers"}, "not_ours"),
        (session(), {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}}, "not_ours"),
        (None, {"operation": "DELETE"}, "not_ours"),
        (session(labels={SANDBOX_LABEL: "w-1", WORKLOAD_NAME_LABEL: "w"}), {}, "not_ours"),
        (session(labels=None), {}, "not_ours"),
        (session({"containers": [], "nodeName": "node-3"}), {}, "bound"),
        (session(), {"namespace": "elsewhere"}, "unattributed"),
        (session(labels={SESSION_LABEL: "s-1"}), {}, "unattributed"),
    ],
)
def test_what_is_not_ours_to_change_is_allowed_as_it_is(pod: Any, request_: Object, result: str) -> None:
    assert ask(pod, "sticky", **request_) == (pod, result)


def test_the_namespace_is_the_requests_own() -> None:
    assert ask(session(namespace="elsewhere"))[1] == "injected"


def test_a_dry_run_is_answered_alike_and_counted_apart() -> None:
    after, result = ask(session(), dryRun=True)
    assert result == "dry_run"
    assert "affinity" in after["spec"]


# What cannot be read


@given(st.binary() | st.text().map(str.encode) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(lambda value: json.dumps(value).encode())
)  # fmt: skip
def test_any_bytes_are_answered_with_a_review_that_allows(body: bytes) -> None:
    response, result = answered(body)
    assert response == {"uid": "", "allowed": True}
    assert result == "bad_request"


REQUEST_PATHS = ["uid", "operation", "resource", "namespace", "object", "dryRun", "subResource"]
SPEC_PATHS = ["spec", "metadata", "affinity", "labels", "nodeName", "schedulerName"]
odd = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()) | st.just({}) | st.just([[]])


@given(st.sampled_from(REQUEST_PATHS + SPEC_PATHS), odd)
def test_a_field_of_any_other_type_is_never_a_fault_of_ours(path: str, value: Any) -> None:
    asked = review(session({"containers": [], "affinity": {}}))
    holder = asked["request"]
    if path in ("spec", "metadata"):
        holder = holder["object"]
    elif path == "labels":
        holder = holder["object"]["metadata"]
    elif path in SPEC_PATHS:
        holder = holder["object"]["spec"]
    holder[path] = value
    response, result = answered(json.dumps(asked).encode())
    assert result != "error"
    if result == "bad_request":
        assert "patch" not in response
        assert response["uid"] in (UID, value, "")
        assert path == "uid" or response["uid"] == UID


@pytest.mark.parametrize("terms", [[1], ["a"], [None], "a", {"a": 1}, 7])
def test_terms_that_are_none_are_a_bad_request(terms: Any) -> None:
    spec = {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}}
    pod = session(spec)
    assert ask(pod) == (pod, "bad_request")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(review(session())).replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1").encode(),
        json.dumps(review(session())).replace("AdmissionReview", "ConversionReview").encode(),
        json.dumps(review({"metadata": {"labels": {SESSION_LABEL: "s", WORKLOAD_NAME_LABEL: "w"}}})).encode(),
        json.dumps(review(session({"schedulerName": "~"}))).encode().replace(b"~", b"\xff"),
    ],
    ids=["another version", "another kind", "no spec", "no UTF-8"],
)
def test_an_unreadable_review_is_answered_with_its_own_uid(body: bytes) -> None:
    response, result = answered(body)
    assert (response, result) == ({"uid": UID, "allowed": True}, "bad_request")


def test_a_review_too_deep_to_be_read_is_allowed_without_a_uid() -> None:
    body = json.dumps(review(session({"affinity": {"podAffinity": "~"}}))).replace(
        '"~"', "[" * 1_000_000 + "]" * 1_000_000
    )
    assert answered(body.encode()) == ({"uid": "", "allowed": True}, "bad_request")


def test_a_body_that_was_not_read_is_allowed_and_counted() -> None:
    asked, registry = webhook()
    assert valid(json.loads(asked.answer(b""))) == {"uid": "", "allowed": True}
    assert counted(registry) == {"bad_request": 1}


def test_a_fault_of_ours_lets_the_pod_pass_and_is_counted() -> None:
    """The fault is a clock beyond the calendar."""
    asked, registry = webhook(clock=lambda: 1e20)
    assert valid(json.loads(asked.answer(json.dumps(review(session())).encode()))) == {"uid": UID, "allowed": True}
    assert counted(registry) == {"error": 1}


def test_a_bad_review_says_what_is_wrong() -> None:
    with pytest.raises(Undecodable, match="truncated"):
        read(b"")


# The wait for a Sandbox


def owned(uid: str = "2") -> bytes:
    owner = {"apiVersion": "agents.x-k8s.io/v1alpha1", "kind": "Sandbox", "name": "w-1", "uid": uid, "controller": True}
    return json.dumps(review(session(labels={SESSION_LABEL: "s-1"}, ownerReferences=[owner]))).encode()


def sandbox(uid: str) -> Workload:
    return Workload(
        namespace="demo", name="w-1", uid=uid, resource=SANDBOX_RESOURCE, kind="Sandbox", sticky=False,
        claims=(WORKLOAD_NAME_LABEL, "w"),
    )  # fmt: skip


@pytest.mark.parametrize("former", [False, True])
def test_a_sandbox_that_comes_a_little_late_is_waited_for_even_where_a_former_one_is_known(former: bool) -> None:
    known, endings, waiting = view(), [], threading.Event()

    def clock() -> float:
        waiting.set()
        return time.monotonic()

    patience = Patience(30.0, 1, lambda ending, _seconds: endings.append(str(ending)), clock)
    asked, registry = webhook(known, patience=patience)
    if former:
        known.workloads[SANDBOX_RESOURCE].upsert(sandbox("1"))
    brings = threading.Thread(
        target=lambda: waiting.wait(30) and known.workloads[SANDBOX_RESOURCE].upsert(sandbox("2"))
    )
    brings.start()
    asked.answer(owned())
    brings.join()
    assert (counted(registry), endings) == ({"injected": 1}, ["came"])


@pytest.mark.parametrize(("at_once", "ending"), [(1, "missing"), (0, "crowded")])
def test_a_sandbox_that_does_not_come_is_given_up_and_more_than_may_wait_together_do_not(
    at_once: int, ending: str
) -> None:
    """Asked twice, so that a wait at its end has left its place to the next."""
    endings: list[str] = []
    patience = Patience(0.001, at_once, lambda ending, _seconds: endings.append(str(ending)))
    asked, registry = webhook(patience=patience)
    asked.answer(owned())
    asked.answer(owned())
    assert (counted(registry), endings) == ({"unattributed": 2}, [ending, ending])
