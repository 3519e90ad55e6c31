"""Why a node could not take a pod, as the recorder reads it off their objects."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.kube.errors import Undecodable
from lastnode.reasons import Reason
from recorder.why.fit import Seen, asks_for, obstacle, read, requests

HOSTNAME = "kubernetes.io/hostname"


def node(labels: dict[str, str] | None = None, taints: list[Any] | None = None, **allocatable: str) -> Seen:
    metadata = {"name": "a", "labels": labels or {HOSTNAME: "host-a"}}
    room = {"cpu": "4", "memory": "8Gi", "pods": "10"} | allocatable
    return read(
        json.dumps({"metadata": metadata, "spec": {"taints": taints}, "status": {"allocatable": room}}).encode()
    )


def container(cpu: str = "1", **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}


def pod(uid: str = "p", scheduled: str = "2026-11-24T10:00:00Z", **spec: Any) -> Seen:
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": scheduled}]
    body = {
        "metadata": {"uid": uid},
        "spec": {"containers": [container()], **spec},
        "status": {"conditions": conditions},
    }
    return read(json.dumps(body).encode())


def required(*terms: Any) -> dict[str, Any]:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def test_nothing_stands_in_the_way_of_a_small_pod() -> None:
    assert obstacle(pod(), node(), []) is None


@pytest.mark.parametrize(("others", "fits"), [(3, True), (4, False)])
def test_room_ends_exactly_where_the_allocatable_does(others: int, fits: bool) -> None:
    there = [pod(f"o{number}") for number in range(others)]
    assert obstacle(pod(), node(), there) is (None if fits else Reason.NO_ROOM)


def test_pods_that_came_later_and_the_pod_itself_took_no_room() -> None:
    later = [pod(f"o{number}", scheduled="2026-11-24T10:00:01Z") for number in range(9)]
    assert obstacle(pod(), node(), [*later, pod()]) is None


def test_a_node_may_hold_only_so_many_pods() -> None:
    there = [pod(f"o{number}", containers=[]) for number in range(10)]
    assert obstacle(pod(containers=[]), node(), there) is Reason.NO_ROOM


def test_what_the_node_does_not_have_at_all_does_not_fit() -> None:
    gpu = {"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}
    assert obstacle(pod(containers=[gpu]), node(), []) is Reason.NO_ROOM


def test_what_is_asked_for_in_no_amount_always_fits() -> None:
    none = {"name": "c", "resources": {"requests": {"example.com/gpu": "0"}}}
    assert obstacle(pod(containers=[none]), node(), []) is None


def test_a_node_that_says_nothing_of_its_room_is_not_called_full() -> None:
    silent = read(b'{"metadata":{"name":"a"}}')
    assert obstacle(pod(), silent, [pod("other")]) is None


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container("100m"), container("1")]}, "1.1"),
        ({"initContainers": [container("3")], "containers": [container("1")]}, "3"),
        (
            {
                "initContainers": [container("2", restartPolicy="Always"), container("3")],
                "containers": [container("1")],
            },
            "5",
        ),
        ({"initContainers": [container("2", restartPolicy="Always")], "containers": [container("1")]}, "3"),
        ({"overhead": {"cpu": "250m"}, "containers": [container("1")]}, "1.25"),
        ({"containers": [{"name": "c"}]}, "0"),
    ],
)
def test_requests_are_what_the_scheduler_reserves(spec: dict[str, Any], cpu: str) -> None:
    assert requests(pod(**spec)).get("cpu", Decimal(0)) == Decimal(cpu)


@given(st.lists(st.integers(0, 4000), max_size=6), st.lists(st.integers(0, 4000), max_size=4))
def test_a_pod_needs_at_least_each_of_its_containers_and_at_most_all_together(main: list[int], init: list[int]) -> None:
    spec = {
        "containers": [container(f"{milli}m") for milli in main],
        "initContainers": [container(f"{milli}m") for milli in init],
    }
    needed = requests(pod(**spec)).get("cpu", Decimal(0)) * 1000
    assert max([sum(main), *init]) == needed


@pytest.mark.parametrize(
    ("toleration", "kept_out"),
    [
        (None, True),
        ({"key": "k", "operator": "Exists"}, False),
        ({"operator": "Exists"}, False),
        ({"key": "k", "value": "v"}, False),
        ({"key": "k", "operator": "", "value": "v", "effect": "NoSchedule"}, False),
        ({"key": "k", "value": "w"}, True),
        ({"key": "other", "operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, True),
        ({"value": "v"}, True),
    ],
)
def test_a_taint_keeps_out_whoever_does_not_tolerate_it(toleration: dict[str, Any] | None, kept_out: bool) -> None:
    tainted = node(taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}])
    found = obstacle(pod(tolerations=[toleration] if toleration else None), tainted, [])
    assert found is (Reason.TAINTED if kept_out else None)


def test_a_taint_that_only_weighs_keeps_nobody_out() -> None:
    assert obstacle(pod(), node(taints=[{"key": "k", "effect": "PreferNoSchedule"}]), []) is None


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        ({"nodeSelector": {"zone": "one"}}, True),
        ({"nodeSelector": {"zone": "two"}}, False),
        ({"affinity": required(expression("zone", "In", "one", "two"))}, True),
        ({"affinity": required(expression("zone", "NotIn", "one"))}, False),
        ({"affinity": required(expression("absent", "NotIn", "x"))}, True),
        ({"affinity": required(expression("zone", "Exists"))}, True),
        ({"affinity": required(expression("zone", "DoesNotExist"))}, False),
        ({"affinity": required(expression("rank", "Gt", "3"))}, True),
        ({"affinity": required(expression("rank", "Lt", "3"))}, False),
        ({"affinity": required(expression("zone", "Gt", "3"))}, False),
        ({"affinity": required(expression("zone", "In", "two"), expression("zone", "In", "one"))}, True),
        ({"affinity": required({})}, False),
        ({"affinity": required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]})}, True),
        ({"affinity": required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]})}, False),
    ],
)
def test_the_pods_own_selector_and_required_terms_count(spec: dict[str, Any], allowed: bool) -> None:
    labelled = node(labels={"zone": "one", "rank": "5"})
    assert obstacle(pod(**spec), labelled, []) is (None if allowed else Reason.PINNED)


@pytest.mark.parametrize(
    ("preference", "asked"),
    [
        (expression(HOSTNAME, "In", "host-a"), True),
        ({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}, True),
        (expression(HOSTNAME, "In", "host-b"), False),
        (expression(HOSTNAME, "In", "host-b", "host-a"), True),
        (expression("zone", "In", "host-a"), False),
    ],
)
def test_a_preferred_term_asks_for_the_node_that_it_names(preference: dict[str, Any], asked: bool) -> None:
    terms = [{"weight": 1, "preference": preference}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}
    assert asks_for(pod(affinity=affinity), "a", "host-a") is asked


def test_where_no_label_leads_to_the_node_no_label_asks_for_it() -> None:
    terms = [{"weight": 100, "preference": expression(HOSTNAME, "In", "a")}]
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}
    assert not asks_for(pod(affinity=affinity), "a", "")


def test_an_object_of_another_shape_is_named_as_such() -> None:
    with pytest.raises(Undecodable):
        read(b'{"metadata":{"uid":"p"},"spec":{"containers":"none"}}')
