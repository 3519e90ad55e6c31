"""A policy in the cluster refuses pods with node affinity: sessions start all the same, without their preference."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from lastnode.contract import WORKLOAD_NAME_LABEL
from lastnode.injector import prefer_node
from lastnode.preference import PREFERRED
from testbed.apply import apply
from testbed.errors import ApiError
from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import collection, create, entry, make_nodes, pod_spec, sandbox, session_pod, sticky_runtime
from tests.waiting import eventually

NODE = "node-0"
POLICED, FREE = "policed", "free"
REFUSED = 422
# As controller-runtime's and client-go's queues have it.
FIRST_PAUSE_SECONDS = 0.005
SOON_SECONDS = 2.0


def policy(namespace: str) -> list[Object]:
    """No pod of that namespace may prefer nodes."""
    preferred = f"object.spec.?affinity.?nodeAffinity.?{PREFERRED}.hasValue()"
    metadata: Any = {"metadata": {"name": f"no-node-affinity-{namespace}"}}
    version = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    where = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": f"!{preferred}"}]}
    binding = {"policyName": metadata["metadata"]["name"], "validationActions": ["Deny"]}
    return [
        {**version, "kind": "ValidatingAdmissionPolicy", **metadata, "spec": spec},
        {**version, "kind": "ValidatingAdmissionPolicyBinding", **metadata,
         "spec": binding | {"matchResources": {"namespaceSelector": where}}},
    ]  # fmt: skip


class Cluster:
    """Two namespaces with a workload "w" each, one of them policed; the webhook is asked about both."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        node = make_nodes(stack, [NODE])[NODE]
        for namespace in (POLICED, FREE):
            stack.api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
            create(stack, sticky_runtime("w", namespace, entry(node)))
        apply(stack.cp, policy(POLICED))
        eventually(self._enforced, "the policy to be enforced")
        stack.start_webhook(only=[FREE, POLICED])
        eventually(lambda: terms(self.create(self.pod(FREE, "first"), dry_run=True)), "pods to get their preference")

    def _enforced(self) -> bool:
        try:
            self.create(session_pod(POLICED, spec=prefer_node(pod_spec(), NODE)), dry_run=True)
        except ApiError as error:
            return error.status == REFUSED
        return False

    def pod(self, namespace: str, name: str) -> Object:
        """Of a Sandbox of its own, which there is then."""
        owner = create(self.stack, sandbox(name, namespace, {WORKLOAD_NAME_LABEL: "w"}))
        return session_pod(namespace, name, owner=owner)

    def create(self, pod: Object, dry_run: bool = False) -> Object:
        made: Object = self.stack.api.post(collection(pod) + ("?dryRun=All" if dry_run else ""), pod)
        return made

    def controlled(self, pod: Object) -> tuple[Object, int]:
        """As a controller creates it: again and again, ever later. Also how often that was refused."""
        until, pause, refused = time.monotonic() + SOON_SECONDS, FIRST_PAUSE_SECONDS, 0
        while True:
            try:
                return self.create(pod), refused
            except ApiError as error:
                if error.status != REFUSED or time.monotonic() > until:
                    raise
            refused += 1
            time.sleep(pause)
            pause *= 2

    def held_back(self) -> float:
        return self.stack.metrics(self.stack.webhook_url)['lastnode_injections_total{result="held_back"}']


def terms(pod: Object) -> Any:
    return pod["spec"].get("affinity")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Stack.start() as stack:
        yield Cluster(stack)


@pytest.fixture
def stack(cluster: Cluster) -> Stack:
    return cluster.stack


def test_a_session_that_is_refused_starts_at_once_without_its_preference_and_soon_none_is_refused(
    cluster: Cluster,
) -> None:
    before = cluster.held_back()
    made = [cluster.controlled(cluster.pod(POLICED, f"session-{number}")) for number in range(4)]
    assert [terms(pod) for pod, _ in made] == [None] * 4
    assert [refused for _, refused in made] == [1, 1, 0, 0]
    assert cluster.held_back() == before + 4
    assert terms(cluster.create(cluster.pod(FREE, "other"))) == prefer_node(pod_spec(), NODE)["affinity"]


def test_dry_runs_do_not_count(cluster: Cluster) -> None:
    pod = cluster.pod(FREE, "tried")
    for _ in range(3):
        assert terms(cluster.create(pod, dry_run=True))
    assert terms(cluster.create(pod))


def test_a_namespace_s_label_switches_it_off_for_good(cluster: Cluster) -> None:
    """The webhook is not even asked, so nobody is ever refused."""
    label = {"metadata": {"labels": {"lastnode.dev/inject": "disabled"}}}
    cluster.stack.api.patch(f"/api/v1/namespaces/{FREE}", label)
    pod = cluster.pod(FREE, "unasked")
    eventually(lambda: not terms(cluster.create(pod, dry_run=True)), "the webhook to be asked no more")
    cluster.stack.api.patch(f"/api/v1/namespaces/{FREE}", {"metadata": {"labels": {"lastnode.dev/inject": None}}})
    eventually(lambda: terms(cluster.create(pod, dry_run=True)), "the webhook to be asked again")
