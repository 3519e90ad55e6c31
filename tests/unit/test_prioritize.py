"""The prioritize verb as a pure function: whatever bytes come in, a valid list goes out."""

from __future__ import annotations

import json
from itertools import cycle, islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from extender.http import Verb
from extender.lookup import Lookup
from extender.metrics import PrioritizeMetrics
from extender.prioritize import SEARCHED, Prioritizer, Request, favour
from lastnode.contract import SESSION_LABEL, WORKLOAD_NAME_LABEL
from lastnode.kube.errors import Undecodable
from lastnode.objects import Node, Workload
from lastnode.view import MemoryCache, View
from tests.unit.strategies import NODE, OURS, node_names, pod_specs, preferred_terms

POD = {
    "metadata": {"name": "p", "namespace": "demo", "labels": {SESSION_LABEL: "s", WORKLOAD_NAME_LABEL: "w"}},
    "spec": {},
}
PREFERRED = [{"Host": NODE, "Score": 10}]
RESOURCE = "agentruntimes.runtime.agentcube.volcano.sh"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Of the right names, with anything in them.
field_names = st.sampled_from(["Pod", "pod", "Nodes", "nodes", "NodeNames", "nodeNames", "nodenames", "other"])
pod_like = st.fixed_dictionaries(
    {},
    optional={
        "metadata": json_values | st.just(POD["metadata"]),
        "spec": json_values | pod_specs(preferred_terms | st.sampled_from(OURS)),
        "status": json_values,
    },
)
argument_like = st.dictionaries(field_names, json_values | pod_like | st.just(POD) | st.just([NODE]), max_size=6)

names = st.lists(st.just(NODE) | node_names(), max_size=8, unique=True)
spellings = st.sampled_from([("Pod", "Nodes", "NodeNames"), ("pod", "nodes", "nodenames"),
                             ("pod", "nodes", "nodeNames")])  # fmt: skip


def service(registry: CollectorRegistry | None = None) -> Verb:
    """A service that knows one workload, "w" of "demo", whose last node is NODE."""
    view = View()
    view.nodes.upsert(Node(name=NODE, uid="n1", hostname=NODE, ready=True))
    identity = {"namespace": "demo", "name": "w", "uid": "w1", "resource": RESOURCE, "kind": "AgentRuntime"}
    view.workloads[RESOURCE].upsert(Workload(**identity, sticky=True, last_node=NODE))
    lookup = Lookup(view, MemoryCache(0), 0, synced=lambda: True)
    return Verb(Prioritizer(lookup, PrioritizeMetrics(registry or CollectorRegistry())))


SERVICE = service()


def as_names(spelling: tuple[str, str, str], offered: list[str]) -> bytes:
    pod, nodes, node_names = spelling
    return json.dumps({pod: POD, nodes: None, node_names: offered}).encode()


def as_nodes(spelling: tuple[str, str, str], offered: list[str]) -> bytes:
    pod, nodes, node_names = spelling
    items = [{"metadata": {"name": name, "labels": {"a": NODE}}, "status": {}} for name in offered]
    return json.dumps({pod: POD, nodes: {"metadata": {}, "items": items}, node_names: None}).encode()


def assert_valid(answer: bytes) -> None:
    assert json.loads(answer) in ([], PREFERRED)
    assert not answer.endswith(b"\n")


@given(st.binary(max_size=300))
def test_any_bytes_get_a_valid_list(body: bytes) -> None:
    assert_valid(SERVICE.answer(body))


@given(json_values)
def test_any_json_gets_a_valid_list(value: Any) -> None:
    assert_valid(SERVICE.answer(json.dumps(value).encode()))


@given(argument_like, st.booleans())
def test_anything_under_the_right_names_gets_a_valid_list(value: dict[str, Any], ascii_only: bool) -> None:
    registry = CollectorRegistry()
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert_valid(service(registry).answer(body))
    assert registry.get_sample_value("lastnode_prioritize_total", {"result": "error"}) == 0


@given(spellings, names)
def test_offered_names_are_found_and_counted_as_plain_json_would(
    spelling: tuple[str, str, str], offered: list[str]
) -> None:
    for body in (as_names(spelling, offered), as_nodes(spelling, offered)):
        request = Request(body)
        assert request.count() == len(offered)
        asked = {NODE, *offered, *(name[:-1] for name in offered if len(name) > 1)}
        for name in [*asked, *islice(cycle(asked), SEARCHED)]:  # and more often than names are looked for in the bytes
            assert request.offers(name) == (name in offered)


@given(spellings, names)
def test_the_preferred_node_is_answered_exactly_when_it_is_offered(
    spelling: tuple[str, str, str], offered: list[str]
) -> None:
    expected = PREFERRED if NODE in offered else []
    assert json.loads(SERVICE.answer(as_names(spelling, offered))) == expected
    assert json.loads(SERVICE.answer(as_nodes(spelling, offered))) == expected


@given(names)
def test_names_in_escaped_spelling_are_the_same_names(offered: list[str]) -> None:
    escaped = "[" + ",".join('"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"' for name in offered) + "]"
    request = Request(f'{{"Pod": {json.dumps(POD)}, "NodeNames": {escaped}}}'.encode())
    assert request.offers(NODE) == (NODE in offered)
    assert request.count() == len(offered)


@given(pod_specs(preferred_terms | st.sampled_from(OURS)))
def test_a_pod_with_the_very_term_gets_nothing_more(spec: dict[str, Any]) -> None:
    body = json.dumps({"Pod": {**POD, "spec": spec}, "NodeNames": [NODE]}).encode()
    terms = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "preferredDuringSchedulingIgnoredDuringExecution"
    ) or []
    assert json.loads(SERVICE.answer(body)) == ([] if any(term in OURS for term in terms) else PREFERRED)


@pytest.mark.parametrize(
    "text", ["{", "null", "[]", "{}", '{"Pod": null}', '{"Pod": {"metadata": {"name": "\\ud800x"'], ids=repr
)
def test_what_is_no_request_is_refused_as_such(text: str) -> None:
    with pytest.raises(Undecodable):
        Request(text.encode())


def test_bytes_that_are_no_utf8_are_refused_as_such() -> None:
    with pytest.raises(Undecodable):
        Request(b'{"Pod": {"metadata": {"namespace": "\xf8"}}}')


def test_an_answer_is_integers_without_a_newline() -> None:
    assert favour({NODE: 10}) == b'[{"Host":"node-1","Score":10}]'
