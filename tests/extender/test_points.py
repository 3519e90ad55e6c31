"""The real scheduler's own arithmetic: both forms of the preference add 200 points, and never twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from extender import prefer_last_node, prefer_node
from lastnode.contract import AGENTCUBE_PREFIX, CACHE_GROUP, HOSTNAME_LABEL, OLDER_WEIGHT
from lastnode.preference import PREFERRED
from testbed.component import Component
from testbed.stack import Stack
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    favoured,
    make_nodes,
    path_of,
    place,
    pod_spec,
    remove,
    scheduled,
    session_pod,
    sticky_runtime,
)
from tests.waiting import eventually

POOL = "points"
NODES = [f"points-{number}" for number in range(10)]
WANTED = NODES[6]
POINTS = 200
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

_FINAL = re.compile(r"\"Calculated node's final score for pod\" pod=\"(?P<pod>[^\"]+)\" node=\"(?P<node>[^\"]+)\" "
                    r"score=(?P<score>-?\d+)")  # fmt: skip


class Placed(NamedTuple):
    node: str
    scores: dict[str, int]


@pytest.fixture(scope="module")
def nodes(shared: Stack) -> Iterator[dict[str, Any]]:
    """Ten equal, idle nodes."""
    yield make_nodes(shared, NODES, POOL)
    for name in NODES:
        shared.api.delete(f"/api/v1/nodes/{name}")


@pytest.fixture
def known(stack: Stack, wire: Wire, nodes: dict[str, Any], namespace: str) -> str:
    """A workload that the extender knows to want WANTED; returns its name."""
    create(stack, sticky_runtime("known", namespace, entry(nodes[WANTED])))
    answer = wire.expect("preferred", session_pod(namespace, workload="known"), NODES)
    assert answer.hosts == favoured(WANTED)
    return "known"


def final_scores(scheduler: Component, pod: dict[str, Any]) -> dict[str, int]:
    """Node -> score, from the scheduler's log."""
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    lines = _FINAL.finditer(scheduler.log.read_text(encoding="utf-8", errors="replace"))
    return {line["node"]: int(line["score"]) for line in lines if line["pod"] == name}


def placed(stack: Stack, scheduler: Component, pod: dict[str, Any], feasible: list[str] = NODES) -> Placed:
    """Where the scheduler puts the pod on the idle cluster, and how it scored the nodes for it."""
    node = place(stack, pod)
    try:
        scores = eventually(lambda: final_scores(scheduler, pod), f"scores of {path_of(pod)} in {scheduler.log}")
        assert sorted(scores) == feasible
        return Placed(node, scores)
    finally:
        remove(stack, pod)


def points_added(stack: Stack, scheduler: Component, plain: dict[str, Any], preferring: dict[str, Any]) -> int:
    """What the preference adds to WANTED's score; every other node must keep the score it had."""
    before = placed(stack, scheduler, plain).scores
    node, after = placed(stack, scheduler, preferring)
    assert node == WANTED
    assert {name: after[name] for name in NODES if name != WANTED} == {
        name: before[name] for name in NODES if name != WANTED
    }
    return after[WANTED] - before[WANTED]


def test_the_extender_adds_200_points(
    stack: Stack, scheduler: Component, wire: Wire, namespace: str, known: str
) -> None:
    plain = session_pod(namespace, "plain", spec=pod_spec(POOL))
    before = wire.results()["preferred"]
    ours = session_pod(namespace, "known", workload=known, spec=pod_spec(POOL))
    assert points_added(stack, scheduler, plain, ours) == POINTS
    assert wire.results()["preferred"] == before + 1


@pytest.mark.parametrize("match", ["hostname", "name"])
def test_the_injected_term_adds_the_same_200_points(
    stack: Stack, scheduler: Component, nodes: dict[str, Any], namespace: str, match: Any
) -> None:
    plain = session_pod(namespace, "plain", spec=pod_spec(POOL))
    injected = session_pod(namespace, "injected", spec=prefer_node(pod_spec(POOL), WANTED, match=match))
    assert points_added(stack, scheduler, plain, injected) == POINTS


@pytest.mark.parametrize("match", ["hostname", "name"])
def test_a_pod_with_the_term_that_the_extender_knows_too_gets_200_points_not_400(
    stack: Stack, scheduler: Component, wire: Wire, namespace: str, known: str, match: Any
) -> None:
    plain = session_pod(namespace, "plain", spec=pod_spec(POOL))
    spec = prefer_node(pod_spec(POOL), WANTED, match=match)
    both = session_pod(namespace, "both", workload=known, spec=spec)
    before = wire.results()["already_injected"]
    assert points_added(stack, scheduler, plain, both) == POINTS
    assert wire.results()["already_injected"] == before + 1


def test_a_term_for_another_node_counts_beside_the_extenders_answer(
    stack: Stack, scheduler: Component, nodes: dict[str, Any], namespace: str, known: str
) -> None:
    other = NODES[2]
    pod = session_pod(namespace, "torn", workload=known, spec=prefer_node(pod_spec(POOL), other))
    plain = placed(stack, scheduler, session_pod(namespace, "plain", spec=pod_spec(POOL))).scores
    scores = placed(stack, scheduler, pod).scores
    assert (scores[WANTED] - plain[WANTED], scores[other] - plain[other]) == (POINTS, POINTS)


