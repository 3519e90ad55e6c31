"""`make demo` as a user sees it, what it leaves running, and the arithmetic behind its totals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import Reason
from testbed.demo.arms import as_far_as
from testbed.demo.many import Landing, Tally, full_nodes
from testbed.demo.operator import disagreements, told_cold
from testbed.demo.outcome import Outcome as Seen
from testbed.demo.outcome import Run, outcome_of, remembered, total_of
from testbed.paths import REPOSITORY
from testbed.sessions import SessionTimeout
from tests.waiting import eventually


@pytest.fixture(scope="module")
def kept() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """`make demo KEEP=1` as far as its last line, and what it printed."""
    argv = [sys.executable, "-m", "testbed.demo", "--keep"]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        lines: list[str] = []
        for line in demo.stdout:
            lines.append(line.rstrip())
            if line.startswith("Stop it"):
                break
        yield demo, lines
        demo.terminate()


def test_the_demo_prints_every_face_the_control_arms_and_the_lost_nodes(
    kept: tuple[subprocess.Popen[str], list[str]],
) -> None:
    shown = "\n".join(kept[1])
    assert "NOT AS PROMISED" not in shown, shown
    for face in ("webhook", "library", "sandbox", "extender"):
        assert re.search(rf"│ {face} +│ +40 of 40 │", shown), shown
        for fault in ("cordoned", "full", "deleted"):
            assert re.search(rf"│ {face} +│ [^│]+│ [^│]+│ {fault} ", shown), shown
    for control in ("control", "sandbox-control"):
        assert re.search(rf"│ {control} +│ +[0-7] of 40 │", shown), shown
    assert "untouched:" in shown, shown
    # Not all of them, where no node known to one had room: whether that is so, the exit code says.
    for line, sessions in (("8 at a time", 16), ("8 at a time, older-weight=100", 16), ("first of a cache group", 8)):
        assert re.search(rf"│ {line} +│ +\d+ of {sessions} │", shown), shown
    assert shown.count("8 at a time, control:") == shown.count("first of a cache group, control:") == 1, shown
    operator = shown.partition("$ kubectl lastnode report")[2]
    for reason in ("node_cordoned", "no_room", "node_gone"):
        assert f"\n{reason} " in operator, shown
    assert "Why:        node_cordoned" in operator.partition("$ kubectl lastnode explain")[2], shown


def test_what_the_demo_leaves_running_can_be_tried_as_printed_and_goes_without_a_trace(
    kept: tuple[subprocess.Popen[str], list[str]],
) -> None:
    demo, lines = kept
    exports = [line for line in lines if line.startswith("  export ")]
    commands = [line for line in lines if line.startswith("  kubectl ")]
    assert len(commands) == 5

    def tried(command: str) -> str:
        script = "\n".join([*exports, command])
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    pod = "kubectl get pod -o jsonpath='{.metadata.uid} {.spec.nodeName}' " + commands[-1].split()[-1]
    uid, node = tried(pod).split()
    for command in commands:
        tried(command)
    assert re.search(r"^No failure", doctor := tried("kubectl lastnode doctor"), re.MULTILINE), doctor

    def resumed() -> bool:
        now = tried(f"{pod} --ignore-not-found").split()
        return len(now) == 2 and now[0] != uid and now[1] == node

    eventually(resumed, "the resumed Sandbox to be back on its node")
    (kubeconfig,) = re.findall(r"KUBECONFIG=(\S+)", exports[0])
    assert Path(kubeconfig).exists()
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does it: to the programs too
    assert demo.wait(timeout=60) == 0
    assert not Path(kubeconfig).parent.exists()
    for url in re.findall(r"https?://[\w.:]+", "\n".join(lines[-15:])):
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=5)


def run(session: str = "1", node: str = "n", outcome: Seen = "first", seconds: float = 1.0, arm: str = "x") -> Run:
    return Run(arm, "AgentRuntime", "w", session, node, outcome, seconds, pod=f"w-{session}")


def session(outcome: Outcome, reason: Reason | None = None, pod: str = "p") -> SessionRecord:
    return SessionRecord(namespace="default", pod=pod, pod_uid="u", workload="w", kind="AgentRuntime", node="n",
                         outcome=outcome, reason=reason)  # fmt: skip


def tally(*landings: Landing, promised: bool = True) -> Tally:
    return Tally("8 at a time", promised, landings)


def test_the_demo_says_what_the_recorder_counted_otherwise_than_it_saw() -> None:
    runs = [run(), run(outcome="moved"), run(outcome="moved")]
    records = [session(Outcome.FIRST), session(Outcome.MOVED, Reason.NO_ROOM), session(Outcome.MOVED, Reason.TAINTED)]
    assert not disagreements(runs, records)
    assert disagreements(runs, [*records[:2], session(Outcome.REUSED)]) == [
        "the recorder counted 1 sessions as moved, and there were 2",
        "the recorder counted 1 sessions as reused, and there were 0",
    ]
    assert disagreements(runs, [*records[:2], session(Outcome.MOVED, Reason.UNKNOWN)]) == [
        "nobody knows why these moved: p"
    ]


def test_a_session_on_a_known_node_that_the_recorder_counted_as_anywhere_else_is_told() -> None:
    records = [session(outcome, pod=outcome) for outcome in Outcome]
    assert not told_cold(["reused", "older", "group", "not counted yet"], records)
    assert told_cold(["older", "first", "moved"], records) == [
        "the recorder counted first as first, moved as moved, and they ran on a known node"
    ]


def test_of_many_sessions_only_one_for_which_a_known_node_had_room_is_astray() -> None:
    known = frozenset({"a", "b"})
    no_room = tally(Landing(run("2-1", "a"), known), Landing(run("2-2", "c"), known, full=known))
    assert (len(no_room.warm), no_room.share, no_room.problems()) == (1, 0.5, [])
    room = tally(Landing(run("2-1", "a"), known), Landing(run("2-2", "c"), known, full=frozenset({"a"})))
    assert room.problems() == ["8 at a time: a known node had room, and elsewhere ran w-2-2"]


def test_what_chance_brings_back_is_a_problem_only_where_it_is_half_of_a_control_arm() -> None:
    away, back = Landing(run("2-1", "c"), frozenset({"a"})), Landing(run("2-2", "a"), frozenset({"a"}))
    assert not tally(back, away, away, promised=False).problems()
    assert tally(back, away, promised=False).problems() == [
        "8 at a time: 50% came back by chance, so that the comparison says little"
    ]


def test_the_most_on_one_node_is_of_one_round() -> None:
    placed = [("2-1", "a"), ("2-2", "a"), ("2-3", "b"), ("3-1", "a")]
    assert tally(*(Landing(run(name, node), frozenset()) for name, node in placed)).most == 2
    assert (tally().most, tally().share, tally().seconds) == (0, 0.0, None)


def test_a_node_with_as_many_sessions_as_fit_is_full() -> None:
    assert full_nodes([run("2-1", "a"), run("2-2", "b"), run("2-3", "a")], fit=2) == {"a"}


def test_eight_nodes_are_remembered_the_newest_ones_each_once() -> None:
    assert remembered(["a", "b", "a"]) == ["a", "b"]
    assert remembered("abcdefghij") == list("jihgfedc")


def test_a_demo_that_cannot_start_its_cluster_fails_with_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.demo", "--nodes", "many"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_session_is_first_reused_or_moved_by_where_the_one_before_ran() -> None:
    assert outcome_of("a", []) == "first"
    assert outcome_of("a", ["b", "a"]) == "reused"
    assert outcome_of("b", ["b", "a"]) == "older"
    assert outcome_of("c", ["b", "a"]) == "moved"


def test_what_ran_before_a_session_that_is_never_ready_is_told_all_the_same() -> None:
    def rounds() -> Iterator[list[str]]:
        yield ["1"]
        raise SessionTimeout("1 sessions not Ready")

    assert as_far_as(rounds()) == ([["1"]], "1 sessions not Ready")
    assert as_far_as([["1"], ["2"]]) == ([["1"], ["2"]], "")


def test_totals_count_only_their_own_arm_and_only_sessions_that_could_come_back() -> None:
    told: list[tuple[str, Seen, float]] = [("x", "first", 4.0), ("x", "reused", 1.0), ("x", "moved", 3.0)]
    runs = [run(arm=arm, outcome=outcome, seconds=seconds) for arm, outcome, seconds in [*told, ("y", "moved", 9.0)]]
    total = total_of("x", runs)
    assert (total.returning, total.reused, total.share) == (2, 1, 0.5)
    assert (total.first_seconds, total.reused_seconds, total.moved_seconds) == (4.0, 1.0, 3.0)
    assert total_of("nobody", runs).share == 0.0
