"""From bytes to records: real-looking objects, and odd ones, which are Undecodable and nothing worse."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode import contract, reading
from lastnode.daemon.rows import table
from lastnode.kinds import AGENT_RUNTIME, AGENTCUBE, BUILT_IN, CODE_INTERPRETER, SANDBOX, Kind, Ways
from lastnode.kube.errors import Undecodable
from lastnode.status import EARLIEST

READY_AT = datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC)
WAYS = Ways(BUILT_IN)
READERS = {
    "node": reading.read_node,
    "controller": partial(reading.read_controller, AGENTCUBE.keys),
    "session": partial(reading.read_session, WAYS),
    "workload": partial(reading.read_workload, AGENT_RUNTIME),
}

OWNER = {
    "apiVersion": "agents.x-k8s.io/v1alpha1",
    "kind": "Sandbox",
    "name": "sb",
    "uid": "sb-uid",
    "controller": True,
    "blockOwnerDeletion": True,
}


def pod(**changes: Any) -> dict[str, Any]:
    """A session's pod as an API server sends it, with a few of the fields that nobody here reads."""
    made: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "sb",
            "namespace": "agents",
            "uid": "pod-uid",
            "resourceVersion": "4711",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "labels": {contract.SESSION_LABEL: "s-1", contract.SANDBOX_LABEL: "sb", "app": "x"},
            "annotations": {"example.com/a": "b"},
            "ownerReferences": [OWNER],
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {}}}],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "c", "image": "i", "env": [{"name": "A", "value": "ü \u0000"}]}],
            "tolerations": [{"operator": "Exists"}],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-23T12:00:01Z"},
                {
                    "type": "Ready",
                    "status": "True",
                    "lastProbeTime": None,
                    "lastTransitionTime": "2026-11-23T12:00:07Z",
                },
            ],
        },
    }
    for path, value in changes.items():
        part = made
        *parents, last = path.split("__")
        for parent in parents:
            part = part[parent]
        part[last] = value
    return made


def encoded(obj: Any) -> bytes:
    return json.dumps(obj).encode()


def session(**changes: Any) -> Any:
    return reading.read_session(WAYS, encoded(pod(**changes)))


def test_a_session_s_pod_becomes_a_record_of_what_matters() -> None:
    got = session()
    assert (got.namespace, got.name, got.uid) == ("agents", "sb", "pod-uid")
    assert (got.node, got.ready_at, got.over) == ("node-1", READY_AT, False)
    assert got.created_at == datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert (got.controller, got.controller_uid, got.controller_group) == ("sb", "sb-uid", "agents.x-k8s.io")
    assert (got.claims, got.ways) == ((), (AGENTCUBE,))


def test_raw_parts_of_a_larger_message_read_the_same() -> None:
    assert reading.read_session(WAYS, msgspec.Raw(encoded(pod()))) == session()


@pytest.mark.parametrize(
    ("changes", "ready_at", "over"),
    [
        ({"status__conditions": None}, None, False),
        ({"status": None}, None, False),
        ({"status__conditions": [{"type": "Ready", "status": "False"}]}, None, False),
        ({"status__conditions": [{"type": "Ready", "status": "Unknown"}]}, None, False),
        ({"status__conditions": [{"type": "ContainersReady", "status": "True"}]}, None, False),
        ({"status__phase": "Failed"}, None, True),
        ({"status__phase": "Succeeded"}, None, True),
        ({"metadata__deletionTimestamp": "2026-11-23T12:01:00Z"}, READY_AT, False),
        ({"metadata__deletionTimestamp": "2026-11-23T12:01:00Z", "status__conditions": None}, None, True),
        ({"metadata__deletionTimestamp": "2026-11-23T12:01:00Z", "status__phase": "Failed"}, None, True),
    ],
)
def test_only_a_ready_pod_that_has_not_ended_has_a_ready_time(changes: Any, ready_at: Any, over: bool) -> None:
    got = session(**changes)
    assert (got.ready_at, got.over) == (ready_at, over)


