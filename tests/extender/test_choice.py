"""Which node the running extender answers with, as workloads, Sandboxes and nodes change under its watches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from lastnode import prefer_node
from lastnode.contract import (
    AGENTCUBE_PREFIX,
    CACHE_GROUP,
    LAST_NODE_ANNOTATION,
    RECENT_NODES_ANNOTATION,
    WORKLOAD_KIND_LABEL,
    WORKLOAD_NAME_LABEL,
)
from testbed.errors import ApiError
from testbed.stack import Stack
from testbed.workloads import agent_runtime, code_interpreter
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    favoured,
    make_nodes,
    path_of,
    relabel,
    remembering,
    sandbox,
    session_pod,
    set_ready,
    sticky_runtime,
)

HOUR = timedelta(hours=1)
Nodes = dict[str, Any]
Befall = Callable[[Stack, str], None]


@pytest.fixture
def nodes(stack: Stack, namespace: str) -> Iterator[Nodes]:
    """Three Ready nodes, by name: "a" is where the last session ran, "b" the one before."""
    made = make_nodes(stack, [f"{namespace}-{letter}" for letter in "abc"])
    yield made
    for name in made:
        with contextlib.suppress(ApiError):  # some tests delete one themselves
            stack.api.delete(f"/api/v1/nodes/{name}")


@pytest.fixture
def a(namespace: str) -> str:
    return f"{namespace}-a"


@pytest.fixture
def b(namespace: str) -> str:
    return f"{namespace}-b"


@pytest.fixture
def pod(namespace: str) -> Any:
    return session_pod(namespace, workload="w")


# Who takes part


def test_a_workload_that_opted_in_has_its_last_node_preferred(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    answer = wire.expect("preferred", pod, list(nodes))
    assert (answer.status, answer.hosts) == (200, favoured(a))


def test_the_annotation_opts_in_where_there_is_no_field(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    workload = agent_runtime("w", namespace=namespace, sticky=True, via="annotation")
    create(stack, remembering(workload, entry(nodes[a])))
    assert wire.expect("preferred", pod, list(nodes)).hosts == favoured(a)


@pytest.mark.parametrize("sticky", [None, False])
def test_a_workload_that_did_not_opt_in_has_no_preference_whatever_it_remembers(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any, sticky: bool | None
) -> None:
    create(stack, remembering(agent_runtime("w", namespace=namespace, sticky=sticky), entry(nodes[a])))
    assert wire.expect("not_sticky", pod, list(nodes)).body == b"[]"


def test_a_field_that_says_no_wins_over_the_annotation(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    workload = agent_runtime("w", namespace=namespace, sticky=True, via="annotation")
    workload["spec"]["nodeStickiness"] = {"enabled": False}
    create(stack, remembering(workload, entry(nodes[a])))
    assert wire.expect("not_sticky", pod, list(nodes)).body == b"[]"


def test_opting_out_takes_the_preference_away_and_opting_in_gives_it_back(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    workload = create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    for enabled, result in [(True, "preferred"), (False, "not_sticky"), (True, "preferred")]:
        stack.api.patch(path_of(workload), {"spec": {"nodeStickiness": {"enabled": enabled}}})
        wire.expect(result, pod, list(nodes))


@pytest.mark.parametrize(("size", "result"), [(0, "preferred"), (2, "not_sticky")])
def test_a_code_interpreter_takes_part_unless_it_has_a_warm_pool(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any, size: int, result: str
) -> None:
    workload = code_interpreter("w", namespace=namespace, sticky=True, warm_pool_size=size)
    create(stack, remembering(workload, entry(nodes[a])))
    assert wire.expect(result, pod, list(nodes)).hosts == (favoured(a) if result == "preferred" else [])


# What is remembered


def test_a_workload_without_a_memory_has_no_preference(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace))
    assert wire.expect("nothing_remembered", pod, list(nodes)).body == b"[]"


def test_an_entry_older_than_a_day_has_expired(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a], 25 * HOUR), entry(nodes[b], 30 * HOUR)))
    assert wire.expect("expired", pod, list(nodes)).body == b"[]"


def test_a_bare_last_node_is_honoured(stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any) -> None:
    workload = agent_runtime("w", namespace=namespace, sticky=True)
    workload["metadata"]["annotations"] = {LAST_NODE_ANNOTATION: a}
    create(stack, workload)
    assert wire.expect("preferred", pod, list(nodes)).hosts == favoured(a)


@pytest.mark.parametrize("text", [
    "", "not json", "{}", '[{"node": 1}]', '["a"]', "[" * 5000, "[" + "1," * 100_000 + "1]",
], ids=range(7))  # fmt: skip
def test_unreadable_recent_nodes_count_as_absent(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any, text: str
) -> None:
    workload = agent_runtime("w", namespace=namespace, sticky=True)
    workload["metadata"]["annotations"] = {LAST_NODE_ANNOTATION: a, RECENT_NODES_ANNOTATION: text}
    create(stack, workload)
    assert wire.expect("preferred", pod, list(nodes)).hosts == favoured(a)


def test_a_memory_written_later_is_followed(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    workload = create(stack, sticky_runtime("w", namespace))
    wire.expect("nothing_remembered", pod, list(nodes))
    for node in (a, b):
        memory = remembering({"metadata": {}}, entry(nodes[node]))
        stack.api.patch(path_of(workload), memory)
        wire.expect_node(node, pod, list(nodes))


# What became of the node


def test_a_cordoned_node_is_not_preferred_until_it_is_uncordoned(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    for cordoned, result in [(False, "preferred"), (True, "node_cordoned"), (False, "preferred")]:
        stack.api.patch(f"/api/v1/nodes/{a}", {"spec": {"unschedulable": cordoned}})
        wire.expect(result, pod, list(nodes))


def test_a_node_that_is_not_ready_is_not_preferred_until_it_is(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    for ready, result in [(True, "preferred"), (False, "node_not_ready"), (True, "preferred")]:
        set_ready(stack, a, ready)
        wire.expect(result, pod, list(nodes))


def test_a_node_that_is_gone_is_not_preferred_and_its_replacement_of_the_same_name_neither(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    wire.expect("preferred", pod, list(nodes))
    stack.api.delete(f"/api/v1/nodes/{a}")
    assert wire.expect("node_gone", pod, list(nodes)).body == b"[]"
    make_nodes(stack, [a])
    assert wire.expect("node_replaced", pod, list(nodes)).body == b"[]"


def cordon(stack: Stack, node: str) -> None:
    stack.api.patch(f"/api/v1/nodes/{node}", {"spec": {"unschedulable": True}})


def break_down(stack: Stack, node: str) -> None:
    set_ready(stack, node, False)


def delete(stack: Stack, node: str) -> None:
    stack.api.delete(f"/api/v1/nodes/{node}")


def replace(stack: Stack, node: str) -> None:
    """Another machine of the same name: Ready, and with another UID."""
    delete(stack, node)
    make_nodes(stack, [node])


def linger(stack: Stack, node: str) -> None:
    """Being deleted, while somebody's finalizer keeps it."""
    stack.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"finalizers": ["example.com/drain"]}})
    delete(stack, node)


