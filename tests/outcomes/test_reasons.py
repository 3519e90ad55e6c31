"""Each reason why a session moves, brought about on a real scheduler and found wherever somebody would look for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from extender import prefer_node
from lastnode.contract import HOSTNAME_LABEL, MOVED_REASON_ANNOTATION
from lastnode.outcome import Outcome
from lastnode.reasons import Reason
from testbed.workloads import Object, agent_runtime
from tests.extender.cluster import (
    create,
    entry,
    make_nodes,
    path_of,
    pod_spec,
    session_pod,
    set_ready,
    sticky_runtime,
)
from tests.kubectl.terminal import run
from tests.monitoring.panels import PANELS, substituted
from tests.monitoring.promserver import PromServer
from tests.outcomes.conftest import IGNORANT, SILENT
from tests.outcomes.scene import Scene, become_ready
from tests.waiting import eventually

A_DAY_AND_MORE = timedelta(hours=25)
NOT_IN = "NotIn"


def remembers(scene: Scene, age: timedelta = timedelta(minutes=1)) -> None:
    create(scene.stack, sticky_runtime("w", scene.namespace, entry(scene.nodes[scene.wanted], age)))


def avoiding(scene: Scene, node: str) -> Object:
    """A session that must not run on that node."""
    expression = {"key": HOSTNAME_LABEL, "operator": NOT_IN, "values": [node]}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return scene.pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


def preferring_another(scene: Scene) -> Object:
    """A session whose author would like another node, by a term of his own."""
    pod = scene.pod()
    return {**pod, "spec": prefer_node(pod["spec"], scene.other, weight=50)}


def taint(scene: Scene, effect: str, key: str = "example.com/broken") -> None:
    taints = [{"key": key, "value": "yes", "effect": effect}]
    scene.stack.api.patch(f"/api/v1/nodes/{scene.wanted}", {"spec": {"taints": taints}})


def fill(scene: Scene, **more: object) -> None:
    """Another pod on the wanted node."""
    create(scene.stack, session_pod(scene.namespace, "other", spec=pod_spec(nodeName=scene.wanted, **more)))


# How each reason comes about: what is done before the pod is created; the pod, and who schedules it.


def expired(scene: Scene) -> Object:
    remembers(scene, A_DAY_AND_MORE)
    return avoiding(scene, scene.wanted)


def ahead(scene: Scene) -> Object:
    remembers(scene, -A_DAY_AND_MORE)
    return avoiding(scene, scene.wanted)


def node_gone(scene: Scene) -> Object:
    remembers(scene)
    scene.stack.api.delete(f"/api/v1/nodes/{scene.wanted}")
    return scene.pod()


def node_replaced(scene: Scene) -> Object:
    remembers(scene)
    scene.stack.api.delete(f"/api/v1/nodes/{scene.wanted}")
    make_nodes(scene.stack, [scene.wanted], pool=scene.namespace)
    return scene.pod()


def node_not_ready(scene: Scene) -> Object:
    remembers(scene)
    set_ready(scene.stack, scene.wanted, False)
    return avoiding(scene, scene.wanted)


def node_cordoned(scene: Scene) -> Object:
    remembers(scene)
    scene.stack.api.patch(f"/api/v1/nodes/{scene.wanted}", {"spec": {"unschedulable": True}})
    return scene.pod()


def node_leaving(scene: Scene) -> Object:
    remembers(scene)
    taint(scene, "NoSchedule", key="karpenter.sh/disrupted")
    return scene.pod()


def no_room(scene: Scene) -> Object:
    remembers(scene)
    load = [{"name": "c", "image": "c:1", "resources": {"requests": {"cpu": "7700m"}}}]
    fill(scene, containers=load)
    return scene.pod()


def tainted(scene: Scene) -> Object:
    remembers(scene)
    taint(scene, "NoSchedule")
    return scene.pod()


def pinned(scene: Scene) -> Object:
    remembers(scene)
    return avoiding(scene, scene.wanted)


def not_asked(scene: Scene) -> Object:
    remembers(scene)
    return {**preferring_another(scene), "scheduler": SILENT}


def not_offered(scene: Scene) -> Object:
    """A filter that leaves no trace in what the recorder looks at: the port is taken."""
    remembers(scene)
    container = pod_spec()["containers"][0] | {"ports": [{"containerPort": 80, "hostPort": 8080}]}
    fill(scene, containers=[container])
    return scene.pod(containers=[container])


def outscored(scene: Scene) -> Object:
    """Each of the two others has 300 points more for lack of that taint, and the wanted one 200 from the extender."""
    remembers(scene)
    taint(scene, "PreferNoSchedule")
    return scene.pod()


BY_THE_SCHEDULER: dict[Reason, Callable[[Scene], Object]] = {
    Reason(made.__name__): made
    for made in (expired, ahead, node_gone, node_replaced, node_not_ready, node_cordoned, node_leaving, no_room,
                 tainted, pinned, not_asked, not_offered, outscored)
}  # fmt: skip
ASKED = {
    Reason.NOT_ASKED: "nobody",
    Reason.NOT_OFFERED: "extender",
    Reason.OUTSCORED: "extender",
    Reason.NO_ROOM: "extender",
    Reason.TAINTED: "extender",
    Reason.PINNED: "extender",
}


@pytest.mark.parametrize("reason", BY_THE_SCHEDULER, ids=str)
def test_a_reason_is_found_in_metrics_journal_and_event_alike(scene: Scene, reason: Reason) -> None:
    pod = BY_THE_SCHEDULER[reason](scene)
    node, record = scene.run(pod, pod.pop("scheduler", "default-scheduler"))
    assert node != scene.wanted or reason is Reason.NODE_REPLACED
    assert (record.outcome, record.reason) == (Outcome.MOVED, reason)
    assert (record.node, record.last_node, record.workload, record.kind) == (node, scene.wanted, "w", "AgentRuntime")
    assert record.asked == ASKED.get(reason, "")
    assert scene.counted() == {f'lastnode_sessions_total{{kind="AgentRuntime",outcome="moved",reason="{reason}"}}': 1}
    (event,) = eventually(scene.events, "the Event")
    assert event["metadata"]["annotations"][MOVED_REASON_ANNOTATION] == reason
    assert event["message"] == (
        f"session session ran on {node} and not on {scene.wanted}: {reason}: {Reason(reason).meaning}"
    )
    assert event["related"]["uid"] == record.pod_uid


@pytest.mark.parametrize("reason", BY_THE_SCHEDULER, ids=str)
def test_a_reason_is_explained_to_who_asks_for_the_pod(scene: Scene, reason: Reason) -> None:
    pod = BY_THE_SCHEDULER[reason](scene)
    scene.run(pod, pod.pop("scheduler", "default-scheduler"))
    words = ("explain", "session", "-n", scene.namespace, "--recorder-url", scene.stack.recorder_url)
    shown = run(scene.stack.cp.kubeconfig, *words)
    assert shown.returncode == 0, shown.stderr
    assert f"Why:        {reason}: {Reason(reason).meaning}" in shown.stdout


@pytest.mark.parametrize("reason", BY_THE_SCHEDULER, ids=str)
def test_a_reason_is_found_on_the_dashboard(dashboard: PromServer, scene: Scene, reason: Reason) -> None:
    (expr,) = next(panel.exprs for panel in PANELS if panel.title == "Moved in the last hour, by reason")
    pod = BY_THE_SCHEDULER[reason](scene)

    def shown() -> float:
        return sum(one.value for one in dashboard.ask(substituted(expr)) if one.labels["reason"] == reason)

    # The first workload of a kind makes its counters, at 0: an increase is seen once that was scraped.
    eventually(lambda: dashboard.ask(f'lastnode_sessions_total{{reason="{reason}"}}'), "a scrape of the counter")
    before = shown()
    scene.run(pod, pod.pop("scheduler", "default-scheduler"))
    eventually(lambda: shown() > before, f"{reason} on the dashboard")


def test_a_session_without_memory_is_a_first_one_and_nobody_is_told(scene: Scene) -> None:
    create(scene.stack, sticky_runtime("w", scene.namespace))
    node, record = scene.run(scene.pod())
    assert (record.outcome, record.reason, record.last_node, record.node) == (Outcome.FIRST, None, "", node)
    assert scene.counted() == {'lastnode_sessions_total{kind="AgentRuntime",outcome="first",reason=""}': 1}
    assert not scene.events()


def test_a_session_on_its_last_node_is_reused_and_nobody_is_told(scene: Scene) -> None:
    remembers(scene)
    node, record = scene.run(scene.pod())
    assert (record.outcome, record.reason, record.last_node, record.node) == (Outcome.REUSED, None, scene.wanted, node)
    assert node == scene.wanted
    assert scene.counted() == {'lastnode_sessions_total{kind="AgentRuntime",outcome="reused",reason=""}': 1}
    assert not scene.events()


def test_sessions_of_workloads_that_did_not_opt_in_are_nobodys_business(scene: Scene) -> None:
    create(scene.stack, agent_runtime("w", namespace=scene.namespace))
    made = create(scene.stack, scene.pod())
    eventually(lambda: scene.stack.api.get(path_of(made))["spec"].get("nodeName"), "the pod to be bound")
    become_ready(scene.stack, made)
    create(scene.stack, sticky_runtime("counted", scene.namespace))
    scene.run(session_pod(scene.namespace, "later", workload="counted", spec=pod_spec(scene.namespace)))
    assert not scene.stack.journal(made["metadata"]["uid"])
    assert sum(scene.counted().values()) == 1


def test_an_extender_that_was_asked_in_vain_is_called_unaware(scene: Scene) -> None:
    remembers(scene)
    _, record = scene.run(preferring_another(scene), IGNORANT)
    assert (record.outcome, record.reason, record.asked) == (Outcome.MOVED, Reason.UNAWARE, "extender")


@pytest.mark.parametrize(("nodes", "reason"), [(0, Reason.OUTSCORED), (100, Reason.NOT_CHOSEN)])
def test_a_term_was_outscored_where_all_nodes_are_scored_else_nobody_can_tell(
    scene: Scene, nodes: int, reason: Reason
) -> None:
    remembers(scene)
    taint(scene, "PreferNoSchedule")
    make_nodes(scene.stack, [f"{scene.namespace}-more-{number}" for number in range(nodes)], pool=scene.namespace)
    pod = scene.pod()
    node, record = scene.run({**pod, "spec": prefer_node(pod["spec"], scene.wanted)}, SILENT)
    assert node != scene.wanted
    assert (record.outcome, record.reason, record.asked) == (Outcome.MOVED, reason, "term")
