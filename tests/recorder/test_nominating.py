"""A waiting session's node is tried first (--nominate), on a real kube-scheduler that starts once all was said."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest

from lastnode.contract import HOSTNAME_LABEL
from lastnode.outcome import Outcome
from lastnode.preference import term
from testbed.stack import Stack
from testbed.versions import chosen, minor
from testbed.workloads import Object
from tests.extender.cluster import create, entry, make_nodes, path_of, pod_spec, session_pod, sticky_runtime
from tests.outcomes.scene import become_ready
from tests.recorder.conftest import _running as running
from tests.waiting import eventually

LEAST = 4
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PLACES = 16
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def pools() -> dict[str, dict[str, Object]]:
    """Pool -> the nodes that it has, name -> object; to be taken out one after the other."""
    return {}


@pytest.fixture(scope="module")
def stack(pools: dict[str, dict[str, Object]]) -> Iterator[Stack]:
    for stack in running(Stack.start()):
        # All of them before the recorder starts: a pod that is seen before its node is looked at once, in vain.
        names = [f"n{number}" for number in range(PLACES)]
        pools |= {name: make_nodes(stack, [f"{name}-{letter}" for letter in "abc"], pool=name) for name in names}
        stack.start_recorder("--nominate", str(LEAST), "--leader-elect")
        yield stack


class Place:
    """A namespace with three nodes of a pool of its own; "w" remembers the first."""

    def __init__(self, stack: Stack, pools: dict[str, dict[str, Object]]) -> None:
        self.stack = stack
        self.name, self.nodes = pools.popitem()
        stack.api.post("/api/v1/namespaces", {"metadata": {"name": self.name}})
        self.wanted, self.other, _ = self.nodes
        create(stack, sticky_runtime("w", self.name, entry(self.nodes[self.wanted])))

    def pod(self, name: str = "s", workload: str = "w", cpu: str = "1", **more: Any) -> Object:
        """A session that waits: no scheduler runs."""
        spec = pod_spec(self.name, **more)
        spec["containers"][0]["resources"]["requests"]["cpu"] = cpu
        return create(self.stack, session_pod(self.name, name, workload=workload, spec=spec))

    def nominated(self, pod: Object) -> str:
        return str(self.stack.api.get(path_of(pod))["status"].get("nominatedNodeName", ""))

    def is_nominated(self, pod: Object, node: str = "") -> None:
        wanted = node or self.wanted
        eventually(lambda: self.nominated(pod) == wanted, f"{pod['metadata']['name']} to be nominated to {wanted}")

    def settled(self) -> None:
        """Wait until the recorder has looked at every pod so far: those of one namespace have their turns in order."""
        name = f"probe-{next(_numbers)}"
        self.is_nominated(self.pod(name))
        self.stack.api.request("DELETE", path_of({**session_pod(self.name, name)}), {"gracePeriodSeconds": 0})

    def fill(self, cpu: str) -> None:
        """Somebody else's pod on the wanted node."""
        spec = pod_spec(nodeName=self.wanted)
        spec["containers"][0]["resources"]["requests"]["cpu"] = cpu
        create(self.stack, session_pod(self.name, f"other-{next(_numbers)}", spec=spec))

    def placed(self, *pods: Object) -> list[str]:
        """The nodes of these pods, once a kube-scheduler with the default profile has bound them."""
        scheduler = self.stack.cp.start_scheduler(f"scheduler-{self.name}")
        try:
            return [
                str(eventually(lambda p=pod: self.stack.api.get(path_of(p))["spec"].get("nodeName"), "a node"))  # type: ignore[misc]
                for pod in pods
            ]
        finally:
            scheduler.stop()


@pytest.fixture
def place(stack: Stack, pools: dict[str, dict[str, Object]]) -> Place:
    return Place(stack, pools)


def counted(stack: Stack, result: str) -> float:
    return stack.metrics(stack.recorder_url)[f'lastnode_nominations_total{{result="{result}"}}']


def test_a_waiting_session_comes_back_whatever_else_scores_better_and_that_is_told(place: Place) -> None:
    before = counted(place.stack, "nominated")
    elsewhere = {"preferredDuringSchedulingIgnoredDuringExecution": [term(place.other)]}
    pod = place.pod(affinity={"nodeAffinity": elsewhere})
    place.is_nominated(pod)
    assert place.placed(pod) == [place.wanted]
    become_ready(place.stack, pod)
    record = eventually(lambda: next(iter(place.stack.journal(pod["metadata"]["uid"])), None), "its record")
    assert (record.outcome, record.nominated) == (Outcome.REUSED, place.wanted)
    assert counted(place.stack, "nominated") == before + 1
    # Since 1.35 the API server clears it once the pod is bound.
    assert place.nominated(pod) == (place.wanted if minor(chosen(os.environ)) == "1.34" else "")


def test_a_full_node_keeps_no_session_waiting(place: Place) -> None:
    place.fill("7500m")
    pod = place.pod()
    place.is_nominated(pod)
    assert place.placed(pod)[0] in {*place.nodes} - {place.wanted}