def disrupt(stack: Stack, node: str) -> None:
    """As Karpenter does before it drains a node."""
    taints = [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]
    stack.api.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": taints}})


FATES = [
    ("node_cordoned", cordon),
    ("node_not_ready", break_down),
    ("node_gone", delete),
    ("node_replaced", replace),
    ("node_leaving", linger),
    ("node_leaving", disrupt),
]
each_fate = pytest.mark.parametrize(("reason", "befalls"), FATES, ids=[befalls.__name__ for _, befalls in FATES])


@each_fate
def test_an_older_recent_node_steps_in_for_one_that_cannot_be_had(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any, reason: str, befalls: Befall
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a]), entry(nodes[b], HOUR)))
    assert wire.expect("preferred", pod, list(nodes)).hosts == favoured(a, b)
    befalls(stack, a)
    wire.expect_node(b, pod, list(nodes))
    cordon(stack, b)
    # Nobody is left: the reason is that of the newest, which is the one expected.
    assert wire.expect(reason, pod, list(nodes)).body == b"[]"


def test_the_newest_that_can_be_had_steps_in_and_steps_back_again(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    c = f"{namespace}-c"
    create(stack, sticky_runtime("w", namespace, entry(nodes[a]), entry(nodes[b], HOUR), entry(nodes[c], 2 * HOUR)))
    wire.expect_node(a, pod, list(nodes))
    cordon(stack, b)
    set_ready(stack, a, False)
    wire.expect_node(c, pod, list(nodes))
    stack.api.patch(f"/api/v1/nodes/{b}", {"spec": {"unschedulable": False}})
    wire.expect_node(b, pod, list(nodes))
    set_ready(stack, a, True)
    wire.expect_node(a, pod, list(nodes))


def test_an_entry_that_has_expired_does_not_step_in(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a]), entry(nodes[b], 25 * HOUR)))
    wire.expect_node(a, pod, list(nodes))
    cordon(stack, a)
    assert wire.expect("node_cordoned", pod, list(nodes)).body == b"[]"


