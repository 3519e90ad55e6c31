"""The counters tell what happened: a real scheduler places one pod, and exactly one result of one request moves."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry

from extender import prefer_node
from extender.http import create_app
from extender.lookup import Lookup
from extender.metrics import PrioritizeMetrics
from extender.prioritize import Prioritizer
from lastnode import reasons
from lastnode.contract import SESSION_LABEL
from lastnode.objects import Workload
from lastnode.view import MemoryCache, View
from testbed.component import Component
from testbed.errors import ApiError
from testbed.stack import Stack
from testbed.workloads import Object, agent_runtime, code_interpreter
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    extender_args,
    make_nodes,
    place,
    pod_spec,
    remembering,
    remove,
    session_pod,
    set_ready,
    sticky_runtime,
)
from tests.waiting import eventually

HOUR = timedelta(hours=1)
RESOURCE = "agentruntimes.runtime.agentcube.volcano.sh"
PRIORITIZE = "lastnode_prioritize"


class Scene(NamedTuple):
    """A namespace with three feasible nodes of a pool of its own; ``wanted`` is the one that "w" shall remember."""

    stack: Stack
    namespace: str
    nodes: dict[str, Any]

    @property
    def wanted(self) -> str:
        return next(iter(self.nodes))

    @property
    def others(self) -> set[str]:
        return set(self.nodes) - {self.wanted}

    def pod(self, name: str = "session", **more: Any) -> Object:
        """A session of "w" that only the nodes of this scene can take."""
        return session_pod(self.namespace, name, workload="w", spec=pod_spec(self.namespace, **more))

    def remembers(self, *entries: Any) -> None:
        create(self.stack, sticky_runtime("w", self.namespace, *(entries or [entry(self.nodes[self.wanted])])))


@pytest.fixture
def scene(stack: Stack, namespace: str) -> Iterator[Scene]:
    nodes = make_nodes(stack, [f"{namespace}-{letter}" for letter in "abc"], pool=namespace)
    yield Scene(stack, namespace, nodes)
    for name in nodes:
        with contextlib.suppress(ApiError):
            stack.api.delete(f"/api/v1/nodes/{name}")


# How each result comes about: what is done before the pod is created, and the pod.


def preferred(scene: Scene) -> Object:
    scene.remembers()
    return scene.pod()


def not_offered(scene: Scene) -> Object:
    """The node is full, so the scheduler does not even ask about it."""
    scene.remembers()
    load = pod_spec(nodeName=scene.wanted)
    load["containers"][0]["resources"] = {"requests": {"cpu": "8"}}
    create(scene.stack, session_pod(scene.namespace, "load", spec=load))
    return scene.pod()


def already_injected(scene: Scene) -> Object:
    scene.remembers()
    pod = scene.pod()
    return {**pod, "spec": prefer_node(pod["spec"], scene.wanted)}


def not_ours(scene: Scene) -> Object:
    scene.remembers()
    pod = scene.pod()
    del pod["metadata"]["labels"][SESSION_LABEL]
    return pod


def unattributed(scene: Scene) -> Object:
    return scene.pod()


def ambiguous(scene: Scene) -> Object:
    scene.remembers()
    create(scene.stack, remembering(code_interpreter("w", namespace=scene.namespace, sticky=True)
                                    , entry(scene.nodes[scene.wanted])))  # fmt: skip
    return scene.pod()


def not_sticky(scene: Scene) -> Object:
    create(scene.stack, remembering(agent_runtime("w", namespace=scene.namespace), entry(scene.nodes[scene.wanted])))
    return scene.pod()


def nothing_remembered(scene: Scene) -> Object:
    create(scene.stack, sticky_runtime("w", scene.namespace))
    return scene.pod()


def expired(scene: Scene) -> Object:
    scene.remembers(entry(scene.nodes[scene.wanted], 25 * HOUR))
    return scene.pod()


def ahead(scene: Scene) -> Object:
    scene.remembers(entry(scene.nodes[scene.wanted], -HOUR))
    return scene.pod()


def node_gone(scene: Scene) -> Object:
    scene.remembers()
    scene.stack.api.delete(f"/api/v1/nodes/{scene.wanted}")
    return scene.pod()


def node_replaced(scene: Scene) -> Object:
    scene.remembers()
    scene.stack.api.delete(f"/api/v1/nodes/{scene.wanted}")
    make_nodes(scene.stack, [scene.wanted], pool=scene.namespace)
    return scene.pod()


def node_not_ready(scene: Scene) -> Object:
    scene.remembers()
    set_ready(scene.stack, scene.wanted, False)
    return scene.pod()


def node_cordoned(scene: Scene) -> Object:
    scene.remembers()
    scene.stack.api.patch(f"/api/v1/nodes/{scene.wanted}", {"spec": {"unschedulable": True}})
    return scene.pod()


def node_leaving(scene: Scene) -> Object:
    scene.remembers()
    taints = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]
    scene.stack.api.patch(f"/api/v1/nodes/{scene.wanted}", {"spec": {"taints": taints}})
    return scene.pod()


BY_THE_SCHEDULER: dict[str, Callable[[Scene], Object]] = {
    made.__name__: made
    for made in (preferred, not_offered, already_injected, not_ours, unattributed, ambiguous, not_sticky,
                 nothing_remembered, expired, ahead, node_gone, node_replaced, node_not_ready, node_cordoned,
                 node_leaving)
}  # fmt: skip
# These three no healthy scheduler and extender bring about together.
OTHERWISE = {"bad_request", "error", "not_synced"}
# What of the three nodes the scheduler still offers then; all of them otherwise.
OFFERED = {"not_offered": 2, "node_gone": 2, "node_cordoned": 2, "node_leaving": 2}
# What the scheduler's own watch must have brought it about the wanted node, and how often.
HEARD = {"node_gone": ("Delete", 1), "node_replaced": ("Add", 2), "node_cordoned": ("Update", 1),
         "node_leaving": ("Update", 1)}  # fmt: skip


class Moved(NamedTuple):
    """What moved between two looks at /metrics. ``offered``: (sessions asked about, nodes offered for them)."""

    results: dict[str, float]
    timed: float
    offered: tuple[float, float]


def look(stack: Stack) -> dict[str, float]:
    return {name: value for name, value in stack.metrics(stack.extender_url).items() if name.startswith(PRIORITIZE)}


def moved(before: dict[str, float], after: dict[str, float]) -> Moved:
    def by(name: str) -> float:
        return after[PRIORITIZE + name] - before[PRIORITIZE + name]

    results = {result: by(f'_total{{result="{result}"}}') for result in reasons.PRIORITIZE}
    return Moved(
        {result: count for result, count in results.items() if count},
        by("_duration_seconds_count"),
        (by("_offered_nodes_count"), by("_offered_nodes_sum")),
    )


def heard(scheduler: Component, scene: Scene, kind: str, times: int) -> None:
    """Wait until the scheduler has logged so many events of its own watch about the wanted node, and of every node."""
    events = [(kind, scene.wanted, times), *(("Add", name, 1) for name in scene.nodes)]

    def all_logged() -> bool:
        log = scheduler.log.read_text(encoding="utf-8", errors="replace")
        return all(log.count(f'"{kind} event for node" node="{name}"') >= times for kind, name, times in events)

    eventually(all_logged, f"the scheduler to hear of {events}")


def test_each_result_is_driven_by_a_test_here() -> None:
    assert set(BY_THE_SCHEDULER) | OTHERWISE == set(reasons.PRIORITIZE)


@pytest.mark.parametrize("result", BY_THE_SCHEDULER)
def test_the_real_scheduler_places_a_pod_and_exactly_this_result_is_counted(
    stack: Stack, scheduler: Component, wire: Wire, scene: Scene, result: str
) -> None:
    pod = BY_THE_SCHEDULER[result](scene)
    offered = list(scene.others) if OFFERED.get(result) else list(scene.nodes)
    wire.expect(result, pod, offered)  # the extender's watch has brought what was done
    heard(scheduler, scene, *HEARD.get(result, ("Add", 1)))
    before = look(stack)
    node = place(stack, pod)
    after = moved(before, look(stack))
    assert after.results == {result: 1}
    assert after.timed == 1
    asked_about = OFFERED.get(result, 3)
    assert after.offered == ((0, 0) if result == "not_ours" else (1, asked_about))
    assert node in scene.nodes
    if result in ("preferred", "already_injected"):
        assert node == scene.wanted
    elif asked_about == 2:
        assert node in scene.others
    remove(stack, pod)


@pytest.mark.parametrize("befalls", [node_cordoned, node_gone, node_leaving], ids=lambda befalls: befalls.__name__)
def test_the_real_scheduler_puts_a_session_on_the_older_node_when_the_last_cannot_be_had(
    stack: Stack, scheduler: Component, wire: Wire, scene: Scene, befalls: Callable[[Scene], Object]
) -> None:
    older = sorted(scene.nodes)[1]
    load = pod_spec(nodeName=older)
    load["containers"][0]["resources"] = {"requests": {"cpu": "5", "memory": "20Gi"}}
    create(stack, session_pod(scene.namespace, "load", spec=load))  # so that only the points bring anybody there
    pod = befalls(scene)
    memory = remembering({"metadata": {}}, entry(scene.nodes[scene.wanted]), entry(scene.nodes[older], HOUR))
    path = f"/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/{scene.namespace}/agentruntimes/w"
    stack.api.patch(path, memory)
    wire.expect_node(older, pod, list(scene.nodes))
    heard(scheduler, scene, *HEARD[befalls.__name__])
    before = look(stack)
    assert place(stack, pod) == older
    assert moved(before, look(stack)).results == {"preferred": 1}
    remove(stack, pod)


def test_a_bad_request_is_counted_as_such_and_timed(stack: Stack, wire: Wire) -> None:
    before = look(stack)
    assert wire.request("POST", "/prioritize", b"no JSON") == (200, b"[]")
    assert moved(before, look(stack)) == ({"bad_request": 1}, 1, (0, 0))


def app_of(registry: CollectorRegistry, synced: bool, clock: Callable[[], float]) -> Any:
    """A client of the app itself, over a view that knows the workload "w" of "demo"."""
    view = View()
    identity = {"namespace": "demo", "name": "w", "uid": "1", "resource": RESOURCE, "kind": "AgentRuntime"}
    view.workloads[RESOURCE].upsert(Workload(**identity, sticky=True, last_node="a"))  # type: ignore[arg-type]
    lookup = Lookup(view, MemoryCache(0), 0, lambda: synced, clock)
    return create_app(Prioritizer(lookup, PrioritizeMetrics(registry)), {}, {}, lambda: ("", b"")).test_client()


def test_a_fault_of_ours_is_an_error_and_before_the_first_list_nothing_is_known() -> None:
    """The fault is a clock beyond the calendar. Before the first list: with a scheduler in test_harmless.py."""
    body = extender_args(session_pod("demo", workload="w"), ["a", "b"])
    for synced, clock, result in [(True, 1e20, "error"), (False, 0.0, "not_synced")]:
        registry = CollectorRegistry()
        answer = app_of(registry, synced, lambda seconds=clock: seconds).post("/prioritize", data=body)  # type: ignore[misc]
        assert (answer.status_code, answer.data) == (200, b"[]")
        counts = {
            name: registry.get_sample_value(f"{PRIORITIZE}_total", {"result": name}) for name in reasons.PRIORITIZE
        }
        assert {name: count for name, count in counts.items() if count} == {result: 1}
        assert registry.get_sample_value(f"{PRIORITIZE}_offered_nodes_sum") == 2


@pytest.mark.parametrize("offered", [0, 1, 2, 50, 500])
def test_the_histogram_of_offered_names_counts_names_in_either_form(
    stack: Stack, wire: Wire, namespace: str, offered: int
) -> None:
    names = [f"node-{number}" for number in range(offered)]
    pod = session_pod(namespace, workload="nobody")
    items = [{"metadata": {"name": name, "labels": {"a": "b,c"}}} for name in names]
    whole = json.dumps({"Pod": pod, "Nodes": {"items": items}, "NodeNames": None}).encode()
    for body in (extender_args(pod, names), whole):
        before = look(stack)
        assert wire.request("POST", "/prioritize", body) == (200, b"[]")
        after = look(stack)
        assert moved(before, after) == ({"unattributed": 1}, 1, (1, offered))
        start = f'{PRIORITIZE}_offered_nodes_bucket{{le="'
        raised = {float(name.removeprefix(start)[:-2]) for name in after
                  if name.startswith(start) and after[name] > before[name]}  # fmt: skip
        edges = {float(name.removeprefix(start)[:-2]) for name in after if name.startswith(start)}
        assert raised == {edge for edge in edges if edge >= offered}


def test_the_time_a_request_took_is_within_what_the_client_waited(stack: Stack, wire: Wire, namespace: str) -> None:
    """A pod whose Sandbox nobody has seen is waited for, so that there is a time to see: 30 ms, inside the program."""
    owner = {"apiVersion": "agents.x-k8s.io/v1alpha1", "kind": "Sandbox", "metadata": {"name": "unseen", "uid": "1"}}
    body = extender_args(session_pod(namespace, owner=owner), ["a", "b"])
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=30)
    with contextlib.closing(connection):
        before = look(stack)
        connection.request("POST", "/prioritize", body)
        assert connection.getresponse().read() == b"[]"
        after = look(stack)
    took = after[f"{PRIORITIZE}_duration_seconds_sum"] - before[f"{PRIORITIZE}_duration_seconds_sum"]
    assert took >= 0.03
    edge = f'{PRIORITIZE}_duration_seconds_bucket{{le="0.025"}}'
    assert after[edge] == before[edge]
