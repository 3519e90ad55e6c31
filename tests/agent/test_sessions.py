"""Sessions on simulated nodes, placed by the real scheduler, seen through the real API server."""

from collections.abc import Callable
from typing import Any

import pytest

from lastnode import contract
from lastnode.kube.store import ObjectKey
from testbed.agent import names
from testbed.sessions import Object, Session, SessionTimeout
from testbed.workloads import agent_runtime, sandbox_for
from tests.agent.conftest import NODES, Cluster
from tests.waiting import eventually

PODS = "/api/v1/namespaces/default/pods"


def on(node: str) -> Callable[[Object], Object]:
    return lambda spec: {**spec, "nodeSelector": {contract.HOSTNAME_LABEL: node}}


def session(cluster: Cluster, annotations: dict[str, str] | None = None, **how: Any) -> Object:
    name = cluster.unique("w")
    return sandbox_for(agent_runtime(name, image=f"img/{name}:1", pod_annotations=annotations), "s", **how)


def condition(pod: Object, kind: str) -> Object:
    return next(c for c in pod["status"]["conditions"] if c["type"] == kind)


def test_nodes_are_ready_and_the_scheduler_uses_them(cluster: Cluster) -> None:
    nodes = {node["metadata"]["name"]: node for node in cluster.api.get("/api/v1/nodes")["items"]}
    assert {f"node-{number}" for number in range(NODES)} <= nodes.keys()
    assert condition(nodes["node-0"], "Ready")["status"] == "True"
    assert nodes["node-0"]["metadata"]["labels"][contract.HOSTNAME_LABEL] == "node-0"
    keys = [cluster.sessions.start(session(cluster)) for _ in range(NODES)]
    placed = cluster.sessions.wait_ready(keys)
    assert {state.node for state in placed.values()} <= nodes.keys()


def test_a_ready_pod_looks_as_a_kubelet_would_leave_it(cluster: Cluster) -> None:
    sandbox = session(cluster)
    key = cluster.sessions.start(sandbox)
    state = cluster.sessions.wait_ready([key])[key]
    pod = cluster.api.get(f"{PODS}/{key.name}")
    status = pod["status"]
    assert status["phase"] == "Running"
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        assert condition(pod, kind)["status"] == "True"
    assert [(c["ready"], "running" in c["state"]) for c in status["containerStatuses"]] == [(True, True)]
    assert status["podIP"]
    assert status["startTime"]
    node = cluster.api.get(f"/api/v1/nodes/{state.node}")
    assert status["hostIP"] in [address["address"] for address in node["status"]["addresses"]]


