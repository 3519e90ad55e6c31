"""The one definition of the preference: its term, its weight as a score, and how a pod that has it is known."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.contract import is_hostname_value, is_node_name
from lastnode.preference import (
    EXTENDER_SCORE,
    EXTENDER_WEIGHT,
    POINTS,
    WEIGHT,
    Match,
    carried,
    carries,
    scores,
    term,
    terms,
)
from lastnode.ranking import Preferred
from tests.unit.strategies import NEAR_MISSES, NODE, OURS, label_values, node_names, preferred_terms

# Of the scheduler: pkg/scheduler/schedule_one.go, staging/src/k8s.io/kube-scheduler (extender/v1, framework).
MAX_NODE_SCORE, MAX_EXTENDER_PRIORITY, NODE_AFFINITY_PLUGIN_WEIGHT = 100, 10, 2

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["weight", "preference", "matchFields"]) | st.text(), inner, max_size=3)
    ),
    max_leaves=10,
)


def test_the_extender_score_weighs_as_much_as_the_term() -> None:
    of_the_extender = EXTENDER_SCORE * EXTENDER_WEIGHT * (MAX_NODE_SCORE // MAX_EXTENDER_PRIORITY)
    of_the_lone_term = MAX_NODE_SCORE * WEIGHT // WEIGHT * NODE_AFFINITY_PLUGIN_WEIGHT
    assert of_the_extender == of_the_lone_term == POINTS
    assert EXTENDER_SCORE <= MAX_EXTENDER_PRIORITY


def test_the_term_prefers_the_hostname_label_with_weight_100() -> None:
    assert term(NODE) == OURS[0]
    assert term(NODE, match="name") == OURS[1]


def test_the_hostname_stands_in_for_the_name_where_they_differ() -> None:
    (requirement,) = term("node-1.example", hostname="Host_1")["preference"]["matchExpressions"]
    assert requirement == {"key": "kubernetes.io/hostname", "operator": "In", "values": ["Host_1"]}


def test_an_empty_hostname_counts_as_none() -> None:
    assert term(NODE, hostname="") == term(NODE)


def test_by_name_the_hostname_plays_no_part() -> None:
    assert term(NODE, hostname="host-1", match="name") == OURS[1]


@given(node_names(min_size=64))
def test_a_name_too_long_for_a_label_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(
        ValueError, match='at most 63: pass the hostname that the label has, or match="name"'
    ) as refused:
        term(name)
    assert f"{len(name)} characters" in str(refused.value)
    assert term(name, match="name")["preference"]["matchFields"][0]["values"] == [name]
    assert term(name, hostname="host-1")["preference"]["matchExpressions"][0]["values"] == ["host-1"]


@pytest.mark.parametrize("name", ["", "Node", "n_1", "n\n", "n 1", "-n", "n" * 254])
@pytest.mark.parametrize("match", ["hostname", "name"])
def test_a_name_that_no_node_can_have_is_refused_by_either_match(name: str, match: Match) -> None:
    with pytest.raises(ValueError, match="is not a node name"):
        term(name, hostname="host-1", match=match)


@pytest.mark.parametrize("hostname", ["h 1", "h\n", "-h", "h" * 64, "hôst"])
@pytest.mark.parametrize("match", ["hostname", "name"])
def test_a_hostname_that_no_label_can_hold_is_refused_by_either_match(hostname: str, match: Match) -> None:
    with pytest.raises(ValueError, match="is not a label's value"):
        term(NODE, hostname=hostname, match=match)


@pytest.mark.parametrize("weight", [0, -1, 101])
def test_a_weight_that_the_api_server_refuses_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match=f"weight must be from 1 to 100, not {weight}"):
        term(NODE, weight=weight)


@pytest.mark.parametrize("weight", [1, 100])
def test_the_least_and_the_largest_weight_are_taken(weight: int) -> None:
    assert term(NODE, weight=weight)["weight"] == weight


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"node": None}, "node must be a str, not NoneType"),
        ({"node": b"n"}, "node must be a str, not bytes"),
        ({"hostname": 5}, "hostname must be a str, not int"),
        ({"weight": "100"}, "weight must be an int, not str"),
        ({"weight": 100.0}, "weight must be an int, not float"),
        ({"weight": True}, "weight must be an int, not bool"),
    ],
)
def test_arguments_of_another_type_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        term(**({"node": NODE} | arguments))


@pytest.mark.parametrize("match", ["", "Hostname", "label", None])
def test_an_unknown_match_is_refused(match: Any) -> None:
    with pytest.raises(ValueError, match='match must be "hostname" or "name"'):
        term(NODE, match=match)


@pytest.mark.parametrize("arguments", [{"node": "x" * 10**6}, {"node": "a\nb" * 100}, {"hostname": "h\n" * 100}])
def test_a_refusal_is_one_readable_line(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not a ") as refused:
        term(**({"node": NODE} | arguments))
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("ours", OURS)
@given(before=st.lists(preferred_terms, max_size=3), after=st.lists(preferred_terms, max_size=3))
def test_a_pod_that_has_the_term_among_its_own_is_known(
    ours: dict[str, Any], before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    found = [*before, ours, *after]
    unchanged = copy.deepcopy(found)
    assert carries(found, NODE)
    assert not carries(found[:1], "node-3")
    assert found == unchanged


@given(st.lists(preferred_terms, max_size=5))
def test_a_users_own_terms_are_not_taken_for_ours(found: list[dict[str, Any]]) -> None:
    assert not carries(found, NODE)


@pytest.mark.parametrize("near_miss", NEAR_MISSES)
def test_a_term_that_is_nearly_ours_is_not_ours(near_miss: dict[str, Any]) -> None:
    assert not carries([near_miss], NODE)


@given(node_names(), label_values, st.integers(1, 100))
def test_the_term_is_known_for_its_node_in_both_renderings(name: str, hostname: str, weight: int) -> None:
    assert carries([term(name, hostname=hostname, weight=weight)], name, hostname, weight=weight)
    assert carries([term(name, weight=weight, match="name")], name, hostname, weight=weight)


def test_the_term_of_a_node_whose_label_differs_is_known_by_its_label_only() -> None:
    # Another node may well have the label that is this one's name.
    assert carries([term(NODE, hostname="host-1")], NODE, "host-1")
    assert not carries([term(NODE)], NODE, "host-1")
    assert not carries([term(NODE, hostname="host-1")], NODE)


def test_where_no_label_leads_to_the_node_only_a_term_with_its_name_is_ours() -> None:
    assert not carries([term(NODE)], NODE, "")
    assert carries([term(NODE, match="name")], NODE, "")


@pytest.mark.parametrize("left_out", [None, []])
def test_lists_left_empty_do_not_hide_the_term(left_out: object) -> None:
    # A client that writes every field, or a struct decoded and encoded again, leaves them.
    by_hostname, by_name = copy.deepcopy(OURS)
    by_hostname["preference"]["matchFields"] = left_out
    by_name["preference"]["matchExpressions"] = left_out
    assert carries([by_hostname], NODE)
    assert carries([by_name], NODE)


def test_a_term_with_something_unknown_in_it_is_not_ours() -> None:
    assert not carries([{**OURS[0], "unknown": 1}], NODE)
    assert not carries([{"weight": 100, "preference": {**OURS[0]["preference"], "unknown": 1}}], NODE)


@given(json_values | st.lists(json_values, max_size=3))
def test_garbage_holds_no_term_of_ours_and_raises_nothing(found: object) -> None:
    assert not carries(found, NODE)
    assert terms(RANKED)
    assert not carried(found, RANKED)


# Several nodes


def preferred(node: str, weight: int, hostname: str | None = None) -> Preferred:
    return Preferred(node, node if hostname is None else hostname, "", weight)


RANKED = [preferred("a", 100), preferred("b", 10), preferred("c", 10), preferred("bare", 10, ""), preferred("g", 1)]

ranked_nodes = st.lists(
    st.builds(preferred, node_names(), st.sampled_from([100, 10, 1]), st.text(max_size=70) | label_values),
    max_size=12,
    unique_by=lambda one: one.node,
).map(lambda found: sorted(found, key=lambda one: -one.weight))


def test_nodes_of_one_weight_share_a_term_and_one_without_a_hostname_has_its_own() -> None:
    assert terms(RANKED) == [
        term("a"),
        {"weight": 10, "preference": by_hostname("b", "c")},
        term("bare", weight=10, match="name"),
        term("g", weight=1),
    ]


def test_by_name_each_node_has_a_term_since_the_api_server_allows_a_field_one_value() -> None:
    assert terms(RANKED, "name") == [term(one.node, weight=one.weight, match="name") for one in RANKED]


def test_a_hostname_that_two_nodes_have_counts_once_with_its_strongest_weight() -> None:
    assert terms([preferred("a", 100, "same"), preferred("b", 10, "same")]) == [term("a", hostname="same")]


@given(ranked_nodes, st.sampled_from(["hostname", "name"]))
def test_whatever_is_ranked_no_term_could_keep_a_pod_from_being_scheduled(found: list[Preferred], match: Match) -> None:
    """kube-scheduler refuses a value that no label can have, kube-apiserver a field with a bad or a second value."""
    for made in terms(found, match):
        assert 1 <= made["weight"] <= 100
        (kind, [requirement]) = next(iter(made["preference"].items()))
        assert requirement["operator"] == "In"
        if kind == "matchFields":
            assert requirement["key"] == "metadata.name"
            assert [is_node_name(value) for value in requirement["values"]] == [True]
        else:
            assert requirement["key"] == "kubernetes.io/hostname"
            assert requirement["values"]
            assert all(is_hostname_value(value) for value in requirement["values"])


@given(ranked_nodes)
def test_a_node_is_in_one_term_only_so_that_no_weights_add_up(found: list[Preferred]) -> None:
    made = terms(found)
    named = [v for each in made for part in each["preference"].values() for one in part for v in one["values"]]
    usable = {one.hostname for one in found if is_hostname_value(one.hostname)}
    by_name = [one.node for one in found if not is_hostname_value(one.hostname)]
    assert sorted(named) == sorted([*usable, *by_name])
    assert [each["weight"] for each in made] == sorted((each["weight"] for each in made), reverse=True)


@given(ranked_nodes, st.sampled_from(["hostname", "name"]), st.lists(preferred_terms, max_size=3))
def test_a_pod_with_our_terms_among_its_own_carries_every_node(
    found: list[Preferred], match: Match, own: list[dict[str, Any]]
) -> None:
    hostnames = [one.hostname for one in found]
    if len({*hostnames}) == len(hostnames):
        assert {*carried([*own, *terms(found, match)], found)} >= {one.node for one in found}


def test_a_node_is_carried_whatever_it_weighed_when_the_term_was_made() -> None:
    """The memory may have changed between the pod's creation and the scheduler's call."""
    before = terms([preferred("b", 100), preferred("a", 10)])
    assert carried(before, RANKED) == ["b", "a"]


def test_a_term_that_names_any_other_node_or_has_another_weight_is_the_users() -> None:
    assert carried([{"weight": 10, "preference": by_hostname("b", "another")}], RANKED) == []
    assert carried([{"weight": 11, "preference": by_hostname("b", "c")}], RANKED) == []


def test_scores_are_relative_to_the_strongest_that_is_offered() -> None:
    assert scores(RANKED) == {"a": 10, "b": 1, "c": 1, "bare": 1}
    assert scores(RANKED[1:]) == {"b": 10, "c": 10, "bare": 10, "g": 1}
    assert scores(RANKED[-1:]) == {"g": 10}
    assert scores([]) == {}


def test_nodes_behind_one_that_is_too_weak_for_a_score_are_not_looked_at() -> None:
    offered = iter(preferred(node, weight) for node, weight in [("a", 100), ("b", 10), ("c", 1), ("d", 1)])
    assert scores(offered) == {"a": 10, "b": 1}
    assert [one.node for one in offered] == ["d"]


def test_a_node_that_the_pod_asks_for_itself_gets_no_score_and_is_still_the_measure() -> None:
    assert scores(RANKED, ["a"]) == {"b": 1, "c": 1, "bare": 1}


@given(st.lists(st.integers(1, 100), min_size=1, max_size=8))
def test_a_score_is_what_node_affinity_makes_of_the_weight_to_the_step_of_a_score(weights: list[int]) -> None:
    found = [preferred(f"n-{i}", weight) for i, weight in enumerate(sorted(weights, reverse=True))]
    given_scores = scores(found)
    for one in found:
        of_the_term = MAX_NODE_SCORE * one.weight // max(weights) * NODE_AFFINITY_PLUGIN_WEIGHT
        of_the_extender = given_scores.get(one.node, 0) * EXTENDER_WEIGHT * (MAX_NODE_SCORE // MAX_EXTENDER_PRIORITY)
        assert abs(of_the_term - of_the_extender) <= POINTS // EXTENDER_SCORE // 2 + NODE_AFFINITY_PLUGIN_WEIGHT


def by_hostname(*hostnames: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [*hostnames]}]}
