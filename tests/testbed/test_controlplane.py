"""The control plane as its users see it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from testbed import ApiError, Binaries, ControlPlane, LocalError, StartError, apply
from testbed.ports import LOWEST, Ports, listens, shared_ports
from tests.waiting import eventually

from .helpers import lives

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a-node"}}
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "10"}
READY = {"capacity": ROOM, "allocatable": ROOM, "conditions": [{"type": "Ready", "status": "True"}]}


def pod(name: str, scheduler: str = "default-scheduler") -> dict[str, Any]:
    spec = {"schedulerName": scheduler, "containers": [{"name": "main", "image": "none"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def node_of(plane: ControlPlane, name: str) -> str | None:
    spec: dict[str, str] = plane.api().get(f"/api/v1/namespaces/default/pods/{name}")["spec"]
    return spec.get("nodeName")


def add_node(plane: ControlPlane) -> None:
    apply(plane, NODE)
    plane.api().patch("/api/v1/nodes/a-node/status", {"status": READY})


def test_its_scheduler_binds_a_pod(plane: ControlPlane) -> None:
    add_node(plane)
    apply(plane, pod("ordinary"))
    assert eventually(lambda: node_of(plane, "ordinary"), plane.logs_tail()) == "a-node"


def test_another_scheduler_with_its_own_configuration_binds_only_its_own_pods(
    plane: ControlPlane, tmp_path: Path
) -> None:
    add_node(plane)
    path = tmp_path / "scheduler.yaml"
    path.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\n"
        "kind: KubeSchedulerConfiguration\n"
        "profiles: [{schedulerName: second}]\n"
    )
    apply(plane, pod("seconds", "second"))
    second = plane.start_scheduler("second", path, verbosity=4)
    assert eventually(lambda: node_of(plane, "seconds"), plane.logs_tail()) == "a-node"
    assert '"default/seconds"' in second.log.read_text()
    assert plane.scheduler is not None
    assert '"default/seconds"' not in plane.scheduler.log.read_text()
    second.stop()
    assert not second.alive


def test_a_paused_scheduler_binds_nothing_until_it_is_resumed(plane: ControlPlane) -> None:
    add_node(plane)
    profiles = [{"schedulerName": "sleepy"}]
    sleepy = plane.start_scheduler("sleepy", {"profiles": profiles})
    sleepy.pause()
    apply(plane, [pod("waiting", "sleepy"), pod("meanwhile")])
    assert eventually(lambda: node_of(plane, "meanwhile"), plane.logs_tail()) == "a-node"
    assert sleepy.alive
    assert node_of(plane, "waiting") is None
    sleepy.resume()
    assert eventually(lambda: node_of(plane, "waiting"), plane.logs_tail()) == "a-node"
    assert sleepy.kill() == -9
    assert not sleepy.alive


def test_the_administrator_may_do_everything_with_the_official_client(plane: ControlPlane) -> None:
    configuration = client.Configuration()
    config.load_kube_config(str(plane.kubeconfig), client_configuration=configuration)
    with client.ApiClient(configuration) as connection:
        names = [item.metadata.name for item in client.CoreV1Api(connection).list_namespace().items]
    assert "kube-system" in names


@pytest.mark.parametrize("user", ["nobody", "reader", "system:serviceaccount:default:newcomer"])
def test_rbac_denies_what_nobody_granted(plane: ControlPlane, user: str) -> None:
    with pytest.raises(ApiError, match="nodes is forbidden") as refused:
        plane.api(user).get("/api/v1/nodes")
    assert refused.value.status == 403


def test_rbac_allows_a_group_and_a_service_account_that_appeared_later_what_was_granted(plane: ControlPlane) -> None:
    api = "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]
    role = {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": "lists"}, "rules": rules}
    subjects = [
        {"kind": "Group", "apiGroup": api, "name": "readers"},
        {"kind": "ServiceAccount", "namespace": "later", "name": "robot"},
    ]
    ref = {"kind": "ClusterRole", "apiGroup": api, "name": "lists"}
    binding = {"apiVersion": f"{api}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "lists"}}
    apply(plane, [role, {**binding, "subjects": subjects, "roleRef": ref}])
    for user in ("reader", "system:serviceaccount:later:robot"):
        allowed = plane.api(user)
        assert eventually(lambda allowed=allowed: _lists(allowed, "configmaps"), f"{user} may list")
        assert not _lists(allowed, "secrets")


def _lists(api: Any, what: str) -> bool:
    try:
        api.get(f"/api/v1/{what}")
    except ApiError:
        return False
    return True


def test_an_unknown_token_is_refused_and_an_unknown_user_is_named(plane: ControlPlane, tmp_path: Path) -> None:
    document = yaml.safe_load(plane.kubeconfig.read_text())
    document["users"][0]["user"]["token"] = "guessed"
    forged = tmp_path / "forged.yaml"
    forged.write_text(yaml.safe_dump(document))
    configuration = client.Configuration()
    config.load_kube_config(str(forged), client_configuration=configuration)
    with client.ApiClient(configuration) as connection, pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(connection).list_namespace()
    assert refused.value.status == 401
    with pytest.raises(LocalError, match="no user 'stranger': known are admin, nobody, reader"):
        plane.kubeconfig_for("stranger")


def test_an_account_that_was_deleted_and_made_again_gets_a_token_that_is_taken(plane: ControlPlane) -> None:
    user, path = "system:serviceaccount:default:short-lived", "/api/v1/namespaces/default/serviceaccounts/short-lived"
    first = plane.kubeconfig_for(user).read_text()
    uid = plane.api().get(path)["metadata"]["uid"]
    plane.api().delete(path)
    second = plane.kubeconfig_for(user).read_text()
    assert first != second
    review = {"spec": {"token": yaml.safe_load(second)["users"][0]["user"]["token"]}}
    answer = plane.api().post("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    assert answer["authenticated"]
    assert answer["user"]["uid"] == plane.api().get(path)["metadata"]["uid"] != uid


def test_a_restarted_api_server_keeps_its_address_and_its_data(plane: ControlPlane) -> None:
    apply(plane, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}})
    before, url = plane.apiserver.pid, plane.url
    plane.apiserver.restart()
    assert plane.apiserver.pid != before
    assert plane.url == url
    assert plane.api().get("/api/v1/namespaces/default/configmaps/kept")["data"] == {"a": "b"}


def test_a_further_program_runs_beside_it_with_its_own_environment_and_log(plane: ControlPlane, tmp_path: Path) -> None:
    port = plane.free_port()
    argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", tmp_path]
    web = plane.spawn("web", argv, ready_url=f"http://127.0.0.1:{port}/", env={"PYTHONUNBUFFERED": "1"})
    assert "Serving HTTP" in web.log.read_text()
    assert web.log in (plane.dir / "logs").iterdir()
    web.restart()
    assert listens(port)
    web.kill()
    assert eventually(lambda: not lives(web.pid) and not listens(port), "its port is free again")
    assert "--- web (" in plane.logs_tail()


def test_a_program_that_ends_at_once_is_told_with_the_end_of_its_log(plane: ControlPlane) -> None:
    complaint = "import sys; sys.exit('no such flag')"
    with pytest.raises(StartError, match=r"(?s)broken ended with code 1 before it was ready.*no such flag"):
        plane.spawn("broken", [sys.executable, "-c", complaint], ready_url=f"http://127.0.0.1:{LOWEST - 1}/")
    with pytest.raises(LocalError, match="No such file"):
        plane.spawn("absent", ["/no/such/program"])


def test_a_component_that_fails_to_start_fails_the_start_with_the_end_of_its_log(binaries: Binaries) -> None:
    with pytest.raises(StartError, match=r"(?s)kube-apiserver ended with code 1 .*unknown flag: --no-such-flag"):
        ControlPlane.start(binaries=binaries, apiserver_flags={"no-such-flag": "1"})


def test_a_directory_that_was_given_is_kept_and_taken_up_again(binaries: Binaries, tmp_path: Path) -> None:
    where = tmp_path / "cluster"
    kept = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}}
    with ControlPlane.start(binaries=binaries, directory=where, scheduler=False) as first:
        apply(first, kept)
    with ControlPlane.start(binaries=binaries, directory=where, scheduler=False) as second:
        assert second.scheduler is None
        assert second.api().get("/api/v1/namespaces/default/configmaps/kept")["metadata"]["name"] == "kept"
    assert (where / "logs" / "etcd.log").exists()


class _FirstOneIsTaken(Ports):
    """Hands out, the first time, a port that another program listens on."""

    def __init__(self, taken: int) -> None:
        self._taken: int | None = taken

    def reserve(self) -> int:
        taken, self._taken = self._taken, None
        return taken or shared_ports().reserve()

    def release(self, port: int) -> None:
        shared_ports().release(port)


def test_a_port_that_was_taken_in_the_meantime_costs_a_second_start_only(
    plane: ControlPlane, binaries: Binaries
) -> None:
    taken = int(plane.etcd.url.rpartition(":")[2])
    with ControlPlane.start(binaries=binaries, scheduler=False, ports=_FirstOneIsTaken(taken)) as second:
        assert second.etcd.url != plane.etcd.url
        assert second.etcd.alive
