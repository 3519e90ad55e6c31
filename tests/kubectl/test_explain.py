"""`kubectl lastnode explain`: from the journal, from an Event, or derived, for pods there and gone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lastnode import contract
from lastnode.preference import term
from lastnode.reasons import Reason
from testbed.stack import Stack
from tests.kubectl.journal import journal, moved, recorder_pod, reused, served
from tests.kubectl.terminal import parsed, run
from tests.recorder.space import START, TEMPLATE, Space, moment

UNREACHABLE = "http://127.0.0.1:1"


def explained(space: Space, pod: str, *words: str) -> Any:
    return parsed(space.stack.cp.kubeconfig, "explain", pod, "-n", space.name, *words)


@pytest.fixture
def placed(space: Space) -> tuple[Space, Any, str, str]:
    """A workload that remembers ``there``, and a session of it on ``here``: space, pod, here, there."""
    here, there = space.node("here"), space.node("there")
    entry = f'[{{"node":"{there}","hostname":"{there}","readyAt":"{moment(-3600)}","podUID":"before"}}]'
    space.workload(annotations={contract.LAST_NODE_ANNOTATION: there, contract.RECENT_NODES_ANNOTATION: entry})
    return space, space.session("s-1", here, 10), here, there


def test_the_journal_says_what_was_preferred_what_happened_and_why(placed: tuple[Space, Any, str, str]) -> None:
    space, pod, here, there = placed
    uid = pod["metadata"]["uid"]
    known = moved("s-1", Reason.NO_ROOM, ready=START, took=12, pod_uid=uid, namespace=space.name,
                  workload="w", node=here, last_node=there)  # fmt: skip
    others = moved("s-1", Reason.TAINTED, ready=START, pod_uid="of-an-earlier-pod", namespace=space.name)
    with served(journal(others, known, since=START)) as port:
        words = ("--recorder-url", f"http://127.0.0.1:{port}")
        found = explained(space, "s-1", *words)
        text = run(space.stack.cp.kubeconfig, "explain", "pod/s-1", "-n", space.name, *words).stdout
    assert (found["source"], found["exists"], found["asked"]) == ("journal", True, "extender")
    assert (found["lastNode"], found["node"], found["outcome"]) == (there, here, "moved")
    assert (found["reason"], found["meaning"]) == ("no_room", Reason.NO_ROOM.meaning)
    assert (found["startupSeconds"], found["scheduledSeconds"], found["readySeconds"]) == (12, 6, 6)
    assert found["entry"]["podUID"] == "before"
    assert f"Why:        no_room: {Reason.NO_ROOM.meaning}" in text.splitlines()
    assert "Start-up:   12.0s: scheduled after 6.0s, Ready 6.0s later" in text.splitlines()


def test_a_cordoned_node_was_not_preferred_and_nobody_could_ask_for_it(placed: tuple[Space, Any, str, str]) -> None:
    space, pod, here, there = placed
    known = moved("s-1", Reason.NODE_CORDONED, ready=START, pod_uid=pod["metadata"]["uid"], namespace=space.name,
                  workload="w", node=here, last_node=there, asked="")  # fmt: skip
    with served(journal(known, since=START)) as port:
        words = ("explain", "s-1", "-n", space.name, "--recorder-url", f"http://127.0.0.1:{port}")
        told = run(space.stack.cp.kubeconfig, *words).stdout.splitlines()
    assert any(line.startswith(f"Preferred:  nothing; its last node was {there} (its session became ") for line in told)
    assert "Asked by:   -" in told


def test_a_pod_that_is_gone_is_found_in_the_journal_by_its_name(space: Space) -> None:
    older = moved("gone", Reason.EXPIRED, ready=START, namespace=space.name, pod_uid="older")
    newer = reused("gone", ready=START.replace(year=START.year + 1), namespace=space.name, pod_uid="newer")
    elsewhere = moved("gone", Reason.TAINTED, ready=START, namespace="another")
    with served(journal(newer, older, elsewhere, since=START)) as port:
        found = explained(space, "gone", "--recorder-url", f"http://127.0.0.1:{port}")
    assert (found["podUID"], found["exists"], found["outcome"], found["reason"]) == ("newer", False, "reused", "")


def test_an_event_explains_where_no_recorder_answers(placed: tuple[Space, Any, str, str]) -> None:
    space, pod, here, there = placed
    say_moved(space, pod, here, there, Reason.OUTSCORED)
    words = ("explain", "s-1", "-n", space.name, "--recorder-url", UNREACHABLE)
    done = run(space.stack.cp.kubeconfig, *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"warning: recorder {UNREACHABLE} does not answer: ")
    found = explained(space, "s-1", "--recorder-url", UNREACHABLE)
    assert (found["source"], found["reason"], found["workload"]) == ("event", "outscored", "w")
    assert (found["node"], found["lastNode"], found["exists"]) == (here, there, True)
    space.delete_pod(pod)
    gone = explained(space, "s-1", "--recorder-url", UNREACHABLE)
    assert (gone["source"], gone["reason"], gone["exists"]) == ("event", "outscored", False)


def test_what_an_event_says_is_shown_and_orders_the_terminal_nothing(placed: tuple[Space, Any, str, str]) -> None:
    space, pod, here, _ = placed
    say_moved(space, pod, here, "\x1b[2J\x9b31m\u202egone", Reason.OUTSCORED)
    done = run(space.stack.cp.kubeconfig, "explain", "s-1", "-n", space.name, "--recorder-url", UNREACHABLE)
    assert "Preferred:  \\u001b[2J\\u009b31m\\u202egone" in done.stdout.splitlines()
    assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines())


def test_another_pod_of_the_same_name_is_not_explained_by_the_former_one_s_event(
    placed: tuple[Space, Any, str, str],
) -> None:
    space, pod, here, there = placed
    say_moved(space, pod | {"metadata": pod["metadata"] | {"uid": "the-former"}}, here, there, Reason.OUTSCORED)
    assert explained(space, "s-1")["source"] == "derived"


def test_where_only_controllers_are_believed_a_pod_s_own_labels_say_nothing(space: Space) -> None:
    space.workload()
    space.status(space.pod("s-1", space.node("a"), workload="w"), "Running", ready_at=5)
    words = ("--recorder-url", UNREACHABLE)
    assert explained(space, "s-1", *words)["workload"] == "w"
    doubted = explained(space, "s-1", "--controllers-only", *words)
    assert doubted["workload"] == ""
    assert doubted["notes"][-1] == "Whose session it is cannot be known: unclaimed."


def test_without_journal_and_event_only_what_can_be_derived_is_said(placed: tuple[Space, Any, str, str]) -> None:
    space, _, here, there = placed
    found = explained(space, "s-1")
    assert (found["source"], found["outcome"], found["reason"]) == ("derived", "moved", "unknown")
    assert (found["lastNode"], found["node"], found["asked"]) == (there, here, "")
    assert (found["workload"], found["kind"]) == ("w", "AgentRuntime")


def test_a_workload_that_has_not_opted_in_preferred_nothing_and_a_misspelled_opt_in_is_named(
    placed: tuple[Space, Any, str, str],
) -> None:
    space, _, _, there = placed
    said = {contract.STICKINESS_ANNOTATION: "true"}
    space.change({"metadata": {"annotations": said}, "spec": {"nodeStickiness": None}})
    found = explained(space, "s-1")
    space.change({"metadata": {"annotations": {contract.STICKINESS_ANNOTATION: None}}})
    assert (found["reason"], found["preferred"], found["lastNode"]) == ("not_sticky", "", there)
    assert found["notes"][-1] == f"{contract.STICKINESS_ANNOTATION} is 'true'; only 'enabled' counts."


def test_a_term_in_the_pod_s_spec_tells_who_asked(placed: tuple[Space, Any, str, str]) -> None:
    space, _, here, _ = placed
    spec = TEMPLATE["spec"] | {"nodeName": here, "affinity": preferring(here)}
    labels = {contract.SESSION_LABEL: "s", contract.WORKLOAD_NAME_LABEL: "w"}
    body = {"metadata": {"name": "asks", "labels": labels}, "spec": spec}
    space.status(space.api.post(f"/api/v1/namespaces/{space.name}/pods", body), "Running", 20)
    found = explained(space, "asks")
    assert (found["asked"], found["lastNode"], found["outcome"]) == ("term", here, "reused")


def test_of_a_session_that_came_back_the_term_in_its_pod_tells_who_asked_as_long_as_it_is_there(
    placed: tuple[Space, Any, str, str],
) -> None:
    space, plain, here, _ = placed
    spec = TEMPLATE["spec"] | {"nodeName": here, "affinity": preferring(here)}
    labels = {contract.SESSION_LABEL: "s", contract.WORKLOAD_NAME_LABEL: "w"}
    pod = space.api.post(
        f"/api/v1/namespaces/{space.name}/pods", {"metadata": {"name": "asks", "labels": labels}, "spec": spec}
    )
    # As the recorder counts sessions that came back: it asks nobody about them.
    known = [
        reused(name, ready=START, pod_uid=each["metadata"]["uid"], namespace=space.name, workload="w", node=here,
               last_node=here, asked="")
        for name, each in (("asks", pod), ("s-1", plain))
    ]  # fmt: skip
    with served(journal(*known, since=START)) as port:

        def asked_by(pod: str) -> str:
            words = ("explain", pod, "-n", space.name, "--recorder-url", f"http://127.0.0.1:{port}")
            (line,) = re.findall(r"^Asked by: +(.+)$", run(space.stack.cp.kubeconfig, *words).stdout, re.MULTILINE)
            return str(line)

        assert asked_by("asks") == "the preferred term in the pod's own spec (webhook or library)"
        assert asked_by("s-1") == "not known: no term in the pod, and no word of the extender"
        say_moved(space, pod, here, here, Reason.OUTSCORED)
        assert explained(space, "asks", "--recorder-url", UNREACHABLE)["asked"] == "term"  # by the Event
        space.delete_pod(pod)
        assert asked_by("asks") == "not known: the pod is gone, and its terms with it"


def test_what_its_own_placement_has_overwritten_is_not_guessed(placed: tuple[Space, Any, str, str]) -> None:
    space, pod, here, there = placed
    own = f'{{"node":"{here}","readyAt":"{moment(10)}","podUID":"{pod["metadata"]["uid"]}"}}'
    old = f'{{"node":"{there}","readyAt":"{moment(-3600)}","podUID":"before"}}'
    space.change({"metadata": {"annotations": {contract.RECENT_NODES_ANNOTATION: f"[{own},{old}]"}}})
    found = explained(space, "s-1")
    assert (found["source"], found["outcome"], found["lastNode"]) == ("derived", "", "")
    assert "it may have come back" in found["notes"][0]


def test_a_pod_of_nobody_says_whose_it_might_be_cannot_be_known(space: Space) -> None:
    space.status(space.pod("lost", space.node("here"), workload="nobody"), "Running", 1)
    found = explained(space, "lost")
    assert found["workload"] == ""
    assert found["notes"][-1].endswith("workload_unknown.")


def test_nothing_known_and_no_session_are_said_in_one_line_with_exit_code_1(space: Space) -> None:
    done = run(space.stack.cp.kubeconfig, "explain", "nobody", "-n", space.name)
    assert done.returncode == 1
    warning, error = done.stderr.splitlines()
    assert warning.startswith("warning: no recorder is asked: no recorder's pod found in namespace lastnode-system; ")
    assert error == f"error: no pod nobody in namespace {space.name}, and no Event knows it"
    with served(journal(since=START)) as port:
        words = ("--recorder-url", f"http://127.0.0.1:{port}")
        asked = run(space.stack.cp.kubeconfig, "explain", "nobody", "-n", space.name, *words)
    said = f"error: no pod nobody in namespace {space.name}, and neither a journal nor an Event knows it\n"
    assert asked.stderr == said
    space.pod("plain", space.node("here"), session=False)
    done = run(space.stack.cp.kubeconfig, "explain", "plain", "-n", space.name)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: pod {space.name}/plain is no session's: ")


def test_who_names_a_workload_is_told_which_of_its_sessions_to_ask_about(space: Space) -> None:
    space.workload("agent")
    mine = {"namespace": space.name, "workload": "agent"}
    strangers = moved("stranger", Reason.TAINTED, ready=START, workload="agent", namespace="another")
    came, went = reused("came", ready=START, **mine), moved("went", Reason.TAINTED, ready=START, **mine)
    asked = f"error: AgentRuntime {space.name}/agent is a workload, and explain asks for a session's pod; "
    for records, told in (
        ((went, came, strangers), "its last session that moved: explain went"),
        ((came, strangers), "its last session: explain came"),
        ((strangers,), "no journal knows one of its sessions"),
    ):
        with served(journal(*records, since=START)) as port:
            words = ("-n", space.name, "--recorder-url", f"http://127.0.0.1:{port}")
            for name in ("agent", "agentruntime/agent"):
                done = run(space.stack.cp.kubeconfig, "explain", name, *words)
                assert (done.returncode, done.stderr) == (1, f"{asked}{told}\n")


def test_recorders_are_found_as_pods_and_asked_through_the_api_server(space: Space, stack: Stack) -> None:
    known = moved("gone", Reason.TAINTED, ready=START, namespace=space.name)
    with served(journal(known, since=START), host="0.0.0.0") as port:
        recorder_pod(space.api, space.name, "recorder-1", port)
        words = ("--release-namespace", space.name)
        found = explained(space, "gone", *words)
        assert (found["source"], found["reason"]) == ("journal", "tainted")
        elsewhere = run(stack.cp.kubeconfig, "explain", "gone", "-n", space.name)
        assert "no recorder is asked: no recorder's pod found in namespace lastnode-system" in elsewhere.stderr
    unanswered = run(stack.cp.kubeconfig, "explain", "gone", "-n", space.name, *words)
    assert unanswered.returncode == 1
    assert f"warning: recorder {space.name}/recorder-1 does not answer: 503 " in unanswered.stderr
    space.api.delete(f"/api/v1/namespaces/{space.name}/pods/recorder-1?gracePeriodSeconds=0")


def preferring(node: str) -> dict[str, Any]:
    return {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term(node)]}}


def say_moved(space: Space, pod: Any, node: str, last: str, reason: Reason) -> None:
    """The Event that the recorder writes for a session that moved."""
    workload = space.read()
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    space.api.post(
        f"/api/v1/namespaces/{space.name}/events",
        {
            "metadata": {"generateName": "w.", "annotations": {"runtime.agentcube.io/moved-reason": str(reason)}},
            "involvedObject": {
                "apiVersion": workload["apiVersion"], "kind": workload["kind"], "name": "w",
                "namespace": space.name, "uid": workload["metadata"]["uid"],
            },
            "related": {"kind": "Pod", "namespace": space.name, "name": name, "uid": uid},
            "type": "Normal", "reason": "SessionMoved", "action": "Scheduling",
            "reportingComponent": "lastnode-recorder", "reportingInstance": "r-1",
            "eventTime": START.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "message": f"session {name} ran on {node} and not on {last}: {reason}: {Reason(reason).meaning}",
        },
    )  # fmt: skip