def test_of_two_sessions_for_the_last_room_one_gets_it(place: Place) -> None:
    place.fill("6500m")
    pods = [place.pod("s1"), place.pod("s2")]
    for pod in pods:
        place.is_nominated(pod)
    nodes = place.placed(*pods)
    assert nodes.count(place.wanted) == 1


def test_a_pod_that_somebody_has_nominated_is_left_alone(place: Place) -> None:
    held = place.pod("held", schedulingGates=[{"name": "example.com/held"}])
    place.stack.api.patch(f"{path_of(held)}/status", {"status": {"nominatedNodeName": place.other}})
    place.stack.api.patch(path_of(held), {"spec": {"schedulingGates": None}})
    place.settled()
    assert place.nominated(held) == place.other


def test_a_gated_pod_is_nominated_once_it_may_be_scheduled(place: Place) -> None:
    gated = place.pod("gated", schedulingGates=[{"name": "example.com/held"}])
    place.settled()
    assert place.nominated(gated) == ""
    place.stack.api.patch(path_of(gated), {"spec": {"schedulingGates": None}})
    place.is_nominated(gated)


def test_a_pod_that_found_no_node_is_not_nominated_again(place: Place) -> None:
    pod = place.pod("large", cpu="64")
    place.is_nominated(pod)
    scheduler = place.stack.cp.start_scheduler("scheduler-once")
    eventually(lambda: place.nominated(pod) == "", "kube-scheduler to take the nomination back")
    scheduler.stop()
    place.settled()
    assert place.nominated(pod) == ""


def test_who_has_nothing_to_come_back_to_is_not_nominated(place: Place) -> None:
    create(place.stack, sticky_runtime("fresh", place.name))
    opted_out = sticky_runtime("out", place.name, entry(place.nodes[place.wanted]))
    opted_out["spec"]["nodeStickiness"]["enabled"] = False
    create(place.stack, opted_out)
    pods = [place.pod(workload, workload) for workload in ("fresh", "out", "nobodys")]
    place.settled()
    assert [place.nominated(pod) for pod in pods] == ["", "", ""]


def test_where_a_webhook_is_down_only_that_namespace_waits_for_it(
    stack: Stack, place: Place, pools: dict[str, dict[str, Object]]
) -> None:
    broken, whole = place, Place(stack, pools)
    stack.api.post(WEBHOOKS, {
        "metadata": {"name": "down"},
        "webhooks": [{
            "name": "down.example.com", "failurePolicy": "Fail", "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "clientConfig": {"url": "https://127.0.0.1:1/"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": broken.name}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                       "resources": ["pods/status"]}],
        }],
    })  # fmt: skip
    try:
        waiting = [broken.pod(f"s{number}") for number in range(8)]
        eventually(lambda: counted(stack, "failed") >= 1, "a nomination to fail")
        whole.is_nominated(whole.pod())
    finally:
        stack.api.delete(f"{WEBHOOKS}/down")
    for pod in waiting:
        broken.is_nominated(pod)


def test_sessions_that_may_run_on_several_nodes_alike_spread_over_them(place: Place) -> None:
    both = [entry(place.nodes[node]) for node in (place.wanted, place.other)]
    workload = sticky_runtime("many", place.name, *both)
    workload["metadata"]["annotations"]["runtime.agentcube.io/older-weight"] = "100"
    create(place.stack, workload)
    pods = [place.pod(f"m{number}", "many") for number in range(12)]
    eventually(lambda: all(map(place.nominated, pods)), "all of them to be nominated")
    assert {place.nominated(pod) for pod in pods} == {place.wanted, place.other}


def test_a_recorder_that_starts_finds_those_that_wait_and_smaller_clusters_are_left_alone(place: Place) -> None:
    recorder, url = place.stack.recorder, place.stack.recorder_url
    assert recorder is not None
    recorder.stop()
    waiting = place.pod()
    try:
        for flags in (("--nominate", "1000"), ()):
            other = place.stack.start_recorder(*flags, name="reserved")
            session = create(place.stack, session_pod(place.name, f"r{len(flags)}", workload="w", spec=pod_spec(
                nodeName=place.other)))  # fmt: skip
            become_ready(place.stack, session)
            eventually(lambda s=session: place.stack.journal(s["metadata"]["uid"]), "a session to be counted")  # type: ignore[misc]
            assert place.nominated(waiting) == ""
            other.stop()
    finally:
        place.stack.recorder_url = url
        place.stack.start_recorder("--nominate", str(LEAST), "--leader-elect", name="recorder-again")
    place.is_nominated(waiting, place.other)


def test_the_nodes_label_is_not_what_a_nomination_needs(place: Place) -> None:
    """Where no term can name a node by its label, its name still can."""
    place.stack.api.patch(f"/api/v1/nodes/{place.wanted}", {"metadata": {"labels": {HOSTNAME_LABEL: None}}})
    place.is_nominated(place.pod())
