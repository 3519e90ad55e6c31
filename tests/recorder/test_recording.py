"""What the recorder writes, on a real API server: which sessions count, whose they are, and in which order."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from threading import Event, Thread

import msgspec
import pytest

from lastnode.contract import DEFAULT_RECENT_NODES, LAST_NODE_ANNOTATION, RECENT_NODES_ANNOTATION, STICKINESS_ANNOTATION
from lastnode.kinds import AGENT_RUNTIME
from lastnode.kube import api
from lastnode.kube.api import METADATA
from lastnode.reading import read_workload
from testbed.stack import Stack
from tests.recorder.space import AGENT, INTERPRETER, OPTED_IN, START, TEMPLATE, WORKLOADS, Space, moment

KINDS = pytest.mark.parametrize("kind", [AGENT, INTERPRETER])


def attributions(space: Space, verdict: str) -> float:
    return space.metric(f'lastnode_attributions_total{{verdict="{verdict}"}}')


@KINDS
def test_a_ready_session_writes_both_annotations_in_the_contract_s_form(space: Space, kind: str) -> None:
    node = space.node("a", hostname=f"host-of-{space.name}")
    space.workload(kind=kind)
    pod = space.session("s", node, ready_at=7)
    space.written(node, kind=kind)
    annotations = space.read(kind=kind)["metadata"]["annotations"]
    assert annotations[LAST_NODE_ANNOTATION] == node
    entry = {
        "node": node,
        "hostname": f"host-of-{space.name}",
        "nodeUID": space.node_uid(node),
        "readyAt": moment(7),
        "podUID": pod["metadata"]["uid"],
    }
    assert json.loads(annotations[RECENT_NODES_ANNOTATION]) == [entry]
    assert set(annotations) == {LAST_NODE_ANNOTATION, RECENT_NODES_ANNOTATION}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["readyAt"])


def test_nothing_is_written_while_a_session_runs_but_is_not_ready(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.pod("s", node, sandbox=space.sandbox("s"))
    space.status(pod, "Running")
    space.settled()
    assert space.untouched()
    space.status(pod, "Running", ready_at=5)
    space.written(node)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_session_that_ended_before_it_was_ready_writes_nothing(space: Space, phase: str) -> None:
    node = space.node("a")
    space.workload()
    pod = space.pod("s", node, sandbox=space.sandbox("s"))
    space.status(pod, phase)
    # A kubelet that reports late, and contradicts itself: terminal counts.
    space.status(pod, phase, ready_at=5)
    space.settled()
    assert space.untouched()


def test_a_session_that_is_being_deleted_before_it_was_ready_writes_nothing(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.pod("s", node, sandbox=space.sandbox("s"))
    space.delete_pod(pod, grace=30)
    space.status(pod, "Running", ready_at=5)
    space.settled()
    assert space.untouched()


def test_a_session_that_ends_after_it_was_ready_stays_remembered(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, ready_at=5)
    space.written(node)
    space.delete_pod(pod)
    space.settled()
    assert space.last_node() == node


@KINDS
@pytest.mark.parametrize("enabled", [False, None])
def test_a_workload_without_opt_in_stays_untouched(space: Space, kind: str, enabled: bool | None) -> None:
    node = space.node("a")
    space.workload(kind=kind, enabled=enabled)
    space.session("s", node, ready_at=5)
    space.settled()
    assert space.untouched(kind=kind)


def test_the_field_wins_over_the_annotation(space: Space) -> None:
    node = space.node("a")
    space.workload(enabled=False, annotations=OPTED_IN)
    space.session("s", node, ready_at=5)
    space.settled()
    assert space.untouched()


def test_a_code_interpreter_with_a_warm_pool_stays_untouched(space: Space) -> None:
    node = space.node("a")
    space.workload("pool", INTERPRETER, warm_pool=2)
    space.workload("poolless", INTERPRETER, warm_pool=0)
    space.session("s1", node, ready_at=5, workload="pool")
    space.session("s2", node, ready_at=5, workload="poolless")
    space.written(node, "poolless", INTERPRETER)
    space.settled()
    assert space.untouched("pool", INTERPRETER)


def test_opting_in_while_a_session_runs_remembers_that_session(space: Space) -> None:
    node = space.node("a")
    space.workload(enabled=False)
    space.session("s", node, ready_at=5)
    space.settled()
    space.change({"spec": {"nodeStickiness": {"enabled": True}}})
    space.written(node)


@KINDS
def test_where_the_crd_has_no_field_the_annotation_opts_in(published_space: Space, kind: str) -> None:
    node = published_space.node("a")
    published_space.workload("in", kind, enabled=None, annotations=OPTED_IN)
    published_space.workload("other", kind, enabled=None, annotations={STICKINESS_ANNOTATION: "Enabled"})
    # The API server drops the field that its CRD does not have, so this one has not opted in.
    published_space.workload("dropped", kind, enabled=True)
    for name in ("other", "dropped", "in"):
        published_space.session(f"s-{name}", node, ready_at=5, workload=name)
    published_space.written(node, "in", kind)
    published_space.settled()
    assert published_space.untouched("other", kind)
    assert published_space.untouched("dropped", kind)


def test_a_pod_s_own_labels_name_its_workload_without_a_sandbox(space: Space) -> None:
    node = space.node("a")
    space.workload()
    space.status(space.pod("s", node, workload="w"), "Running", ready_at=5)
    space.written(node)


def test_a_pod_s_own_labels_win_over_its_sandbox(space: Space) -> None:
    node = space.node("a")
    space.workload("of-the-pod")
    space.workload("of-the-sandbox")
    pod = space.pod("s", node, sandbox=space.sandbox("s", "of-the-sandbox"), workload="of-the-pod")
    space.status(pod, "Running", ready_at=5)
    space.written(node, "of-the-pod")
    space.settled()
    assert space.untouched("of-the-sandbox")


def test_a_pod_without_the_session_label_is_nobody_s_session(space: Space) -> None:
    node = space.node("a")
    space.workload()
    space.status(space.pod("s", node, workload="w", session=False), "Running", ready_at=5)
    space.settled()
    assert space.untouched()


def test_a_name_that_two_kinds_share_is_skipped_counted_and_said_until_one_is_gone(space: Space) -> None:
    node = space.node("a")
    space.workload(kind=AGENT)
    space.workload(kind=INTERPRETER)
    before = attributions(space, "ambiguous")
    space.session("s", node, ready_at=5)
    space.settled()
    assert space.untouched(kind=AGENT)
    assert space.untouched(kind=INTERPRETER)
    assert attributions(space, "ambiguous") == before + 1
    log = space.stack.recorder.log.read_text(encoding="utf-8")
    lines = [line for line in map(json.loads, log.splitlines()) if line.get("namespace") == space.name]
    assert [line["pod"] for line in lines if line.get("reason") == "ambiguous"] == ["s"]
    space.delete(kind=AGENT)
    space.written(node, kind=INTERPRETER)


@pytest.mark.parametrize(("kind", "twin"), [(AGENT, INTERPRETER), (INTERPRETER, AGENT)])
def test_a_twin_of_the_other_kind_that_has_not_opted_in_is_in_nobody_s_way(space: Space, kind: str, twin: str) -> None:
    node, later = space.node("a"), space.node("b")
    space.workload(kind=kind)
    space.workload(kind=twin, enabled=False)
    space.session("s", node, ready_at=5)
    space.written(node, kind=kind)
    assert space.untouched(kind=twin)
    space.change({"spec": {"nodeStickiness": {"enabled": False}}}, kind=kind)
    space.change({"spec": {"nodeStickiness": {"enabled": True}}}, kind=twin)
    space.session("later", later, ready_at=6)
    space.written(later, kind=twin)


def test_where_only_controllers_are_believed_a_pod_s_own_labels_say_nothing(plane: Stack) -> None:
    space = Space(plane)
    recorder = plane.start_recorder("--controllers-only", name=f"recorder-{space.name}")
    try:
        node = space.node("a")
        space.workload("of-the-pod")
        space.workload("of-the-sandbox")
        alone = space.pod("alone", node, workload="of-the-pod")
        space.status(alone, "Running", ready_at=5)
        both = space.pod("both", node, sandbox=space.sandbox("both", "of-the-sandbox"), workload="of-the-pod")
        space.status(both, "Running", ready_at=6)
        space.written(node, "of-the-sandbox")
        assert space.untouched("of-the-pod")
    finally:
        recorder.kill()


@KINDS
def test_the_kind_tells_workloads_of_one_name_apart(space: Space, kind: str) -> None:
    node = space.node("a")
    for each in (AGENT, INTERPRETER):
        space.workload(kind=each)
    space.session("s", node, ready_at=5, kind=kind)
    space.written(node, kind=kind)
    space.settled()
    assert space.untouched(kind=INTERPRETER if kind == AGENT else AGENT)


def test_a_sandbox_that_says_its_workload_only_later_is_waited_for(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.pod("s", node, sandbox=space.sandbox("s", workload=None))
    space.status(pod, "Running", ready_at=5)
    space.settled()
    assert space.untouched()
    space.label_sandbox("s", "w")
    space.written(node)


def test_a_sandbox_made_anew_under_the_same_name_does_not_speak_for_an_older_pod(space: Space) -> None:
    node = space.node("a")
    space.workload("former")
    space.workload("present")
    its_own = space.node("b")
    pod = space.pod("s", its_own, sandbox=space.sandbox("s", "former"))
    space.delete_sandbox("s")
    space.sandbox("s", "present")
    space.settled()
    # Its own pod shows that the recorder has seen the new Sandbox.
    other = space.pod("other", node, sandbox=space.sandbox("other", "former"))
    space.status(other, "Running", ready_at=4)
    space.written(node, "former")
    space.status(pod, "Running", ready_at=5)
    space.settled()
    assert space.untouched("present")
    # Whose session it is was known when it was bound, from the Sandbox that it belongs to.
    assert space.last_node("former") == its_own


def test_a_workload_made_right_after_its_pod_is_waited_for(space: Space) -> None:
    node = space.node("a")
    for attempt in range(20):
        name = f"w{attempt}"
        pod = space.pod(f"s{attempt}", node, workload=name)
        space.status(pod, "Running", ready_at=5)
        workload = space.workload(name)
        if pod["metadata"]["creationTimestamp"] == workload["metadata"]["creationTimestamp"]:
            break
    else:
        pytest.fail("never was a pod and then a workload made within one second")
    space.written(node, name)


def test_a_session_on_a_node_not_seen_yet_waits_for_the_node(space: Space) -> None:
    space.workload()
    pod = space.session("s", f"{space.name}-late", ready_at=5)
    space.settled()
    assert space.untouched()
    node = space.node("late")
    space.written(node)
    assert space.recent()[0] == {
        "node": node,
        "hostname": node,
        "nodeUID": space.node_uid(node),
        "readyAt": moment(5),
        "podUID": pod["metadata"]["uid"],
    }


@pytest.mark.parametrize("text", [
    "", "no JSON", "null", '{"node": "x"}', "[1, 2]", "[" * 10_000, '[{"node": "A b"}]', "[" + "1," * 100_000 + "1]",
], ids=range(8))  # fmt: skip
def test_an_unreadable_memory_is_rewritten(space: Space, text: str) -> None:
    node = space.node("a")
    space.workload(annotations={RECENT_NODES_ANNOTATION: text, LAST_NODE_ANNOTATION: "not a node/name"})
    space.session("s", node, ready_at=5)
    space.written(node)
    assert [entry["node"] for entry in space.recent()] == [node]


def test_a_readable_entry_survives_beside_an_unreadable_one(space: Space) -> None:
    known, node = space.node("known"), space.node("a")
    entry = {"node": known, "nodeUID": space.node_uid(known), "readyAt": moment(1), "podUID": "p"}
    space.workload(annotations={RECENT_NODES_ANNOTATION: json.dumps([7, entry])})
    space.session("s", node, ready_at=5)
    space.written(node)
    assert [entry["node"] for entry in space.recent()] == [node, known]


def test_a_node_without_the_hostname_label_is_remembered_without_one(space: Space) -> None:
    node = space.node("a", hostname=None)
    space.workload()
    space.session("s", node, ready_at=5)
    space.written(node)
    assert "hostname" not in space.recent()[0]


def test_at_most_eight_nodes_are_remembered_newest_first_each_once(space: Space) -> None:
    nodes = [space.node(f"n{number}") for number in range(DEFAULT_RECENT_NODES + 2)]
    space.workload()
    for second, node in enumerate([*nodes, nodes[-2]]):
        space.session(f"s{second}", node, ready_at=second)
    space.written(nodes[-2])
    space.settled()
    wanted = [nodes[-2], nodes[-1], *reversed(nodes[2:-2])]
    assert [entry["node"] for entry in space.recent()] == wanted
    assert len(wanted) == DEFAULT_RECENT_NODES


def test_an_older_ready_seen_later_never_overwrites_a_newer_one(space: Space) -> None:
    older, newer = space.node("older"), space.node("newer")
    space.workload()
    space.session("second", newer, ready_at=20)
    space.written(newer)
    space.session("first", older, ready_at=10)
    space.stack.wait(lambda: len(space.recent()) == 2, "both sessions to be remembered")
    assert space.last_node() == newer
    assert [(entry["node"], entry["readyAt"]) for entry in space.recent()] == [
        (newer, moment(20)),
        (older, moment(10)),
    ]


def test_an_older_session_on_the_same_node_changes_nothing(space: Space) -> None:
    node = space.node("a")
    space.workload()
    space.session("second", node, ready_at=20)
    space.written(node)
    version = space.read()["metadata"]["resourceVersion"]
    space.session("first", node, ready_at=10)
    space.settled()
    assert space.read()["metadata"]["resourceVersion"] == version


def test_what_is_unchanged_is_not_written_again(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, ready_at=5)
    space.written(node)
    version = space.read()["metadata"]["resourceVersion"]
    for address in ("10.0.0.1", "10.0.0.2"):
        space.status(pod, "Running", ready_at=5, podIP=address)
    space.settled()
    assert space.read()["metadata"]["resourceVersion"] == version


def test_an_old_session_that_loses_and_regains_readiness_beats_no_newer_one(space: Space) -> None:
    old, *newer = (space.node(name) for name in "abcd")
    space.workload()
    pod = space.session("old", old, ready_at=1)
    space.written(old)
    for second, node in enumerate(newer, 10):
        space.session(f"s{second}", node, second)
        space.written(node)
    before = space.recent()
    space.status(pod, "Running")
    space.settled()
    space.status(pod, "Running", ready_at=3600)
    space.settled()
    assert space.recent() == before


def seconds_now() -> float:
    """The present, as these tests count."""
    return (datetime.now(UTC) - START).total_seconds()


def test_a_node_whose_clock_is_a_day_ahead_does_not_stay_the_last_one(space: Space) -> None:
    ahead, right = space.node("ahead"), space.node("right")
    space.workload()
    space.session("s1", ahead, seconds_now() + 86400)
    space.written(ahead)
    date = datetime.fromisoformat(space.recent()[0]["readyAt"])
    assert date <= datetime.now(UTC)
    space.stack.wait(lambda: seconds_now() > (date - START).total_seconds() + 1, "the next second")
    space.session("s2", right, seconds_now())
    space.written(right)
    assert [entry["node"] for entry in space.recent()] == [right, ahead]


def test_what_is_written_with_a_date_far_ahead_gives_way_to_every_session(space: Space) -> None:
    ahead, node = space.node("ahead"), space.node("a")
    entry = {"node": ahead, "nodeUID": space.node_uid(ahead), "readyAt": "2999-01-01T00:00:00Z", "podUID": "p"}
    space.workload(annotations={RECENT_NODES_ANNOTATION: json.dumps([entry]), LAST_NODE_ANNOTATION: ahead})
    space.session("s1", node, ready_at=5)
    space.written(node)
    space.session("s2", ahead, ready_at=9)
    space.written(ahead)
    assert [(entry["node"], entry["readyAt"]) for entry in space.recent()] == [(ahead, moment(9)), (node, moment(5))]


def test_a_workload_that_another_api_server_dated_a_little_later_than_its_pod_is_its_workload(space: Space) -> None:
    node = space.node("a")
    pod = space.pod("s", node, workload="w")
    space.second_after(pod)
    space.workload()
    space.status(pod, "Running", ready_at=5)
    space.written(node)


def test_a_workload_made_anew_inherits_nothing_from_a_late_session(space: Space) -> None:
    node = space.node("a")
    space.workload()
    space.session("early", node, ready_at=1)
    space.written(node)
    late = space.pod("late", node, sandbox=space.sandbox("late"))
    space.delete()
    space.second_after(late)
    space.workload()
    space.status(late, "Running", ready_at=5)
    space.settled()
    assert space.untouched()
    assert attributions(space, "workload_replaced") >= 1


def test_a_node_that_is_gone_or_replaced_is_forgotten_at_the_next_write(space: Space) -> None:
    gone, replaced, kept = (space.node(name) for name in ("gone", "replaced", "kept"))
    space.workload()
    for second, node in enumerate((gone, replaced, kept)):
        space.session(f"s{second}", node, ready_at=second)
    space.stack.wait(lambda: len(space.recent()) == 3, "three nodes to be remembered")
    space.delete_node(gone)
    space.delete_node(replaced)
    space.node("replaced")
    # A session on a node made after them: its entry needs that node, hence all earlier events of nodes.
    newest = space.node("newest")
    space.session("s3", newest, ready_at=9)
    space.written(newest)
    assert [entry["node"] for entry in space.recent()] == [newest, kept]


def test_annotations_of_others_are_left_alone(space: Space) -> None:
    node = space.node("a")
    space.workload(annotations={"example.com/mine": "kept"})
    space.session("s", node, ready_at=5)
    space.written(node)
    assert space.read()["metadata"]["annotations"]["example.com/mine"] == "kept"


def test_somebody_else_who_writes_all_the_time_is_neither_stopped_nor_overwritten(space: Space) -> None:
    """Each write in between makes the version that the recorder knows an old one: 409."""
    nodes = [space.node(f"n{number}") for number in range(3)]
    space.workload()
    over = Event()
    counted = 0

    def write() -> None:
        nonlocal counted
        while not over.is_set():
            counted += 1
            space.change({"metadata": {"annotations": {"example.com/count": str(counted)}}})

    other = Thread(target=write)
    other.start()
    try:
        for second in range(30):
            space.session(f"s{second}", nodes[second % 3], ready_at=200 * second)
        newest = moment(200 * 29)
        space.stack.wait(lambda: space.recent()[:1] != [] and space.recent()[0]["readyAt"] == newest, "the newest")
    finally:
        over.set()
        other.join(30)
    assert [(entry["node"], entry["readyAt"]) for entry in space.recent()] == [
        (nodes[second % 3], moment(200 * second)) for second in (29, 28, 27)
    ]
    assert space.read()["metadata"]["annotations"]["example.com/count"] == str(counted)


def test_a_workload_nested_deeper_than_a_decoder_goes_is_written_like_any_other(space: Space) -> None:
    """Also its answer to the first write, and its state after somebody else wrote."""
    server = api.load(str(space.stack.cp.kubeconfig), "test")
    collection = f"{WORKLOADS}/namespaces/{space.name}/agentruntimes"
    nested = msgspec.Raw(b'{"a":' * 1000 + b"1" + b"}" * 1000)
    spec = {"nodeStickiness": {"enabled": True}, "podTemplate": {"spec": {**TEMPLATE["spec"], "nested": nested}}}
    body = {"apiVersion": WORKLOADS.removeprefix("/apis/"), "kind": AGENT, "metadata": {"name": "w"}, "spec": spec}
    server.request("POST", collection, body=body)

    def last_node() -> str | None:
        return read_workload(AGENT_RUNTIME, server.get(f"{collection}/w")).last_node

    for number, name in enumerate("ab"):
        node = space.node(name)
        space.session(f"s{number}", node, number)
        space.stack.wait(lambda n=node: last_node() == n, "the deep workload to be written")  # type: ignore[misc]
        server.merge_patch(f"{collection}/w", {"metadata": {"labels": {"round": name}}}, METADATA.an_object)