def test_a_node_that_the_scheduler_does_not_offer_is_not_answered(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    wire.expect("preferred", pod, list(nodes))
    assert wire.expect("not_offered", pod, [b, f"{a}-too", a[:-1]]).body == b"[]"


# A cache group


def test_a_workload_without_a_memory_goes_by_its_group_as_long_as_there_is_one(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    named = f"{AGENTCUBE_PREFIX}/{CACHE_GROUP}"

    def member(name: str, *entries: Any) -> Any:
        made = sticky_runtime(name, namespace, *entries)
        made["metadata"].setdefault("annotations", {})[named] = "images"
        return create(stack, made)

    workload, relative = member("w"), member("relative", entry(nodes[a]))
    wire.expect_node(a, pod, list(nodes))
    # Its memory changes, it opts out, it is another's relative, it is gone.
    stack.api.patch(path_of(relative), {"metadata": remembering({"metadata": {}}, entry(nodes[b]))["metadata"]})
    wire.expect_node(b, pod, list(nodes))
    for takes, gives in [
        ({"spec": {"nodeStickiness": {"enabled": False}}}, {"spec": {"nodeStickiness": {"enabled": True}}}),
        ({"metadata": {"annotations": {named: "data"}}}, {"metadata": {"annotations": {named: "images"}}}),
    ]:
        stack.api.patch(path_of(relative), takes)
        wire.expect("nothing_remembered", pod, list(nodes))
        stack.api.patch(path_of(relative), gives)
        wire.expect_node(b, pod, list(nodes))
    # What it remembers itself is stronger.
    stack.api.patch(path_of(workload), {"metadata": remembering({"metadata": {}}, entry(nodes[a]))["metadata"]})
    wire.expect_node(a, pod, list(nodes))
    stack.api.patch(
        path_of(workload), {"metadata": {"annotations": {LAST_NODE_ANNOTATION: None, RECENT_NODES_ANNOTATION: None}}}
    )
    wire.expect_node(b, pod, list(nodes))
    stack.api.delete(path_of(relative))
    wire.expect("nothing_remembered", pod, list(nodes))


# How its label leads to it

RELABELLED = {"changed": "{a}-anew", "removed": None, "shared": "{b}"}


@pytest.mark.parametrize("label", RELABELLED.values(), ids=RELABELLED)
def test_a_term_that_does_not_lead_to_the_node_any_more_is_not_taken_for_the_preference(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any, label: str | None
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    pod = {**pod, "spec": prefer_node(pod["spec"], a)}
    wire.expect("already_injected", pod, list(nodes))
    relabel(stack, a, label and label.format(a=a, b=b))
    assert wire.expect("preferred", pod, list(nodes)).hosts == favoured(a)


# Whose pod it is


@pytest.mark.parametrize("kind_said", [False, True])
def test_a_pod_says_by_its_labels_whose_it_is(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, kind_said: bool
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    pod = session_pod(namespace, workload="w", kind="AgentRuntime" if kind_said else None)
    assert wire.expect("preferred", pod, list(nodes)).hosts == favoured(a)


def test_the_owning_sandbox_says_whose_a_pod_is(stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    owner = create(stack, sandbox("s", namespace, {WORKLOAD_NAME_LABEL: "w"}))
    assert wire.expect("preferred", session_pod(namespace, owner=owner), list(nodes)).hosts == favoured(a)
    former = {**owner, "metadata": {**owner["metadata"], "uid": "of a Sandbox deleted since"}}
    assert wire.expect("unattributed", session_pod(namespace, owner=former), list(nodes)).body == b"[]"


def test_a_name_that_both_kinds_have_is_ambiguous_until_somebody_says_the_kind(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, b: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    other = code_interpreter("w", namespace=namespace, sticky=True)
    create(stack, remembering(other, entry(nodes[b])))
    assert wire.expect("ambiguous", pod, list(nodes)).body == b"[]"
    for kind, node in [("AgentRuntime", a), ("CodeInterpreter", b)]:
        of_kind = session_pod(namespace, workload="w", kind=kind)
        assert wire.expect("preferred", of_kind, list(nodes)).hosts == favoured(node)
    labels = {WORKLOAD_NAME_LABEL: "w", WORKLOAD_KIND_LABEL: "CodeInterpreter"}
    owner = create(stack, sandbox("s", namespace, labels))
    assert wire.expect("preferred", session_pod(namespace, owner=owner), list(nodes)).hosts == favoured(b)


def test_a_name_is_never_guessed_nor_looked_for_in_another_namespace(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    wire.expect("preferred", pod, list(nodes))
    for stranger in (
        session_pod(namespace, "w-1234"),
        session_pod(namespace, workload="w-1"),
        session_pod("default", workload="w"),
    ):
        assert wire.ask(stranger, list(nodes))[1:] == (b"[]", "unattributed")


def test_a_pod_that_is_no_session_is_left_alone(
    stack: Stack, wire: Wire, nodes: Nodes, namespace: str, a: str, pod: Any
) -> None:
    create(stack, sticky_runtime("w", namespace, entry(nodes[a])))
    wire.expect("preferred", pod, list(nodes))
    del pod["metadata"]["labels"]["runtime.agentcube.io/session-id"]
    assert wire.ask(pod, list(nodes))[1:] == (b"[]", "not_ours")