def test_the_pod_has_its_sandboxs_labels_and_owner(cluster: Cluster) -> None:
    sandbox = session(cluster)
    key = cluster.sessions.start(sandbox)
    cluster.sessions.wait_ready([key])
    metadata = cluster.api.get(f"{PODS}/{key.name}")["metadata"]
    assert metadata["labels"].items() >= sandbox["spec"]["podTemplate"]["metadata"]["labels"].items()
    (owner,) = metadata["ownerReferences"]
    assert owner == {
        "apiVersion": "agents.x-k8s.io/v1beta1",  # the preferred one, whichever the Sandbox was created with
        "kind": "Sandbox",
        "name": key.name,
        "uid": cluster.sessions.read(sandbox)["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }

    def mirrored() -> bool:
        return bool(condition(cluster.sessions.read(sandbox), "Ready")["status"] == "True")

    eventually(lambda: "status" in cluster.sessions.read(sandbox) and mirrored(), "the Sandbox is Ready too")


def test_the_second_session_on_a_node_finds_the_image(cluster: Cluster) -> None:
    workload = agent_runtime(cluster.unique("w"), image=f"img/{cluster.unique('i')}")
    first = cluster.sessions.start(sandbox_for(workload, "first", transform=on("node-1")))
    cold = cluster.sessions.wait_ready([first])[first]
    image = workload["spec"]["podTemplate"]["spec"]["containers"][0]["image"] + ":latest"

    def reported() -> bool:
        images = cluster.api.get("/api/v1/nodes/node-1")["status"].get("images", [])
        return {"names": [image], "sizeBytes": cold.pulled_bytes} in images

    eventually(reported, "the node reports the image")
    second = cluster.sessions.start(sandbox_for(workload, "second", transform=on("node-1")))
    other = cluster.sessions.start(sandbox_for(workload, "other", transform=on("node-2")))
    states = cluster.sessions.wait_ready([second, other])
    assert cold.pulled_bytes == states[other].pulled_bytes
    assert states[second].pulled_bytes == 0
    assert (states[second].model_seconds or 0) < (cold.model_seconds or 0) / 2


def test_ending_a_session_removes_its_pod(cluster: Cluster) -> None:
    sandbox = session(cluster)
    key = cluster.sessions.start(sandbox)
    cluster.sessions.wait_ready([key])
    cluster.sessions.delete(sandbox)
    cluster.sessions.wait_gone([key])


def test_a_session_that_is_ended_before_it_was_scheduled_leaves_nothing(cluster: Cluster) -> None:
    sandbox = session(cluster, transform=on("no-such-node"))
    key = cluster.sessions.start(sandbox)
    cluster.sessions.wait_until(lambda: cluster.sessions.get(key) is not None, 10, "the pod is there")
    cluster.sessions.delete(sandbox)
    cluster.sessions.wait_gone([key])


def test_a_pod_deleted_under_its_sandbox_is_made_anew(cluster: Cluster) -> None:
    key = cluster.sessions.start(session(cluster))
    before = cluster.sessions.wait_ready([key])[key]
    cluster.api.delete(f"{PODS}/{key.name}")

    def anew() -> bool:
        state = cluster.sessions.get(key)
        return state is not None and state.uid != before.uid and state.ready

    cluster.sessions.wait_until(anew, 20, "another pod is Ready")


def test_a_refused_pod_is_told_in_the_sandbox(cluster: Cluster) -> None:
    sandbox = session(cluster, transform=lambda spec: {**spec, "containers": []})
    cluster.sessions.start(sandbox)

    def told() -> bool:
        conditions = cluster.sessions.read(sandbox).get("status", {}).get("conditions", [])
        return any(c["reason"] == "ReconcilerError" and "containers" in c["message"] for c in conditions)

    eventually(told, "the Sandbox says why it has no pod")


def test_a_start_that_fails_never_becomes_ready(cluster: Cluster) -> None:
    key = cluster.sessions.start(session(cluster, {names.FAIL: "start"}))
    with pytest.raises(SessionTimeout, match="Failed on node-"):
        cluster.sessions.wait_ready([key], 20)


def test_an_image_that_cannot_be_pulled_keeps_the_pod_pending(cluster: Cluster) -> None:
    key = cluster.sessions.start(session(cluster, {names.FAIL: "pull"}))

    def reason() -> str:
        pod = cluster.api.get(f"{PODS}/{key.name}")
        statuses = pod["status"].get("containerStatuses", [])
        return "".join(status["state"]["waiting"]["reason"] for status in statuses)

    eventually(lambda: cluster.sessions.get(key) and reason() == "ErrImagePull", "the pod waits for its image")
    state = cluster.sessions.get(key)
    assert state is not None
    assert (state.phase, state.ready) == ("Pending", False)


@pytest.mark.parametrize(("annotation", "phase"), [(names.CRASH_AFTER, "Failed"), (names.UNREADY_AFTER, "Running")])
def test_a_session_can_break_after_it_was_ready(cluster: Cluster, annotation: str, phase: str) -> None:
    key = cluster.sessions.start(session(cluster, {annotation: "0.3", names.READY_AFTER: "0"}))
    state = cluster.sessions.wait_ready([key])[key]

    def broken() -> Session | None:
        now = cluster.sessions.get(key)
        return now if now and not now.ready else None

    now = eventually(broken, "the session is not Ready any more")
    assert (now.phase, now.uid) == (phase, state.uid)


def test_readiness_can_be_set_and_an_annotation_that_makes_no_sense_fails_the_pod(cluster: Cluster) -> None:
    quick = cluster.sessions.start(session(cluster, {names.READY_AFTER: "0.125", names.IMAGE_SIZE: "123"}))
    odd = cluster.sessions.start(session(cluster, {names.READY_AFTER: "later"}))
    state = cluster.sessions.wait_ready([quick])[quick]
    assert (state.model_seconds, state.pulled_bytes) == (0.125, 123)
    with pytest.raises(SessionTimeout, match="Failed on node-"):
        cluster.sessions.wait_ready([odd])
    status = cluster.api.get(f"{PODS}/{odd.name}")["status"]
    assert status["reason"] == "InvalidAnnotation"
    assert names.READY_AFTER in status["message"]


def test_waiting_in_vain_says_what_the_session_was_instead(cluster: Cluster) -> None:
    key = cluster.sessions.start(session(cluster, transform=on("no-such-node")))
    with pytest.raises(SessionTimeout, match=r"Pending on no node: 0/\d+ nodes are available"):
        cluster.sessions.wait_ready([key], 1.5)
    with pytest.raises(SessionTimeout, match="no pod"):
        cluster.sessions.wait_ready([ObjectKey("default", "never-asked-for")], 0.1)
