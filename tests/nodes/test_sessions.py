"""What real kubelets say of sessions, and that it ends in the memory and the outcome that a user would expect."""

from __future__ import annotations

import pytest

from testbed.workloads import Object
from tests.nodes.field import DEAF, FAILING, HUNGRY, Field, ready_at
from tests.waiting import eventually


def written(field: Field) -> list[tuple[str, str, str]]:
    """Node, when it was Ready, and pod of each entry."""
    return [
        (each.node, each.ready_at.strftime("%Y-%m-%dT%H:%M:%SZ") if each.ready_at else "", each.pod_uid)
        for each in field.entries()
    ]


def placement(pod: Object) -> tuple[str, str, str]:
    return pod["spec"]["nodeName"], ready_at(pod), pod["metadata"]["uid"]


def comes_back(field: Field, node: str) -> None:
    """The workload's next session runs on its last node."""
    field.end()
    assert field.outcome(field.run()) == ("reused", node)


def test_a_session_that_is_ready_is_remembered_as_the_kubelet_dates_it_and_the_next_comes_back(field: Field) -> None:
    pod = field.run()
    node = pod["spec"]["nodeName"]
    assert field.outcome(pod) == ("first", node)
    assert written(field) == [placement(pod)]
    comes_back(field, node)


def test_a_kubelet_that_restarts_places_nothing_anew(field: Field) -> None:
    pod = field.run()
    node = pod["spec"]["nodeName"]
    field.nodes.restart_kubelet(node)
    field.nodes.wait_ready([node])
    assert written(field) == [placement(pod)]
    comes_back(field, node)
    assert len(field.records(pod)) == 1


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
def test_a_session_whose_container_is_killed_and_runs_again_counts_from_then(field: Field, policy: str) -> None:
    pod = field.run(restartPolicy=policy)
    field.kill_container(pod)
    again = field.restarted(pod)
    assert again["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 137
    eventually(lambda: written(field) == [placement(again)], f"{placement(again)} to be written")
    comes_back(field, pod["spec"]["nodeName"])


def test_a_session_whose_container_is_killed_for_good_is_not_come_back_to(field: Field) -> None:
    pod = field.run(restartPolicy="Never")
    field.kill_container(pod)
    failed = field.until(pod, lambda status: status["phase"] == "Failed", "the pod to fail")
    assert failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    eventually(lambda: not field.entries(), "its entry to be taken back")
    field.end()
    assert field.outcome(field.run())[0] == "first"


def test_a_session_that_a_kubelet_does_not_admit_leaves_no_trace(field: Field) -> None:
    pod = field.run()
    node = pod["spec"]["nodeName"]
    other = next(name for name in field.nodes.names if name != node)
    refused = field.pod(field.ask(cpu="2000", nodeName=other))
    refused = field.until(refused, lambda status: status["phase"] == "Failed", "the kubelet to refuse the pod")
    assert refused["status"]["reason"] == "OutOfcpu"
    assert not refused["status"].get("conditions")
    comes_back(field, node)
    assert not field.records(refused)


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_a_machine_that_dies_and_boots_again_is_no_crash_of_its_sessions(field: Field, policy: str) -> None:
    pod = field.run(restartPolicy=policy)
    node = pod["spec"]["nodeName"]
    field.nodes.kill(node)
    field.nodes.boot(node)
    if policy == "Always":
        state = field.restarted(pod)["status"]["containerStatuses"][0]["lastState"]
    else:
        failed = field.until(pod, lambda status: status["phase"] == "Failed", "the pod to fail")
        state = failed["status"]["containerStatuses"][0]["state"]
    assert (state["terminated"]["exitCode"], state["terminated"]["reason"]) == (255, "Unknown")
    comes_back(field, node)
    assert len(field.records(pod)) == 1


def test_a_container_that_must_be_killed_after_its_grace_period_is_no_crash(field: Field) -> None:
    pod = field.run(signals=DEAF)
    comes_back(field, pod["spec"]["nodeName"])


def test_a_session_that_its_kubelet_evicts_is_not_come_back_to(field: Field) -> None:
    node = field.nodes.names[0]
    memory = field.stack.api.get(f"/api/v1/nodes/{node}")["status"]["capacity"]["memory"]
    left = f"{int(memory.removesuffix('Ki')) // 1024 - 400}Mi"  # of what the node's own cgroup may use
    with field.configured(node, evictionHard={"memory.available": left}):
        # One that ends well when it is told to is called Succeeded by its kubelet, and stays remembered.
        pod = field.run(signals=f"{FAILING}; {HUNGRY}", nodeName=node)
        evicted = field.until(pod, lambda status: status["phase"] == "Failed", "the kubelet to evict the pod")
    assert evicted["status"]["reason"] == "Evicted"
    eventually(lambda: not field.entries(), "its entry to be taken back")
    field.end()
    assert field.outcome(field.run())[0] == "first"


def test_a_session_comes_back_to_a_node_that_has_removed_its_image_and_pulls_it_again(field: Field) -> None:
    pod = field.run()
    node = pod["spec"]["nodeName"]
    field.end()
    with field.configured(node, evictionHard={"nodefs.available": "99%"}, imageMinimumGCAge="1ms"):
        listing = ("ctr", "-n", "k8s.io", "images", "ls", "-q")
        eventually(
            lambda: f"{field.name}:1" not in field.nodes.on(node, *listing), "the kubelet to remove the image", 60
        )
    back = field.run()
    assert field.outcome(back) == ("reused", node)
    path = (
        f"/api/v1/namespaces/default/events?fieldSelector=reason=Pulling,involvedObject.uid={back['metadata']['uid']}"
    )
    eventually(lambda: field.stack.api.get(path)["items"], "the Event of its pull")