# A workload that remembers three nodes, for which each face must say the same.

LAST, OLDER = NODES[6], [NODES[2], NODES[3]]
OWN = NODES[4]  # what the pod's user prefers
THEIRS = NODES[8]  # where a workload of the same cache group ran


class Case(NamedTuple):
    """``points``: what is added to a node's score; ``without``: a node that the pod excludes itself."""

    points: dict[str, int]
    older_weight: str | None = None
    without: str = "nothing"
    own: int | None = None
    remembered: tuple[str, ...] = (LAST, *OLDER)
    group: bool = False


CASES = {
    "the last node and older ones": Case({LAST: 200, OLDER[0]: 20, OLDER[1]: 20}),
    "the last node is not feasible": Case({OLDER[0]: 200, OLDER[1]: 200}, without=LAST),
    "an older node is not feasible": Case({LAST: 200, OLDER[1]: 20}, without=OLDER[0]),
    "all alike": Case({LAST: 200, OLDER[0]: 200, OLDER[1]: 200}, older_weight="100"),
    "the last one only": Case({LAST: 200}, older_weight="0"),
    "the last one only, and not feasible": Case({}, older_weight="0", without=LAST),
    "beside a term of the user's own": Case({LAST: 200, OWN: 200, OLDER[0]: 20, OLDER[1]: 20}, own=100),
    "the group alone": Case({THEIRS: 200}, remembered=(), group=True),
    "the group where the last node is not feasible": Case({THEIRS: 200}, without=LAST, remembered=(LAST,), group=True),
    "older nodes before the group": Case(
        {OLDER[0]: 200, THEIRS: 20}, without=LAST, remembered=(LAST, OLDER[0]), group=True
    ),
}
# A weight of 1 beside 100 is 2 points of a term; the extender's steps are 20.
ROUNDED = 2


def affinity_of(case: Case, *, plain: bool = False) -> dict[str, Any]:
    excluded = {"key": HOSTNAME_LABEL, "operator": "NotIn", "values": [case.without]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [excluded]}]}
    own = {"matchExpressions": [{"key": HOSTNAME_LABEL, "operator": "In", "values": [OWN]}]}
    preferred = [] if plain or case.own is None else [{"weight": case.own, "preference": own}]
    return {"nodeAffinity": {REQUIRED: required, PREFERRED: preferred}}


FACES = ["terms", "extender", "both", "a term for the last node, and the extender"]
COMBINED = [(name, face) for name, case in CASES.items() for face in FACES[: 4 if case.remembered else 3]]


@pytest.mark.parametrize(("named", "face"), COMBINED)
def test_a_ranked_list_has_the_same_points_by_terms_by_the_extender_and_by_both(
    stack: Stack, scheduler: Component, wire: Wire, nodes: dict[str, Any], namespace: str, named: str, face: str
) -> None:
    case = CASES[named]
    entries = [entry(nodes[name], timedelta(minutes=age)) for age, name in enumerate(case.remembered, 1)]
    said = {OLDER_WEIGHT: case.older_weight, CACHE_GROUP: "images" if case.group else None}
    annotations = {f"{AGENTCUBE_PREFIX}/{name}": text for name, text in said.items() if text}
    both = (sticky_runtime("several", namespace, *entries), sticky_runtime("relative", namespace, entry(nodes[THEIRS])))
    for each in both:
        each["metadata"]["annotations"] = each["metadata"].get("annotations", {}) | annotations
    workload, relative = (create(stack, each) for each in both)
    asked = [name for name in NODES if name != case.without]
    known = session_pod(namespace, workload="several")
    wire.expect("preferred" if case.points else "not_offered", known, asked)
    spec = pod_spec(POOL, affinity=affinity_of(case))
    if face in ("terms", "both"):
        spec = prefer_last_node(spec, workload, relatives=[relative])
    elif face != "extender":
        spec = prefer_node(spec, LAST)
    pod = session_pod(namespace, "pod", workload=None if face == "terms" else "several", spec=spec)
    plain = session_pod(namespace, "plain", spec=pod_spec(POOL, affinity=affinity_of(case, plain=True)))
    before, after = (placed(stack, scheduler, one, asked).scores for one in (plain, pod))
    added = {name: after[name] - before[name] for name in asked if abs(after[name] - before[name]) > ROUNDED}
    assert added == case.points


def test_the_extender_is_not_asked_when_only_one_node_is_feasible(
    stack: Stack, scheduler: Component, wire: Wire, namespace: str, known: str
) -> None:
    before = sum(wire.results().values())
    only = {"nodeSelector": {"kubernetes.io/hostname": NODES[0]}}
    pod = session_pod(namespace, "alone", workload=known, spec={**pod_spec(), **only})
    create(stack, pod)
    assert scheduled(stack, pod) == NODES[0]
    remove(stack, pod)
    assert sum(wire.results().values()) == before
