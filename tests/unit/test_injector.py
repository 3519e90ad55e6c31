"""The injector: what goes into a pod's spec comes out unchanged, plus the preference."""

import copy
import json
import os
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.client import ApiClient, V1Affinity, V1NodeAffinity, V1Pod, V1PodSpec

import extender
from extender import prefer_last_node, prefer_node
from lastnode.kinds import kind_named
from lastnode.memory import Entry, render
from lastnode.objects import Node
from lastnode.preference import PREFERRED, Match, term
from tests.unit.strategies import NODE, OTHER_NODE, OURS, label_values, node_names, pod_specs, preferred_terms

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = 24 * 60 * 60

matches = st.sampled_from(["hostname", "name"])


def preferred_in(spec: dict[str, Any]) -> list[dict[str, Any]]:
    node_affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    return list(node_affinity.get(PREFERRED) or [])


def without_preferred(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec less its preferred node terms, and less the objects that held only them."""
    rest = copy.deepcopy(spec)
    affinity = rest.get("affinity") or {}
    node_affinity = affinity.get("nodeAffinity") or {}
    node_affinity.pop(PREFERRED, None)
    if not node_affinity:
        affinity.pop("nodeAffinity", None)
    if not affinity:
        rest.pop("affinity", None)
    return rest


def typed(spec: dict[str, Any]) -> V1PodSpec:
    made = V1PodSpec.from_dict(spec)
    assert made is not None
    return made


def serialized(spec: V1PodSpec) -> Any:
    """What the official client sends to the API server for this object."""
    return ApiClient().sanitize_for_serialization(spec)  # type: ignore[no-untyped-call]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def with_terms(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"containers": [], "affinity": {"nodeAffinity": {PREFERRED: list(terms)}}}


# prefer_node, on dicts


@given(pod_specs(), matches)
def test_a_users_affinity_comes_out_unchanged_plus_our_term(spec: dict[str, Any], match: Match) -> None:
    preferring = prefer_node(spec, NODE, match=match)
    assert preferred_in(preferring) == [*preferred_in(spec), term(NODE, match=match)]
    assert without_preferred(preferring) == without_preferred(spec)


@given(pod_specs(preferred_terms | st.sampled_from(OURS)), matches)
def test_the_input_is_never_changed(spec: dict[str, Any], match: Match) -> None:
    before = copy.deepcopy(spec)
    first = prefer_node(spec, NODE, match=match)
    assert spec == before
    after_first = copy.deepcopy(first)
    prefer_node(first, OTHER_NODE, match=match)
    assert first == after_first
    assert spec == before


@given(pod_specs(preferred_terms | st.sampled_from(OURS)), matches, st.integers(1, 100))
def test_the_preference_is_not_added_twice(spec: dict[str, Any], match: Match, weight: int) -> None:
    once = prefer_node(spec, NODE, weight=weight, match=match)
    assert prefer_node(once, NODE, weight=weight, match=match) is once
    assert preferred_in(once).count(term(NODE, weight=weight, match=match)) >= 1


@given(pod_specs(preferred_terms | st.sampled_from(OURS)))
def test_terms_of_a_user_that_are_like_each_other_stay_as_many_as_they_are(spec: dict[str, Any]) -> None:
    preferring = preferred_in(prefer_node(spec, NODE))
    assert preferring[: len(preferred_in(spec))] == preferred_in(spec)
    assert len(preferring) == len(preferred_in(spec)) + (OURS[0] not in preferred_in(spec))


@given(pod_specs(), node_names(max_size=63), label_values, st.integers(1, 100))
def test_any_node_can_be_preferred(spec: dict[str, Any], name: str, hostname: str, weight: int) -> None:
    by_label = prefer_node(spec, name, hostname=hostname, weight=weight)
    assert term(name, hostname=hostname, weight=weight) in preferred_in(by_label)
    by_both = prefer_node(by_label, name, weight=weight, match="name")
    assert preferred_in(by_both)[-1] == term(name, weight=weight, match="name")


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"affinity": None},
        {"affinity": {}},
        {"affinity": {"nodeAffinity": None}},
        {"affinity": {"nodeAffinity": {}}},
        {"affinity": {"nodeAffinity": {PREFERRED: None}}},
        {"affinity": {"nodeAffinity": {PREFERRED: []}}},
    ],
)
def test_an_affinity_left_empty_or_null_is_filled(spec: dict[str, Any]) -> None:
    assert prefer_node(spec, NODE) == {"affinity": {"nodeAffinity": {PREFERRED: [OURS[0]]}}}


def test_the_parts_that_need_no_change_are_shared_not_copied() -> None:
    spec: dict[str, Any] = {
        "containers": [{"name": "runtime"}],
        "affinity": {"podAffinity": {}, "nodeAffinity": {PREFERRED: [{"weight": 1, "preference": {}}]}},
    }
    preferring = prefer_node(spec, NODE)
    assert preferring["containers"] is spec["containers"]
    assert preferring["affinity"]["podAffinity"] is spec["affinity"]["podAffinity"]
    assert preferring["affinity"] is not spec["affinity"]
    assert preferring["affinity"]["nodeAffinity"][PREFERRED] is not spec["affinity"]["nodeAffinity"][PREFERRED]


def test_a_weight_of_our_term_that_is_not_ours_is_the_users() -> None:
    spec = with_terms(term(NODE, weight=99))
    assert preferred_in(prefer_node(spec, NODE)) == [term(NODE, weight=99), term(NODE)]


def test_the_other_rendering_is_another_term() -> None:
    # Only what is identical is left alone: whether both shall be there is up to whoever asked for both.
    spec = with_terms(OURS[1])
    assert preferred_in(prefer_node(spec, NODE)) == [OURS[1], OURS[0]]


@pytest.mark.parametrize("affinity", [None, {"nodeAffinity": "not even of the right type"}])
def test_a_pod_with_a_node_already_comes_back_as_it_is(affinity: object) -> None:
    spec = {"nodeName": OTHER_NODE, "containers": [], "affinity": affinity}
    assert prefer_node(spec, NODE) is spec
    bound = V1PodSpec(node_name=OTHER_NODE, containers=[])
    assert prefer_node(bound, NODE) is bound


def test_a_subclass_of_dict_stays_one() -> None:
    spec: OrderedDict[str, Any] = OrderedDict(schedulerName="sticky", affinity=OrderedDict(), containers=[])
    preferring = prefer_node(spec, NODE)
    assert type(preferring) is OrderedDict
    assert list(preferring) == ["schedulerName", "affinity", "containers"]
    assert type(preferring["affinity"]) is OrderedDict


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (None, "pod_spec must be a dict or a kubernetes.client.V1PodSpec, not a NoneType"),
        ([], "pod_spec must be a dict or a kubernetes.client.V1PodSpec, not a list"),
        ("{}", "pod_spec must be a dict or a kubernetes.client.V1PodSpec, not a str"),
        (V1Pod(), "pod_spec must be .* not a kubernetes.client.models.v1_pod.V1Pod"),
        ({"metadata": {}, "spec": {}}, "pod_spec has a field spec: pass the pod's spec, not the object around it"),
        ({"affinity": []}, r"pod_spec\.affinity must be a dict, not a list"),
        ({"affinity": "x"}, r"pod_spec\.affinity must be a dict, not a str"),
        ({"affinity": {"nodeAffinity": []}}, r"pod_spec\.affinity\.nodeAffinity must be a dict, not a list"),
        (
            {"affinity": {"nodeAffinity": {PREFERRED: {}}}},
            rf"pod_spec\.affinity\.nodeAffinity\.{PREFERRED} must be a list, not a dict",
        ),
        (with_terms(OURS[1], "x"), rf"nodeAffinity\.{PREFERRED}\[1\] must be a dict, not a str"),  # type: ignore[arg-type]
    ],
)
def test_a_spec_of_wrong_shape_is_refused_with_the_path(spec: Any, message: str) -> None:
    before = copy.deepcopy(spec)
    with pytest.raises(TypeError, match=message) as refused:
        prefer_node(spec, NODE)
    assert "\n" not in str(refused.value)
    assert spec == before


def test_names_and_weights_are_refused_even_where_nothing_would_be_added() -> None:
    bound = {"nodeName": OTHER_NODE}
    with pytest.raises(ValueError, match="is not a node name"):
        prefer_node(bound, "No Node")
    with pytest.raises(ValueError, match='match="name"'):
        prefer_node(bound, "n" * 64)
    with pytest.raises(ValueError, match="weight"):
        prefer_node(bound, NODE, weight=0)


# prefer_node, on the Kubernetes client's objects


@given(pod_specs(preferred_terms | st.sampled_from(OURS)), matches, st.integers(1, 100))
def test_a_typed_spec_serializes_to_what_the_dict_becomes(spec: dict[str, Any], match: Match, weight: int) -> None:
    preferring = prefer_node(typed(spec), NODE, weight=weight, match=match)
    assert type(preferring) is V1PodSpec
    assert serialized(preferring) == without_nulls(prefer_node(spec, NODE, weight=weight, match=match))


@given(pod_specs(preferred_terms | st.sampled_from(OURS)))
def test_a_typed_input_is_never_changed(spec: dict[str, Any]) -> None:
    given_spec, untouched = typed(spec), typed(spec)
    first = prefer_node(given_spec, NODE)
    after_first = copy.deepcopy(first)
    prefer_node(first, OTHER_NODE)
    assert given_spec == untouched
    assert first == after_first


@given(pod_specs(preferred_terms | st.sampled_from(OURS)), matches)
def test_a_typed_spec_gets_the_preference_once(spec: dict[str, Any], match: Match) -> None:
    once = prefer_node(typed(spec), NODE, match=match)
    assert prefer_node(once, NODE, match=match) is once


def test_what_a_typed_spec_becomes_can_be_worked_on_like_any_other() -> None:
    preferring = prefer_node(V1PodSpec(containers=[]), NODE)
    assert preferring.affinity is not None
    assert preferring.affinity.node_affinity is not None
    (added,) = preferring.affinity.node_affinity.preferred_during_scheduling_ignored_during_execution or []
    assert added.weight == 100
    assert added.preference.match_expressions is not None
    assert added.preference.match_expressions[0].values == [NODE]


@pytest.mark.parametrize(
    ("affinity", "message"),
    [
        ([], r"pod_spec\.affinity must be a V1Affinity, not a list"),
        (V1Affinity.model_construct(node_affinity={}), r"affinity\.node_affinity must be a V1NodeAffinity, not a dict"),
        (
            V1Affinity(
                node_affinity=V1NodeAffinity.model_construct(preferred_during_scheduling_ignored_during_execution=["x"])
            ),
            r"ignored_during_execution\[0\] must be a V1PreferredSchedulingTerm, not a str",
        ),
    ],
)
def test_a_typed_spec_of_wrong_shape_is_refused_with_the_path(affinity: Any, message: str) -> None:
    # The models check what they are given, unless they are told not to.
    with pytest.raises(TypeError, match=message):
        prefer_node(V1PodSpec.model_construct(containers=[], affinity=affinity), NODE)


# prefer_last_node


def remembered(name: str = NODE, *, age: float = 60, hostname: str = "host-1", uid: str = "uid-1") -> Entry:
    return Entry(name, hostname, uid, NOW - timedelta(seconds=age), "pod-1")


def workload(
    *memory: Entry, kind: str = "AgentRuntime", annotations: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    """A workload that has opted in, as the API server returns it; ``spec`` adds to, or overrides, its fields."""
    written = {key: text for key, text in render(memory, kind_named(kind).prefix).items() if text is not None}
    return {
        "apiVersion": "runtime.agentcube.volcano.sh/v1alpha1",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "demo", "annotations": {**written, **(annotations or {})}},
        "spec": {"nodeStickiness": {"enabled": True}, **spec},
    }


def at_last(*memory: Entry, **arguments: Any) -> list[dict[str, Any]]:
    """The preferred terms that a plain pod gets from a workload with this memory."""
    return preferred_in(prefer_last_node({"containers": []}, workload(*memory), now=NOW, **arguments))


def node(name: str = NODE, *, uid: str = "uid-1", ready: bool = True, cordoned: bool = False) -> dict[str, Node]:
    return {name: Node(name=name, uid=uid, hostname=name, ready=ready, unschedulable=cordoned)}


def test_the_last_node_is_preferred_by_its_hostname() -> None:
    assert at_last(remembered()) == [term(NODE, hostname="host-1")]


def test_the_last_node_is_preferred_by_name_if_so_asked() -> None:
    assert at_last(remembered(), match="name") == [term(NODE, match="name")]


def test_the_last_node_is_preferred_with_the_weight_asked_for() -> None:
    assert at_last(remembered(), weight=7) == [term(NODE, hostname="host-1", weight=7)]


def test_a_last_node_without_a_known_hostname_is_preferred_by_name() -> None:
    assert at_last(remembered(hostname="")) == [term(NODE, match="name")]


def test_a_bare_last_node_is_preferred_by_its_name_taken_for_the_label() -> None:
    bare = workload(annotations={"runtime.agentcube.io/last-node": NODE})
    assert preferred_in(prefer_last_node({}, bare)) == [term(NODE)]


@given(node_names(min_size=64))
def test_a_bare_last_node_too_long_for_a_label_is_preferred_by_name(name: str) -> None:
    bare = workload(annotations={"runtime.agentcube.io/last-node": name})
    assert preferred_in(prefer_last_node({}, bare)) == [term(name, match="name")]


def test_a_typed_spec_gets_the_last_node_too() -> None:
    preferring = prefer_last_node(V1PodSpec(containers=[]), workload(remembered()), now=NOW)
    assert serialized(preferring) == prefer_last_node({"containers": []}, workload(remembered()), now=NOW)


@given(pod_specs(preferred_terms | st.sampled_from(OURS)), st.lists(st.integers(0, 4 * DAY), max_size=3))
def test_neither_the_spec_nor_the_workload_is_changed(spec: dict[str, Any], ages: list[int]) -> None:
    owner = workload(*(remembered(f"node-{index}", age=age) for index, age in enumerate(sorted(ages))))
    spec_before, owner_before = copy.deepcopy(spec), copy.deepcopy(owner)
    preferring = prefer_last_node(spec, owner, now=NOW)
    assert spec == spec_before
    assert owner == owner_before
    assert prefer_last_node(preferring, owner, now=NOW) is preferring


@pytest.mark.parametrize(
    ("age", "ttl", "preferred"),
    [
        (DAY - 1, DAY, True),
        (DAY, DAY, False),
        (DAY + 1, DAY, False),
        (1000 * DAY, 0, True),
        (10, 10.5, True),
        (11, 10.5, False),
        (-60, DAY, True),
    ],
)
def test_a_placement_counts_while_it_is_younger_than_the_ttl(age: float, ttl: float, preferred: bool) -> None:
    assert bool(at_last(remembered(age=age), ttl=ttl)) == preferred


def test_the_ttl_is_24_hours_by_default() -> None:
    assert at_last(remembered(age=DAY - 1))
    assert not at_last(remembered(age=DAY))


def test_time_is_the_current_one_by_default() -> None:
    spec: dict[str, Any] = {}
    fresh = Entry(NODE, "host-1", "", datetime.now(UTC) - timedelta(hours=1))
    stale = Entry(NODE, "host-1", "", datetime.now(UTC) - timedelta(days=2))
    assert prefer_last_node(spec, workload(fresh)) is not spec
    assert prefer_last_node(spec, workload(stale)) is spec


@pytest.mark.parametrize(
    ("nodes", "preferred"),
    [
        (None, True),
        (node(), True),
        ({}, False),
        (node("node-9"), False),
        (node(uid="another machine"), False),
        (node(ready=False), False),
        (node(cordoned=True), False),
    ],
)
def test_with_nodes_to_look_at_only_a_usable_one_is_preferred(nodes: dict[str, Node] | None, preferred: bool) -> None:
    assert bool(at_last(remembered(), nodes=nodes)) == preferred


def test_the_newest_node_that_can_be_used_is_preferred_most_and_the_older_ones_share_a_weaker_term() -> None:
    nodes = node("node-1", cordoned=True) | node("node-2") | node("node-3") | node("node-4")
    memory = [remembered(f"node-{number}", age=number) for number in (1, 2, 3, 4)]
    assert said(at_last(*memory, nodes=nodes)) == [(100, ["node-2"]), (10, ["node-3", "node-4"])]


def test_a_label_that_two_nodes_have_is_not_used() -> None:
    nodes = {name: Node(name=name, uid="uid-1", hostname="localhost", ready=True) for name in (NODE, "node-2")}
    assert at_last(remembered(hostname="localhost"), nodes=nodes) == [term(NODE, match="name")]


def said(terms: list[dict[str, Any]]) -> list[tuple[int, list[str]]]:
    return [(each["weight"], each["preference"]["matchExpressions"][0]["values"]) for each in terms]


@pytest.mark.parametrize(
    ("argument", "annotation", "weight"),
    [(20, None, 20), (20, "30", 30), (20, "0", None), (0, "1", 1), (20, "101", 20), (20, "many", 20), (20, "", 20)],
)
def test_how_much_older_nodes_weigh_is_said_by_the_workload_else_by_the_call(
    argument: int, annotation: str | None, weight: int | None
) -> None:
    memory = [remembered(f"node-{number}", age=number, hostname=f"host-{number}") for number in (1, 2)]
    annotations = {} if annotation is None else {"runtime.agentcube.io/older-weight": annotation}
    spec = prefer_last_node({}, workload(*memory, annotations=annotations), now=NOW, older_weight=argument)
    assert said(preferred_in(spec)) == [(100, ["host-1"]), *([(weight, ["host-2"])] if weight else [])]


def test_a_pod_that_prefers_the_last_node_already_gets_the_older_ones_beside_it() -> None:
    memory = [remembered(f"node-{number}", age=number, hostname=f"host-{number}") for number in (1, 2)]
    spec = prefer_last_node(prefer_node({}, "node-1", hostname="host-1"), workload(*memory), now=NOW)
    assert said(preferred_in(spec)) == [(100, ["host-1"]), (10, ["host-2"])]


GROUP = {"runtime.agentcube.io/cache-group": "images"}


def test_the_nodes_of_relatives_come_last_and_are_all_that_a_first_session_has() -> None:
    relative = workload(remembered("node-2", hostname="host-2"), remembered("node-1", age=90), annotations=GROUP)
    own = workload(remembered("node-1"), annotations=GROUP)
    spec = prefer_last_node({}, own, now=NOW, relatives=[relative])
    assert said(preferred_in(spec)) == [(100, ["host-1"]), (1, ["host-2"])]
    first = prefer_last_node({}, workload(annotations=GROUP), now=NOW, relatives=[relative], group_weight=7)
    assert said(preferred_in(first)) == [(7, ["host-2", "host-1"])]
    assert prefer_last_node(first, workload(annotations=GROUP), now=NOW, relatives=[relative], group_weight=0) is first


@pytest.mark.parametrize(
    "stranger",
    [
        workload(remembered()),
        workload(remembered(), annotations={"runtime.agentcube.io/cache-group": "data"}),
        workload(remembered(), annotations=GROUP, nodeStickiness={"enabled": False}),
        workload(remembered(), annotations=GROUP) | {"metadata": {"namespace": "another"}},
        workload(remembered("node-1", age=DAY + 1), annotations=GROUP),
    ],
    ids=["no group", "another group", "not opted in", "another namespace", "too long ago"],
)
def test_who_is_no_relative_says_nothing(stranger: dict[str, Any]) -> None:
    spec: dict[str, Any] = {}
    assert prefer_last_node(spec, workload(annotations=GROUP), now=NOW, relatives=[stranger]) is spec


@pytest.mark.parametrize("name", ["", " ", "no label's value", "x" * 64])
def test_a_group_that_no_label_could_hold_is_none(name: str) -> None:
    annotations, spec = {"runtime.agentcube.io/cache-group": name}, dict[str, Any]()
    relative = workload(remembered(), annotations=annotations)
    assert prefer_last_node(spec, workload(annotations=annotations), now=NOW, relatives=[relative]) is spec


ENABLED = {"runtime.agentcube.io/node-stickiness": "enabled"}
OPTED_IN = {"lastnode.dev/node-stickiness": "enabled"}


@pytest.mark.parametrize(
    ("owner", "preferred"),
    [
        (workload(remembered(), nodeStickiness={"enabled": True}), True),
        (workload(remembered(), nodeStickiness={"enabled": False}), False),
        (workload(remembered(), nodeStickiness={}), False),
        (workload(remembered(), nodeStickiness=None), False),
        (workload(remembered(), nodeStickiness={"enabled": None}), False),
        (workload(remembered(), nodeStickiness=None, annotations=ENABLED), True),
        (workload(remembered(), nodeStickiness={}, annotations=ENABLED), True),
        (workload(remembered(), nodeStickiness={"enabled": False}, annotations=ENABLED), False),
        (workload(remembered(), nodeStickiness=None, annotations=dict.fromkeys(ENABLED, "true")), False),
        (workload(remembered(), nodeStickiness=None, annotations=dict.fromkeys(ENABLED, "Enabled")), False),
        (workload(remembered(), nodeStickiness={"enabled": True}, annotations=dict.fromkeys(ENABLED, "no")), True),
        (workload(remembered(), kind="CodeInterpreter"), True),
        (workload(remembered(), kind="CodeInterpreter", warmPoolSize=0), True),
        (workload(remembered(), kind="CodeInterpreter", warmPoolSize=None), True),
        (workload(remembered(), kind="CodeInterpreter", warmPoolSize=1), False),
        (workload(remembered(), kind="CodeInterpreter", warmPoolSize=1, annotations=ENABLED), False),
        (workload(remembered(), kind="AgentRuntime", warmPoolSize=1), True),
        (workload(remembered(), kind="Notebook"), False),
        (workload(remembered(), kind="Notebook", annotations=OPTED_IN, warmPoolSize="of its own meaning"), True),
        (workload(remembered(), kind="Sandbox", annotations=OPTED_IN), True),
        (workload(), False),
        (workload(annotations={"runtime.agentcube.io/recent-nodes": "{not json"}), False),
        (workload(annotations={"runtime.agentcube.io/last-node": "No Node"}), False),
        ({"kind": "AgentRuntime"}, False),
        ({"kind": "AgentRuntime", "metadata": None, "spec": None}, False),
        (
            {"kind": "AgentRuntime", "metadata": {"annotations": None}, "spec": {"nodeStickiness": {"enabled": True}}},
            False,
        ),
    ],
)
def test_only_an_opted_in_workload_with_a_memory_gives_a_preference(owner: dict[str, Any], preferred: bool) -> None:
    spec: dict[str, Any] = {"containers": []}
    preferring = prefer_last_node(spec, owner, now=NOW)
    assert preferred_in(preferring) == ([term(NODE, hostname="host-1")] if preferred else [])
    assert preferred or preferring is spec


@pytest.mark.parametrize(
    ("owner", "error", "message"),
    [
        (None, TypeError, "workload must be an object as the API server returns it, not null"),
        ([], TypeError, "workload must be an object as the API server returns it, not a list"),
        ({}, ValueError, "workload: kind is missing"),
        ({"metadata": {"namespace": "demo", "name": "a"}}, ValueError, "workload demo/a: kind is missing"),
        ({"kind": 5}, TypeError, "workload: kind must be a string, not 5"),
        ({"kind": "AgentRuntime", "metadata": []}, TypeError, "AgentRuntime: metadata must be an object, not a list"),
        (
            {"kind": "AgentRuntime", "metadata": {"name": "a"}, "spec": "x"},
            TypeError,
            "AgentRuntime a: spec must be an object, not 'x'",
        ),
        (
            workload(nodeStickiness=True),
            TypeError,
            "AgentRuntime demo/a: spec.nodeStickiness must be an object, not True",
        ),
        (
            workload(nodeStickiness={"enabled": "yes"}),
            TypeError,
            "AgentRuntime demo/a: spec.nodeStickiness.enabled must be true or false, not 'yes'",
        ),
        (
            workload(nodeStickiness={"enabled": 1}),
            TypeError,
            "AgentRuntime demo/a: spec.nodeStickiness.enabled must be true or false, not 1",
        ),
        (
            workload(nodeStickiness={"enabled": {}}),
            TypeError,
            "AgentRuntime demo/a: spec.nodeStickiness.enabled must be true or false, not an object",
        ),
        (
            workload(kind="CodeInterpreter", warmPoolSize="2"),
            TypeError,
            "CodeInterpreter demo/a: spec.warmPoolSize must be a whole number, not '2'",
        ),
        (
            workload(kind="CodeInterpreter", warmPoolSize=True),
            TypeError,
            "CodeInterpreter demo/a: spec.warmPoolSize must be a whole number, not True",
        ),
        (
            workload(annotations={"team": 5}),
            TypeError,
            "AgentRuntime demo/a: metadata.annotations['team'] must be a string, not 5",
        ),
        (
            workload(annotations={"team": None}),
            TypeError,
            "AgentRuntime demo/a: metadata.annotations['team'] must be a string, not null",
        ),
        (
            workload(annotations={5: "x"}),  # type: ignore[dict-item]
            TypeError,
            "AgentRuntime demo/a: metadata.annotations has a key that is not a string: 5",
        ),
        (
            {"kind": "AgentRuntime", "metadata": {"name": "a", "annotations": ["x"]}},
            TypeError,
            "AgentRuntime a: metadata.annotations must be an object, not a list",
        ),
    ],
)
def test_a_workload_of_wrong_shape_is_named_with_the_path(owner: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refused:
        prefer_last_node({}, owner)
    assert str(refused.value) == message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["kind", "metadata", "annotations", "spec", "nodeStickiness", "enabled", "warmPoolSize"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        ),
        max_leaves=12,
    )
)
def test_any_object_handed_over_is_read_or_refused_in_one_line(owner: Any) -> None:
    spec: dict[str, Any] = {}
    try:
        assert prefer_last_node(spec, owner) is spec
    except (TypeError, ValueError) as refused:
        assert "\n" not in str(refused)  # noqa: PT017 (being read is right as well)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"now": datetime(2026, 11, 23)}, ValueError, "now must have a time zone"),
        ({"now": "2026-11-23"}, TypeError, "now must be a datetime, not a str"),
        ({"ttl": -1}, ValueError, "ttl must be 0 seconds or more, not -1"),
        ({"ttl": float("nan")}, ValueError, "ttl must be 0 seconds or more, not nan"),
        ({"ttl": "24h"}, TypeError, "ttl must be a number of seconds, not a str"),
        ({"ttl": timedelta(hours=1)}, TypeError, "ttl must be a number of seconds, not a timedelta"),
        ({"nodes": [NODE]}, TypeError, "nodes must be a mapping of names to nodes, not a list"),
        ({"weight": 101}, ValueError, "weight must be from 1 to 100"),
        ({"older_weight": -1}, ValueError, "older_weight must be from 0 to 100, not -1"),
        ({"group_weight": 101}, ValueError, "group_weight must be from 0 to 100, not 101"),
        ({"match": "label"}, ValueError, 'match must be "hostname" or "name"'),
    ],
)
def test_bad_arguments_are_refused_even_where_there_is_no_preference(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        prefer_last_node({}, {"kind": "AgentRuntime"}, **arguments)


def test_a_bad_pod_spec_is_refused_even_where_there_is_no_preference() -> None:
    with pytest.raises(TypeError, match="pod_spec must be a dict"):
        prefer_last_node([], {"kind": "AgentRuntime"})  # type: ignore[type-var]


# Importing


def test_the_injector_imports_no_server_and_no_kubernetes_client() -> None:
    program = (
        "import json, sys\n"
        "from extender import prefer_last_node, prefer_node\n"
        "owner = {'kind': 'AgentRuntime', 'spec': {'nodeStickiness': {'enabled': True}},\n"
        "         'metadata': {'annotations': {'runtime.agentcube.io/last-node': 'node-1'}}}\n"
        "assert prefer_last_node({}, owner) == prefer_node({}, 'node-1')\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    root = str(Path(extender.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    loaded = set(json.loads(run.stdout))
    assert loaded >= {"extender", "lastnode"}
    assert not loaded & {
        "flask", "gunicorn", "kubernetes", "urllib3", "requests", "pydantic", "cachetools", "prometheus_client",
        "yaml", "click",
    }  # fmt: skip