def test_a_ready_condition_without_a_time_counts_as_the_oldest() -> None:
    got = session(status__conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": None}])
    assert got.ready_at == datetime.fromtimestamp(0, UTC)


@pytest.mark.parametrize("name", [None, ""])
def test_a_pod_that_is_not_bound_has_no_node(name: str | None) -> None:
    assert session(spec__nodeName=name).node is None


@pytest.mark.parametrize(
    "change",
    [
        {"controller": False},
        {"controller": None},
    ],
)
def test_only_an_owner_that_controls_a_pod_counts(change: dict[str, Any]) -> None:
    assert session(metadata__ownerReferences=[OWNER | change]).controller is None


def test_what_a_pod_says_itself_may_not_count_at_all() -> None:
    claim_of_it = {contract.WORKLOAD_NAME_LABEL: "w", contract.WORKLOAD_KIND_LABEL: "AgentRuntime"}
    said = pod(metadata__labels=claim_of_it)
    for controllers_only, claim in ((False, ("w", "AgentRuntime")), (True, (None, None))):
        got = reading.read_session(Ways(table((), controllers_only=controllers_only)), encoded(said))
        assert (*map(got.claim, claim_of_it), got.controller) == (*claim, "sb")


def test_a_sandbox_s_pod_leads_to_it_unless_it_waits_in_a_pool() -> None:
    hashed = {contract.SANDBOX_HASH_LABEL: "0a1b2c3d"}
    assert session(metadata__labels=hashed).ways == (SANDBOX.way,)
    assert session(metadata__labels=hashed | {contract.SESSION_LABEL: "s"}).ways == (AGENTCUBE, SANDBOX.way)
    assert session(metadata__labels=hashed | {contract.WARM_POOL_LABEL: "p"}).ways == ()


@pytest.mark.parametrize("version", ["v1alpha1", "v1beta1", "v1"])
def test_whatever_version_the_owner_is_written_in(version: str) -> None:
    other = OWNER | {"kind": "Job", "apiVersion": "batch/v1", "controller": False}
    mine = OWNER | {"apiVersion": f"agents.x-k8s.io/{version}"}
    assert session(metadata__ownerReferences=[other, mine]).controller == "sb"


def test_a_pod_s_own_labels_are_read() -> None:
    labels = {contract.WORKLOAD_NAME_LABEL: "w", contract.WORKLOAD_KIND_LABEL: "AgentRuntime"}
    got = session(metadata__labels=labels)
    assert [*map(got.claim, labels)] == ["w", "AgentRuntime"]
    assert session(metadata__labels=dict.fromkeys(labels, "")).claims == ()


def node(**changes: Any) -> Any:
    made = {
        "metadata": {"name": "n", "uid": "u", "labels": {contract.HOSTNAME_LABEL: "host"}},
        "spec": {"podCIDR": "10.0.0.0/24"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "images": [{"names": ["i"]}]},
    }
    return reading.read_node(encoded(made | changes))


def test_a_node_has_its_hostname_and_whether_it_takes_pods() -> None:
    assert (node().hostname, node().ready, node().unschedulable) == ("host", True, False)
    assert node(spec={"unschedulable": True}).unschedulable
    assert not node(status={"conditions": [{"type": "Ready", "status": "Unknown"}]}).ready
    assert not node(status={}).ready
    assert node(metadata={"name": "n"}).hostname == ""


@pytest.mark.parametrize(
    ("change", "leaving"),
    [
        ({"spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]}}, True),
        ({"spec": {"taints": [{"key": "example.com/mine"}, {"key": "ToBeDeletedByClusterAutoscaler"}]}}, True),
        ({"spec": {"taints": [{"key": "DeletionCandidateOfClusterAutoscaler", "effect": "PreferNoSchedule"}]}}, False),
        ({"spec": {"taints": [{"key": "node.kubernetes.io/unschedulable"}], "unschedulable": True}}, False),
        ({"spec": {"taints": None}}, False),
        ({"metadata": {"name": "n", "deletionTimestamp": "2026-11-23T12:00:00Z"}}, True),
        ({"metadata": {"name": "n", "deletionTimestamp": None}}, False),
    ],
)
def test_a_node_that_is_deleted_or_tainted_by_an_autoscaler_is_leaving(change: dict[str, Any], leaving: bool) -> None:
    assert node(**change).leaving == leaving


@pytest.mark.parametrize("label", ["x" * 64, "a b", "-a", "ü"])
def test_a_hostname_that_no_label_could_hold_is_as_good_as_none(label: str) -> None:
    assert node(metadata={"name": "n", "labels": {contract.HOSTNAME_LABEL: label}}).hostname == ""


def workload(spec: Any = None, kind: Kind = AGENT_RUNTIME, **annotations: str) -> Any:
    made = {"kind": kind.name, "metadata": {"name": "w", "annotations": annotations}, "spec": spec}
    return reading.read_workload(kind, encoded(made))


def test_a_workload_has_its_memory_as_text_and_whether_it_opted_in() -> None:
    got = workload(
        {"nodeStickiness": {"enabled": True}, "podTemplate": {}},
        **{contract.LAST_NODE_ANNOTATION: "n", contract.RECENT_NODES_ANNOTATION: "[]"},
    )
    assert (got.sticky, got.last_node, got.recent_nodes) == (True, "n", "[]")
    assert str(got.workload_key) == f"{AGENT_RUNTIME.resource} /w"
    assert not workload().sticky
    assert workload(**{contract.STICKINESS_ANNOTATION: "enabled"}).sticky
    assert not workload({"nodeStickiness": {"enabled": True}, "warmPoolSize": 1}, CODE_INTERPRETER).sticky


@pytest.mark.parametrize("spec", [
    {"warmPoolSize": "many"}, {"warmPoolSize": {"min": 1}}, {"warmPoolSize": 1.5}, {"nodeStickiness": "yes"},
    {"nodeStickiness": ["enabled"]}, {"nodeStickiness": {"enabled": "perhaps"}}, {"nodeStickiness": None},
])  # fmt: skip
@pytest.mark.parametrize("kind", [AGENT_RUNTIME, CODE_INTERPRETER], ids=lambda kind: kind.name)
def test_fields_of_another_type_say_nothing(kind: Kind, spec: Any) -> None:
    assert workload(spec, kind, **{contract.STICKINESS_ANNOTATION: "enabled"}).sticky
    assert not workload(spec, kind).sticky


def test_a_pool_is_no_matter_to_a_kind_that_has_none() -> None:
    assert workload({"nodeStickiness": {"enabled": True}, "warmPoolSize": 5}).sticky


OPTED_IN = {contract.STICKINESS_ANNOTATION: "enabled"}
LONG = {contract.LAST_NODE_ANNOTATION: "n" * 254, contract.RECENT_NODES_ANNOTATION: "[" + "1," * 5000 + "1]"}


@pytest.mark.parametrize("annotations", [LONG, {contract.RECENT_NODES_ANNOTATION: '["' + "\u20ac" * 3000 + '"]'}])
def test_text_too_long_to_be_a_memory_is_not_kept(annotations: dict[str, str]) -> None:
    got = workload(**OPTED_IN, **annotations)
    assert (got.sticky, got.last_node, got.recent_nodes) == (True, None, None)


def test_nothing_is_kept_of_a_workload_that_has_not_opted_in_but_for_who_wants_the_whole() -> None:
    annotations = {contract.LAST_NODE_ANNOTATION: "n", contract.RECENT_NODES_ANNOTATION: "[]"}
    assert (workload(**annotations).last_node, workload(**annotations).packed_nodes) == (None, None)
    made = encoded({"kind": "AgentRuntime", "metadata": {"name": "w", "annotations": annotations | LONG}})
    whole = reading.read_workload(AGENT_RUNTIME, made, whole=True)
    assert (whole.last_node, whole.recent_nodes) == tuple(LONG.values())


def test_the_items_of_some_lists_do_not_say_their_kind() -> None:
    assert reading.read_workload(AGENT_RUNTIME, b'{"metadata": {"name": "w"}}').kind == "AgentRuntime"


def test_a_sandbox_has_what_it_says_about_its_workload() -> None:
    labels = {contract.WORKLOAD_NAME_LABEL: "w", contract.WORKLOAD_KIND_LABEL: "AgentRuntime", "app": "x"}
    body = encoded(
        {"metadata": {"name": "sb", "labels": labels, "ownerReferences": [OWNER]}, "spec": {"podTemplate": 7}}
    )
    for got in (reading.read_controller(AGENTCUBE.keys, body), reading.read_workload(SANDBOX, body, AGENTCUBE.keys)):
        assert [got.claim(key) for key in labels] == ["w", "AgentRuntime", None]
        assert (got.name, got.controller, got.controller_uid) == ("sb", "sb", "sb-uid")


def test_an_annotation_of_what_controls_a_pod_names_the_workload_too_where_no_label_does() -> None:
    body = {
        "metadata": {"name": "sb", "annotations": {"template": "a", "x": "y"}, "labels": {"x": "z", "template": ""}}
    }
    got = reading.read_controller(("template", "x"), encoded(body))
    assert (got.claim("template"), got.claim("x")) == ("a", "z")


ODD = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'{"metadata": null}',
    b'{"metadata": {"name": 7}}',
    b'{"metadata": {"name": "n", "labels": []}}',
    b'{"metadata": {"name": "n", "labels": {"kubernetes.io/hostname": 7, "runtime.agentcube.io/workload-name": 7}}}',
    b'{"metadata": {"name": "\xff"}}',
    b'{"metadata": {"name": "n"}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("data", ODD)
@pytest.mark.parametrize("kind", READERS)
def test_an_odd_object_is_undecodable(kind: str, data: bytes) -> None:
    with pytest.raises(Undecodable):
        READERS[kind](data)


@pytest.mark.parametrize(
    "changes",
    [
        {"status__conditions": [None]},
        {"status__conditions": "Ready"},
        {"metadata__ownerReferences": {}},
        {"spec": []},
        {"spec__nodeName": ["a"]},
        {"status__phase": 7},
    ],
)
def test_a_pod_with_one_odd_field_is_undecodable(changes: Any) -> None:
    with pytest.raises(Undecodable):
        session(**changes)


NO_INSTANTS = ["yesterday", "2026-13-01T00:00:00Z", "2026-11-23T12:00:07", "0000-01-01T00:00:00Z", 7]


@pytest.mark.parametrize("date", NO_INSTANTS)
def test_a_date_that_cannot_be_read_counts_as_absent_and_costs_nothing_else(date: object) -> None:
    """Absent: created whenever, Ready since the earliest there is. A pod that is being deleted is so without a date."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": date}
    got = session(metadata__creationTimestamp=date, status__conditions=[ready])
    assert (got.created_at, got.scheduled_after, got.ready_at, got.over) == (None, None, EARLIEST, False)
    assert session(metadata__deletionTimestamp=date, status__conditions=[]).over


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("0001-01-01T00:00:00+14:00"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    "kind", "metadata", "spec", "status", "metadata__name", "metadata__labels", "metadata__ownerReferences",
    "metadata__creationTimestamp", "metadata__deletionTimestamp", "spec__nodeName", "spec__affinity",
    "spec__nodeStickiness", "spec__warmPoolSize", "spec__unschedulable", "status__phase", "status__conditions",
]  # fmt: skip


@given(st.sampled_from(sorted(READERS)), st.sampled_from(PLACES), json_values)
def test_anything_in_any_place_reads_or_is_undecodable(kind: str, place: str, value: Any) -> None:
    try:
        READERS[kind](encoded(pod(**{place: value})))
    except Undecodable:
        return


def test_the_answer_to_a_patch_brings_the_annotations_and_the_version() -> None:
    before = workload({"nodeStickiness": {"enabled": True}}, **{contract.LAST_NODE_ANNOTATION: "old"})
    answer = encoded({
        "kind": "PartialObjectMetadata",
        "metadata": {
            "resourceVersion": "4712",
            "annotations": {contract.LAST_NODE_ANNOTATION: "new", contract.RECENT_NODES_ANNOTATION: "[]"},
        },
    })  # fmt: skip
    got = reading.read_patched(AGENT_RUNTIME, before, answer)
    assert (got.resource_version, got.last_node, got.recent_nodes) == ("4712", "new", "[]")
    assert (got.key, got.kind, got.sticky) == (before.key, before.kind, before.sticky)
