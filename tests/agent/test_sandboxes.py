"""Sandboxes as agent-sandbox treats them: suspended, resumed, pooled, adopted, and moved from version to version."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lastnode.contract import SANDBOX_HASH_LABEL, WARM_POOL_LABEL
from lastnode.kube.store import ObjectKey
from testbed import ControlPlane, sandboxversions
from testbed.agent import names
from testbed.agent.sandboxes import name_hash
from testbed.apply import apply
from testbed.errors import ApiError
from testbed.extras import start_agent
from testbed.paths import CRDS
from testbed.sandboxes import adopted, from_template, sandbox, template
from testbed.sandboxversions import MIGRATED, VERSIONS
from testbed.sessions import Object, Session, Sessions
from tests.agent.conftest import FLAGS, Cluster
from tests.waiting import eventually

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def bare() -> Iterator[ControlPlane]:
    """A cluster without any CRD, whose agent places no pods: they say where they run."""
    with ControlPlane.start() as plane:
        start_agent(plane, 2, *FLAGS)
        yield plane


def ready(sessions: Sessions, key: ObjectKey) -> Session:
    return sessions.wait_ready([key])[key]


def labels_of(cluster: Cluster, key: ObjectKey) -> dict[str, str]:
    """The pod's, but for those of its node's place, which binding puts there."""
    found: dict[str, str] = cluster.api.get(f"{PODS}/{key.name}")["metadata"]["labels"]
    return {name: value for name, value in found.items() if "kubernetes.io/" not in name}


def suspend(sessions: Sessions, made: Object) -> None:
    sessions.suspend(made)
    sessions.wait_gone([ObjectKey("default", made["metadata"]["name"])])


def said(sessions: Sessions, made: Object, *wanted: object) -> bool:
    """Whether its status says this: nodeName, Ready, Suspended."""
    status = sessions.read(made).get("status", {})
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return (status.get("nodeName"), conditions.get("Ready"), conditions.get("Suspended")) == wanted


def test_a_suspended_sandbox_has_no_pod_and_a_resumed_one_a_new_pod_of_the_same_name_and_owner(
    cluster: Cluster,
) -> None:
    sessions = cluster.sessions
    made = sessions.create(sandbox(cluster.unique("s")))
    key = ObjectKey("default", made["metadata"]["name"])
    first = ready(sessions, key)
    eventually(lambda: said(sessions, made, first.node, "True", "False"), "the Sandbox says where its pod runs")
    suspend(sessions, made)
    eventually(lambda: said(sessions, made, None, "False", "True"), "the Sandbox says that it is suspended")
    second = ready(sessions, sessions.resume(made))
    assert second.uid != first.uid
    pod = cluster.api.get(f"{PODS}/{key.name}")
    assert [owner["uid"] for owner in pod["metadata"]["ownerReferences"]] == [made["metadata"]["uid"]]
    eventually(lambda: said(sessions, made, second.node, "True", "False"), "the Sandbox says where it runs now")


def test_a_sandbox_made_suspended_gets_its_first_pod_when_it_is_resumed(cluster: Cluster) -> None:
    made = cluster.sessions.create(sandbox(cluster.unique("s"), suspended=True))
    eventually(lambda: said(cluster.sessions, made, None, "False", "True"), "the Sandbox says that it is suspended")
    assert cluster.sessions.get(ObjectKey("default", made["metadata"]["name"])) is None
    ready(cluster.sessions, cluster.sessions.resume(made))


def test_every_pod_has_the_hash_of_its_sandboxs_name_and_no_template_can_set_it(cluster: Cluster) -> None:
    wanted = sandbox(cluster.unique("s"))
    forged = {"app": "mine", SANDBOX_HASH_LABEL: "0", WARM_POOL_LABEL: "0", "extensions.agents.x-k8s.io/x": "0"}
    wanted["spec"]["podTemplate"]["metadata"]["labels"] = forged
    key = cluster.sessions.start(wanted)
    ready(cluster.sessions, key)
    assert labels_of(cluster, key) == {"app": "mine", SANDBOX_HASH_LABEL: name_hash(key.name)}


@pytest.mark.parametrize(("name", "value"), [("", "811c9dc5"), ("a", "e40c292c"), ("foobar", "bf9cf968")])
def test_the_hash_is_fnv_1a(name: str, value: str) -> None:
    assert name_hash(name) == value  # of the reference's own test vectors


def test_a_pooled_pod_that_a_claim_adopts_goes_on_running_without_the_pools_label(cluster: Cluster) -> None:
    origin = template(cluster.unique("t"))
    pooled = cluster.sessions.create(from_template(origin, cluster.unique("pool"), pool="p"))
    key = ObjectKey("default", pooled["metadata"]["name"])
    before = ready(cluster.sessions, key)
    of_template = {SANDBOX_HASH_LABEL: name_hash(key.name), names.TEMPLATE_HASH: name_hash(origin["metadata"]["name"])}
    assert labels_of(cluster, key) == of_template | {WARM_POOL_LABEL: name_hash("p")}
    path = f"/apis/{pooled['apiVersion']}/namespaces/default/sandboxes/{key.name}"
    cluster.api.patch(path, adopted("c"))
    eventually(lambda: labels_of(cluster, key) == of_template, "the pod is the pool's no longer")
    after = cluster.sessions.get(key)
    assert after is not None
    assert (after.uid, after.ready) == (before.uid, True)


def test_a_template_is_served_and_what_a_claim_gets_from_it_without_a_pool_is_no_pools(cluster: Cluster) -> None:
    apply(cluster.plane, CRDS / "sandbox-templates.yaml")
    origin = cluster.sessions.create(template(cluster.unique("t"), sticky=True))
    cold = cluster.sessions.create(from_template(origin, cluster.unique("claim")))
    key = ObjectKey("default", cold["metadata"]["name"])
    ready(cluster.sessions, key)
    assert labels_of(cluster, key).keys() == {SANDBOX_HASH_LABEL, names.TEMPLATE_HASH}


def test_a_cluster_moves_from_v1alpha1_to_both_and_to_v1beta1_and_sandboxes_are_suspended_in_each(
    bare: ControlPlane,
) -> None:
    api = bare.api()
    sandboxversions.serve(api, "v1alpha1")
    with Sessions.connect(bare.kubeconfig) as sessions:
        running = sessions.create(sandbox("running", version="agents.x-k8s.io/v1alpha1"))
        asleep = sessions.create(sandbox("asleep", version="agents.x-k8s.io/v1alpha1"))
        keys = [ObjectKey("default", each["metadata"]["name"]) for each in (running, asleep)]
        pods = sessions.wait_ready(keys)
        suspend(sessions, asleep)
        assert "nodeName" not in sessions.read(running).get("status", {})

        sandboxversions.serve(api, *VERSIONS)
        ready(sessions, sessions.resume(asleep))
        suspend(sessions, asleep)

        sandboxversions.serve(api, "v1beta1")
        with pytest.raises(ApiError):
            api.get("/apis/agents.x-k8s.io/v1alpha1/sandboxes")
        newer = {"apiVersion": "agents.x-k8s.io/v1beta1"}
        node = pods[keys[0]].node
        eventually(lambda: said(sessions, running | newer, node, "True", "False"), "the newer version's status")
        for before, mode in ((running, "Running"), (asleep, "Suspended")):
            after = sessions.read(before | newer)
            assert after["metadata"]["uid"] == before["metadata"]["uid"]
            assert MIGRATED in after["metadata"]["annotations"]
            assert after["spec"]["operatingMode"] == mode
        ready(sessions, sessions.resume(asleep | newer))
        unchanged = sessions.get(keys[0])
        assert unchanged is not None
        assert (unchanged.uid, unchanged.ready) == (pods[keys[0]].uid, True)
        ready(sessions, sessions.start(sandbox("new")))


def test_the_newer_version_is_not_given_up(bare: ControlPlane) -> None:
    sandboxversions.serve(bare.api(), "v1beta1")
    with pytest.raises(ApiError, match="storedVersions"):
        sandboxversions.serve(bare.api(), "v1alpha1")
