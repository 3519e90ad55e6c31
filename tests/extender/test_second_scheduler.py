"""second-scheduler.yaml: two real kube-schedulers on one control plane, each with its Lease and its pods."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from testbed.apply import apply
from testbed.binaries import find_tools
from testbed.component import Component
from testbed.stack import SCHEDULER_CONFIG, Stack
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    favoured,
    make_nodes,
    place,
    pod_spec,
    session_pod,
    sticky_runtime,
)
from tests.extender.schedulers import bound_by, unschedulable
from tests.rbac import manifest
from tests.waiting import eventually
from tools.render import NAMESPACE, setup

USER = f"system:serviceaccount:{NAMESPACE}:lastnode-scheduler"
LEASES = "/apis/coordination.k8s.io/v1/namespaces"
FIRST, SECOND = f"{LEASES}/kube-system/leases/kube-scheduler", f"{LEASES}/{NAMESPACE}/leases/lastnode-scheduler"
NODES = [f"two-{number:02}" for number in range(12)]
WANTED = NODES[7]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Stack]:
    """Nodes, a workload that remembers one of them, and the extender under the second scheduler's ServiceAccount."""
    with Stack.start() as stack:
        for name in (NAMESPACE, "kube-system"):
            apply(stack.cp, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        # The ServiceAccount that the two containers of its pod share, and its rights.
        apply(stack.cp, manifest("scheduler"))
        nodes = make_nodes(stack, NODES)
        create(stack, sticky_runtime("known", "default", entry(nodes[WANTED])))
        stack.start_extender(user=USER)
        Wire(stack.extender_url).expect("preferred", session_pod("default", workload="known"), NODES)
        yield stack


@pytest.fixture
def stack(cluster: Stack) -> Stack:
    return cluster


@pytest.fixture(scope="module")
def first(cluster: Stack) -> Component:
    """The cluster's own kube-scheduler: no file of ours, and its usual Lease."""
    elected = {"leaderElection": {"leaderElect": True}}
    return cluster.cp.start_scheduler("first", elected, elect=True)


@pytest.fixture(scope="module")
def second(cluster: Stack, first: Component) -> Component:
    """Started after the first, as it would be; it leads when it has its Lease."""
    config = cluster.scheduler_config("second-scheduler.yaml")
    config["extenders"][0]["httpTimeout"] = "20s"  # on a busy machine no time-out shall decide a test
    return cluster.cp.start_scheduler("second", config, user=USER, elect=True)


@pytest.fixture
def wire(stack: Stack) -> Wire:
    return Wire(stack.extender_url)


def renewal(stack: Stack, lease: str, since: str = "") -> tuple[str, str] | None:
    """Who holds the Lease and when it was last renewed; None while nobody does, or not again since then."""
    collection, _, name = lease.rpartition("/")
    specs = [item["spec"] for item in stack.api.get(collection)["items"] if item["metadata"]["name"] == name]
    held = specs[0] if specs else {}
    if not held.get("holderIdentity") or held["renewTime"] == since:
        return None
    return held["holderIdentity"], held["renewTime"]


def session(name: str, **spec: Any) -> dict[str, Any]:
    return session_pod("default", name, workload="known", spec=pod_spec(schedulerName="lastnode-scheduler", **spec))


def plain(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
            "spec": pod_spec(**spec)}  # fmt: skip


def test_the_chart_carries_this_very_configuration() -> None:
    shipped = setup(find_tools().helm.path, "second-scheduler")
    (carried,) = (obj["data"]["scheduler.yaml"] for obj in shipped if "scheduler.yaml" in obj.get("data", {}))
    here = (SCHEDULER_CONFIG / "second-scheduler.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(carried) == yaml.safe_load(here)


def test_each_scheduler_holds_and_renews_a_lease_of_its_own(stack: Stack, first: Component, second: Component) -> None:
    holders = []
    for lease in (FIRST, SECOND):
        holder, renewed = eventually(partial(renewal, stack, lease), f"{lease} to be held")
        assert eventually(partial(renewal, stack, lease, renewed), f"{lease} to be renewed")[0] == holder
        holders.append(holder)
    assert holders[0] != holders[1]


def test_a_session_that_opted_in_goes_through_the_second_and_comes_back(
    stack: Stack, first: Component, second: Component, wire: Wire
) -> None:
    others, before = bound_by(stack, first, "default-scheduler"), wire.results()["preferred"]
    assert place(stack, session("returns")) == WANTED
    assert wire.results()["preferred"] == before + 1
    eventually(lambda: bound_by(stack, second, "lastnode-scheduler") >= 1, "the second to count it")
    assert bound_by(stack, first, "default-scheduler") == others


def test_all_other_pods_go_through_the_first_and_nobody_is_called(
    stack: Stack, first: Component, second: Component, wire: Wire
) -> None:
    calls, ours = sum(wire.results().values()), bound_by(stack, second, "lastnode-scheduler")
    theirs = bound_by(stack, first, "default-scheduler")
    for number in range(5):
        place(stack, plain(f"plain-{number}"))
    place(stack, session_pod("default", "not-opted-in", workload="known", spec=pod_spec()))
    eventually(lambda: bound_by(stack, first, "default-scheduler") == theirs + 6, "the first to count them")
    assert sum(wire.results().values()) == calls
    assert bound_by(stack, second, "lastnode-scheduler") == ours


def test_each_counts_the_room_that_the_others_pods_take(stack: Stack, first: Component, second: Component) -> None:
    """Both watch all pods; only what both decide in the same moment can collide, and then the kubelet refuses one."""
    full = {"nodeSelector": {"kubernetes.io/hostname": NODES[0]}}
    large = {"cpu": "5", "memory": "1Gi"}
    taken = plain("large", **full)
    taken["spec"]["containers"][0]["resources"] = {"requests": large}
    assert place(stack, taken) == NODES[0]
    late = session("late", **full)
    late["spec"]["containers"][0]["resources"] = {"requests": large}
    create(stack, late)
    assert "Insufficient cpu" in unschedulable(stack, late)


def test_the_second_scheduler_may_do_all_that_it_tries(stack: Stack, second: Component, wire: Wire) -> None:
    """Its ServiceAccount has what the manifests give it and nothing more."""
    place(stack, session("once-more"))
    log = second.log.read_text(encoding="utf-8", errors="replace")
    assert "forbidden" not in log.lower()
    assert wire.ask(session("asked"), NODES).hosts == favoured(WANTED)
