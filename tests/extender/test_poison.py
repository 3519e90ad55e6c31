"""A preferred term with a value that no label can have keeps a pod from ever running: so no such term may be made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from extender import prefer_last_node, prefer_node
from lastnode.contract import (
    AGENTCUBE_PREFIX,
    HOSTNAME_LABEL,
    LAST_NODE_ANNOTATION,
    OLDER_WEIGHT,
    RECENT_NODES_ANNOTATION,
)
from lastnode.preference import PREFERRED
from testbed.component import Component
from testbed.errors import ApiError
from testbed.stack import Stack
from testbed.workloads import agent_runtime
from tests.extender.cluster import (
    Wire,
    create,
    make_nodes,
    path_of,
    place,
    pod_spec,
    remove,
    session_pod,
)
from tests.waiting import eventually

POOL = "poison"
NODES = ["poison-0", "poison-1", "poison-2"]
# A node may be called so; no label may hold it.
LONG_NAME = "ip-10-0-0-1." + "a-region-with-a-long-name." * 3 + "compute.internal"

NO_NODES_NAMES = ["", "-node", "node-", "Node", "node_1", "node 1", "node..1", "node/1", "nöde", "n" * 254, "a\n"]
NO_LABELS_VALUES = [" ", "-host", "host-", "ho st", "host/1", "h" * 64, "höst"]


@pytest.fixture(scope="module")
def nodes(shared: Stack) -> Iterator[list[str]]:
    """Several equal nodes, and one with the long name and a short hostname."""
    make_nodes(shared, NODES, POOL)
    make_nodes(shared, [LONG_NAME], POOL, hostname="ip-10-0-0-1")
    yield [*NODES, LONG_NAME]
    for name in [*NODES, LONG_NAME]:
        shared.api.delete(f"/api/v1/nodes/{name}")


def with_hostname_term(value: str) -> dict[str, Any]:
    """A pod's spec with the preferred term written by hand, as nobody checked it."""
    term = {"matchExpressions": [{"key": HOSTNAME_LABEL, "operator": "In", "values": [value]}]}
    affinity = {"nodeAffinity": {PREFERRED: [{"weight": 100, "preference": term}]}}
    return pod_spec(POOL, affinity=affinity)


def refusal(stack: Stack, pod: dict[str, Any]) -> dict[str, str] | None:
    """The condition in which the scheduler says that it could not place the pod, once it has."""
    conditions = stack.api.get(path_of(pod))["status"].get("conditions") or []
    return next((c for c in conditions if c["type"] == "PodScheduled" and c["status"] == "False"), None)


@pytest.mark.parametrize("name", NO_NODES_NAMES)
def test_a_name_that_no_node_could_have_is_refused(name: str) -> None:
    for match in ("hostname", "name"):
        with pytest.raises(ValueError, match="not a node name"):
            prefer_node(pod_spec(), name, match=match)


@pytest.mark.parametrize("hostname", NO_LABELS_VALUES)
def test_a_hostname_that_no_label_could_hold_is_refused(hostname: str) -> None:
    with pytest.raises(ValueError, match="not a label's value"):
        prefer_node(pod_spec(), "node-1", hostname=hostname)


def test_a_node_name_too_long_for_a_label_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match='match="name"'):
        prefer_node(pod_spec(), LONG_NAME)


@pytest.mark.parametrize(
    "name", [name for name in NO_NODES_NAMES if name and "\n" not in name], ids=lambda name: name[:12]
)
def test_the_api_server_lets_no_node_have_a_name_that_is_refused_here(stack: Stack, name: str) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    with pytest.raises(ApiError) as refused:
        stack.api.post("/api/v1/nodes?dryRun=All", node)
    assert refused.value.status == 422


