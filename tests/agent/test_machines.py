"""Machines come, go and fail; programs are killed and started again; the CRDs come in variants."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastnode import contract
from testbed import ControlPlane
from testbed.agent import names
from testbed.agent.nodes import NOT_READY_TAINT
from testbed.extras import apply_crds, start_agent
from testbed.paths import REPOSITORY
from testbed.sessions import Object, Sessions
from testbed.workloads import agent_runtime, code_interpreter, sandbox_for
from tests.agent.conftest import Cluster
from tests.agent.test_sessions import PODS, on, session
from tests.waiting import eventually


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    """A node of this test's own, made by hand with nothing but labels: the agent has to take it over."""
    name = cluster.unique("extra")
    labels = {names.KUBELET_LABEL: names.KUBELET_SIMULATED, contract.HOSTNAME_LABEL: name}
    add_node(cluster, name, labels)
    eventually(lambda: ready(cluster, name) == "True", "the agent registers the node")
    yield name
    if name in [n["metadata"]["name"] for n in cluster.api.get("/api/v1/nodes")["items"]]:
        cluster.api.delete(f"/api/v1/nodes/{name}")


def add_node(cluster: Cluster, name: str, labels: dict[str, str]) -> Object:
    made: Object = cluster.api.post("/api/v1/nodes", {"kind": "Node", "metadata": {"name": name, "labels": labels}})
    return made


def ready(cluster: Cluster, name: str) -> str:
    conditions = cluster.api.get(f"/api/v1/nodes/{name}")["status"].get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == "Ready"), "")


def set_ready(cluster: Cluster, name: str, status: str) -> None:
    condition = {"type": "Ready", "status": status, "reason": "Test", "message": "", "lastTransitionTime": None}
    body = {"status": {"conditions": [condition]}}
    cluster.api.patch(f"/api/v1/nodes/{name}/status", body, "application/strategic-merge-patch+json")


def test_a_deleted_machine_takes_its_pods_and_images_along(cluster: Cluster, node: str) -> None:
    workload = agent_runtime(cluster.unique("w"), image=cluster.unique("img"))
    bare: Object = {
        "metadata": {"name": cluster.unique("bare"), "labels": {contract.SESSION_LABEL: "bare"}},
        "spec": {**workload["spec"]["podTemplate"]["spec"], "nodeName": node},
    }
    cluster.api.post(PODS, bare)
    soft = sandbox_for(workload, "s", transform=lambda spec: {**spec, "nodeName": node})
    key = cluster.sessions.start(sandbox_for(workload, "t", transform=on(node)))
    first = cluster.sessions.start(soft)
    before = cluster.sessions.wait_ready([key, first])[key]
    cluster.sessions.delete(soft)
    cluster.api.delete(f"/api/v1/nodes/{node}")
    bare_key = key._replace(name=bare["metadata"]["name"])
    cluster.sessions.wait_gone([bare_key, first])

    labels = {names.KUBELET_LABEL: names.KUBELET_SIMULATED, contract.HOSTNAME_LABEL: node}
    add_node(cluster, node, labels)
    cluster.sessions.wait_until(
        lambda: (now := cluster.sessions.get(key)) is not None and now.uid != before.uid and now.ready,
        20,
        "the Sandbox's next pod runs on the new machine",
    )
    now = cluster.sessions.get(key)
    assert now is not None
    assert (now.pulled_bytes or 0) > 0


def test_a_machine_that_is_not_ready_gets_no_pods_and_starts_none(cluster: Cluster, node: str) -> None:
    set_ready(cluster, node, "False")
    taint = {key: NOT_READY_TAINT[key] for key in ("key", "effect")}

    def taints() -> list[Object]:
        return cluster.api.get(f"/api/v1/nodes/{node}")["spec"].get("taints", [])  # type: ignore[no-any-return]

    eventually(lambda: taint in taints(), "the scheduler is told")
    waiting = cluster.sessions.start(session(cluster, transform=on(node)))
    bound = cluster.sessions.start(session(cluster, transform=lambda spec: {**spec, "nodeName": node}))
    elsewhere = cluster.sessions.start(session(cluster))
    assert cluster.sessions.wait_ready([elsewhere])[elsewhere].node != node
    for key in (waiting, bound):
        state = cluster.sessions.get(key)
        assert state is not None
        assert not state.ready
    set_ready(cluster, node, "True")
    assert {state.node for state in cluster.sessions.wait_ready([waiting, bound]).values()} == {node}
    eventually(lambda: not taints(), "the taint is gone")


