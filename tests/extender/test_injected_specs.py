"""The API server accepts what comes out of the injector, and keeps the user's own terms as they were."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extender import prefer_node
from lastnode.preference import PREFERRED, Match, carries, term
from testbed.stack import Stack
from tests.unit.strategies import NODE, OURS, node_names, pod_specs, preferred_terms
from tests.unit.test_injector import serialized, typed

# The stack is shared by all examples on purpose: a dry run leaves nothing behind.
on_the_server = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
specs = pod_specs(preferred_terms | st.sampled_from(OURS))
nodes = st.just(NODE) | node_names(max_size=63)
matches = st.sampled_from(["hostname", "name"])


def stored(stack: Stack, spec: Any) -> dict[str, Any]:
    """The spec as the API server would store it. Raises ApiError where it would not."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "pod-"}, "spec": spec}
    answer: dict[str, Any] = stack.api.post("/api/v1/namespaces/default/pods?dryRun=All", pod)["spec"]
    return answer


def node_affinity(spec: dict[str, Any]) -> dict[str, Any]:
    return (spec.get("affinity") or {}).get("nodeAffinity") or {}


def everything_else(spec: dict[str, Any]) -> dict[str, Any]:
    """The stored spec without its preferred node terms, and without objects that are empty then."""
    rest = {key: value for key, value in node_affinity(spec).items() if key != PREFERRED}
    affinity = {**(spec.get("affinity") or {}), "nodeAffinity": rest}
    return {**spec, "affinity": {key: value for key, value in affinity.items() if value}}


@on_the_server
@given(specs, matches, nodes)
def test_the_server_stores_the_users_affinity_unchanged_plus_our_term(
    stack: Stack, spec: dict[str, Any], match: Match, node: str
) -> None:
    before, after = stored(stack, spec), stored(stack, prefer_node(spec, node, match=match))
    own, ours = node_affinity(before).get(PREFERRED) or [], term(node, match=match)
    assert node_affinity(after)[PREFERRED] == own + ([] if ours in own else [ours])
    assert carries(node_affinity(after)[PREFERRED], node)
    assert everything_else(after) == everything_else(before)


@on_the_server
@given(specs, matches, nodes)
def test_the_server_stores_the_same_from_a_typed_spec_as_from_a_dict(
    stack: Stack, spec: dict[str, Any], match: Match, node: str
) -> None:
    from_dict = stored(stack, prefer_node(spec, node, match=match))
    assert stored(stack, serialized(prefer_node(typed(spec), node, match=match))) == from_dict


@on_the_server
@given(pod_specs(), node_names(min_size=64))
def test_the_server_accepts_the_longest_names_too(stack: Stack, spec: dict[str, Any], node: str) -> None:
    after = stored(stack, prefer_node(spec, node, match="name"))
    assert node_affinity(after)[PREFERRED][-1] == term(node, match="name")
