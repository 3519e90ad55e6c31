"""The commands of docs/kinds.md, as they are printed, on the kinds that it names."""

from __future__ import annotations

import pytest

from lastnode.contract import LAST_NODE, LASTNODE_PREFIX, SESSION_LABEL, WORKLOAD_NAME_LABEL
from testbed.sandboxes import sandbox
from testbed.stack import Stack, is_ready
from testbed.workloads import SANDBOX_VERSION, WORKLOAD_VERSION, Object, agent_runtime, container_of
from tests.pages.loaded import make_least_liked
from tests.pages.printed import Shell, section
from tests.waiting import eventually

CONTAINER = container_of("c", "c:1", "400m", "64Mi")


@pytest.fixture
def shell(stack: Stack, namespace: str) -> Shell:
    return Shell(stack, namespace)


@pytest.fixture
def cluster(stack: Stack, namespace: str) -> Cluster:
    return Cluster(stack, namespace)


class Cluster:
    """What somebody else than a page makes in a namespace of this cluster."""

    def __init__(self, stack: Stack, namespace: str) -> None:
        self._api = stack.api
        self._namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"

    def make(self, api: str, plural: str, obj: Object, owner: Object | None = None) -> Object:
        """Create an object, controlled by its owner."""
        if owner is not None:
            reference = {"controller": True, "apiVersion": owner["apiVersion"], "kind": owner["kind"]}
            reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
            obj["metadata"]["ownerReferences"] = [reference]
        made: Object = self._api.post(f"{api}/namespaces/{self._namespace}/{plural}", obj)
        return made

    def session(self, owner: Object | None = None, **labels: str) -> str:
        """Make a pod with these labels; its node, once it is Ready."""
        metadata = {"generateName": "session-", "labels": labels}
        pod = self.make("/api/v1", "pods", {"metadata": metadata, "spec": {"containers": [CONTAINER]}}, owner)
        return self.node_of(pod["metadata"]["name"])

    def node_of(self, name: str) -> str:
        """The node of a pod, once it is Ready."""

        def node() -> str | None:
            pods = self._api.get(f"{self._pods}?fieldSelector=metadata.name={name}")["items"]
            return next((pod["spec"]["nodeName"] for pod in pods if is_ready(pod)), None)

        return eventually(node, f"the pod {name} to be Ready")


def test_a_sandbox_is_suspended_and_comes_back_as_the_page_says(
    stack: Stack, cluster: Cluster, shell: Shell, namespace: str
) -> None:
    cluster.make(f"/apis/{SANDBOX_VERSION}", "sandboxes", sandbox("box", namespace=namespace))
    node = cluster.node_of("box")
    opt_in, suspend, gone, resume, *waits, explain = section("Sandbox")
    shell.run(opt_in, "box")
    path = f"/apis/{SANDBOX_VERSION}/namespaces/{namespace}/sandboxes/box"
    eventually(lambda: node == stack.api.get(path)["metadata"]["annotations"].get(f"{LASTNODE_PREFIX}/{LAST_NODE}"),
               "the running session to be written down")  # fmt: skip
    shell.run(suspend, "box")
    shell.run(gone, "box")
    make_least_liked(stack, namespace, node)
    for line in (resume, *waits):
        shell.run(line, "box")
    assert cluster.node_of("box") == node
    said = f"{node}: reused"
    eventually(lambda: said in shell.run(explain, "box"), f"the page's command to say {said!r}")


def test_an_agent_runtime_shows_its_node_as_the_page_says(cluster: Cluster, shell: Shell, namespace: str) -> None:
    runtime = agent_runtime("a", namespace=namespace)
    cluster.make(f"/apis/{WORKLOAD_VERSION}", "agentruntimes", runtime)
    opt_in, last_node, show = section("AgentRuntime")
    shell.run(opt_in, "a")
    node = cluster.session(**{SESSION_LABEL: "1", WORKLOAD_NAME_LABEL: "a"})
    eventually(lambda: shell.run(last_node, "a") == node, "the page's command to print the node")
    assert node in shell.run(show, "a")


def test_a_cron_job_shows_its_node_as_the_page_says(cluster: Cluster, shell: Shell) -> None:
    job_spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}}
    schedule = {"schedule": "@yearly", "jobTemplate": {"spec": job_spec}}
    cron_job = cluster.make("/apis/batch/v1", "cronjobs", {"metadata": {"name": "nightly"}, "spec": schedule})
    _install, opt_in, show = section("other")
    shell.run(opt_in, "nightly")
    job = cluster.make("/apis/batch/v1", "jobs", {"metadata": {"name": "nightly-1"}, "spec": job_spec}, cron_job)
    node = cluster.session(job, **{"batch.kubernetes.io/job-name": "nightly-1"})
    eventually(lambda: node in shell.run(show, "nightly"), "the page's command to show the node")