def test_other_peoples_nodes_are_left_alone(cluster: Cluster) -> None:
    name = cluster.unique("foreign")
    made = add_node(cluster, name, {contract.HOSTNAME_LABEL: name})
    pinned = cluster.sessions.start(session(cluster, transform=lambda spec: {**spec, "nodeName": name}))
    own = cluster.sessions.start(session(cluster))
    cluster.sessions.wait_ready([own])
    state = cluster.sessions.get(pinned)
    assert state is not None
    assert (state.phase, state.ready) == ("Pending", False)
    now = cluster.api.get(f"/api/v1/nodes/{name}")
    assert now["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    cluster.api.delete(f"/api/v1/nodes/{name}")


def test_a_killed_agent_goes_on_where_it_was(cluster: Cluster) -> None:
    workload = agent_runtime(cluster.unique("w"), image=cluster.unique("img"))
    running = cluster.sessions.start(sandbox_for(workload, "running", transform=on("node-3")))
    ending = sandbox_for(workload, "ending")
    started = [running, cluster.sessions.start(ending)]
    before = cluster.sessions.wait_ready(started)[running]
    eventually(lambda: cluster.api.get("/api/v1/nodes/node-3")["status"].get("images"), "node-3 reports its images")
    cluster.agent.kill()
    cluster.sessions.delete(ending)
    late = cluster.sessions.start(sandbox_for(workload, "late", transform=on("node-3")))
    nodes = {n["metadata"]["name"]: n["metadata"]["uid"] for n in cluster.api.get("/api/v1/nodes")["items"]}
    cluster.agent.start()
    assert cluster.sessions.wait_ready([late])[late].pulled_bytes == 0
    cluster.sessions.wait_gone(started[1:])
    now = cluster.sessions.get(running)
    assert now is not None
    assert (now.uid, now.ready) == (before.uid, True)
    assert {n["metadata"]["name"]: n["metadata"]["uid"] for n in cluster.api.get("/api/v1/nodes")["items"]} == nodes


def test_sigterm_ends_the_agent_with_zero(cluster: Cluster) -> None:
    assert cluster.agent.stop() == 0
    cluster.agent.start()


def test_sessions_outlive_a_restart_of_the_api_server(cluster: Cluster) -> None:
    key = cluster.sessions.start(session(cluster))
    before = cluster.sessions.wait_ready([key])[key]
    cluster.plane.apiserver.restart()
    after = cluster.sessions.start(session(cluster))
    cluster.sessions.wait_ready([after])
    now = cluster.sessions.get(key)
    assert now is not None
    assert (now.uid, now.ready) == (before.uid, True)


def test_the_field_is_kept_with_one_schema_and_silently_dropped_with_the_other(cluster: Cluster) -> None:
    workloads = [agent_runtime, code_interpreter]
    for build in workloads:
        kept = cluster.sessions.create(build(cluster.unique("kept"), sticky=True))
        assert kept["spec"]["nodeStickiness"] == {"enabled": True}
    apply_crds(cluster.plane, stickiness=False)
    try:

        def dropped(build: object) -> bool:
            stored = cluster.sessions.create(build(cluster.unique("dropped"), sticky=True))  # type: ignore[operator]
            return "nodeStickiness" not in stored["spec"]

        for build in workloads:
            eventually(lambda build=build: dropped(build), "the API server uses the other schema")  # type: ignore[misc]
    finally:
        apply_crds(cluster.plane)


def test_sandboxes_of_a_cluster_with_v1alpha1_alone_that_comes_after_the_agent() -> None:
    with ControlPlane.start(scheduler=False) as plane:
        agent = start_agent(plane, 2, "--image-size", "1000", "--hostname-suffix", ".example", "--node-prefix", "m")
        apply_crds(plane, sandbox=["v1alpha1"])
        with Sessions.connect(plane.kubeconfig) as sessions:
            sandbox = sandbox_for(agent_runtime("w"), "s", transform=lambda spec: {**spec, "nodeName": "m1"},
                                  version="agents.x-k8s.io/v1alpha1")  # fmt: skip
            key = sessions.start(sandbox)
            sessions.wait_ready([key])
            pod = plane.api().get(f"{PODS}/{key.name}")
            assert pod["metadata"]["ownerReferences"][0]["apiVersion"] == "agents.x-k8s.io/v1alpha1"
            labels = plane.api().get("/api/v1/nodes/m1")["metadata"]["labels"]
            assert labels[contract.HOSTNAME_LABEL] == "m1.example"
            sessions.delete(sandbox)
            sessions.wait_gone([key])
        print(agent.tail())


def test_without_a_kubeconfig_the_agent_says_so_in_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "testbed.agent", "--kubeconfig", str(tmp_path / "none")]
    ended = subprocess.run(argv, cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "none" in ended.stderr


def test_an_agent_without_an_api_server_keeps_trying_and_can_be_stopped(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u, user: {}}], "
        "contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}"
    )
    argv = [sys.executable, "-m", "testbed.agent", "--kubeconfig", str(kubeconfig), "--nodes", "1"]
    log = tmp_path / "log"
    with log.open("w") as output, subprocess.Popen(argv, cwd=REPOSITORY, stderr=output) as agent:
        try:
            eventually(lambda: "attempt 3" in log.read_text(), "it says that it tries again")
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(10) == 0
        finally:
            agent.kill()