@pytest.mark.parametrize("value", [LONG_NAME, "no label/value"], ids=["a long node name", "no label's value"])
def test_a_preferred_term_with_a_bad_value_keeps_a_pod_from_being_scheduled(
    stack: Stack, scheduler: Component, nodes: list[str], namespace: str, value: str
) -> None:
    """The API server takes it (201): nothing but the scheduler's own words says what is wrong."""
    pod = session_pod(namespace, "poisoned", spec=with_hostname_term(value))
    create(stack, pod)
    condition = eventually(lambda: refusal(stack, pod), "the scheduler to say why")
    assert condition["reason"] == "SchedulerError"
    assert "NodeAffinity" in condition["message"]
    assert "spec" in stack.api.get(path_of(pod))
    assert not stack.api.get(path_of(pod))["spec"].get("nodeName")
    remove(stack, pod)


def test_the_same_pod_with_our_term_for_a_node_that_is_gone_is_scheduled(
    stack: Stack, scheduler: Component, nodes: list[str], namespace: str
) -> None:
    pod = session_pod(namespace, "soft", spec=prefer_node(pod_spec(POOL), "gone-long-ago"))
    assert place(stack, pod) in nodes
    remove(stack, pod)


def long_remembered(stack: Stack, namespace: str) -> dict[str, Any]:
    """A workload with a bare last-node, as something else than our recorder would leave it."""
    workload = agent_runtime("w", namespace=namespace, sticky=True)
    workload["metadata"]["annotations"] = {LAST_NODE_ANNOTATION: LONG_NAME}
    return create(stack, workload)


# As anybody who may write a workload could leave it: names and hostnames that no node and no label can have, long ones,
# one twice, and a hostname that is another node's.
POISON = [
    {"node": LONG_NAME, "hostname": LONG_NAME},
    {"node": "poison-0", "hostname": "no label/value"},
    {"node": "Node_1", "hostname": "poison-1"},
    {"node": "n" * 254},
    {"node": "poison-1", "hostname": "poison-2"},
    {"node": "poison-2", "hostname": "poison-2"},
    *({"node": f"gone-{number}.{'x' * 60}", "hostname": f"gone-{number}"} for number in range(40)),
]


@pytest.mark.parametrize("older_weight", ["100", "1", "101", "-1", "ten"])
def test_whatever_the_annotations_hold_the_session_is_scheduled(
    stack: Stack, scheduler: Component, wire: Wire, nodes: list[str], namespace: str, older_weight: str
) -> None:
    workload = agent_runtime("w", namespace=namespace, sticky=True)
    now = datetime.now(UTC)
    texts = [{"readyAt": (now - timedelta(minutes=age)).isoformat()} | one for age, one in enumerate(POISON)]
    workload["metadata"]["annotations"] = {
        RECENT_NODES_ANNOTATION: json.dumps(texts), f"{AGENTCUBE_PREFIX}/{OLDER_WEIGHT}": older_weight,
    }  # fmt: skip
    made = create(stack, workload)
    wire.expect("preferred", session_pod(namespace, workload="w"), nodes)
    for spec in (pod_spec(POOL), prefer_last_node(pod_spec(POOL), made)):
        pod = session_pod(namespace, workload="w", spec=spec)
        assert place(stack, pod) in nodes
        remove(stack, pod)


def test_a_session_comes_back_to_a_node_with_a_long_name_by_the_extender(
    stack: Stack, scheduler: Component, wire: Wire, nodes: list[str], namespace: str
) -> None:
    long_remembered(stack, namespace)
    wire.expect("preferred", session_pod(namespace, workload="w"), nodes)
    pod = session_pod(namespace, workload="w", spec=pod_spec(POOL))
    assert place(stack, pod) == LONG_NAME
    remove(stack, pod)


def test_a_session_comes_back_to_a_node_with_a_long_name_by_the_injected_term(
    stack: Stack, scheduler: Component, nodes: list[str], namespace: str
) -> None:
    spec = prefer_last_node(pod_spec(POOL), long_remembered(stack, namespace))
    [term] = spec["affinity"]["nodeAffinity"][PREFERRED]
    assert [field["values"] for field in term["preference"]["matchFields"]] == [[LONG_NAME]]
    pod = session_pod(namespace, "injected", spec=spec)
    assert place(stack, pod) == LONG_NAME
    remove(stack, pod)
