"""`make demo` as a user sees it, and the arithmetic behind its totals."""

import subprocess
import sys

from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import Reason
from testbed.demo.operator import disagreements
from testbed.demo.outcome import Run, outcome_of, total_of
from testbed.paths import REPOSITORY


def test_the_demo_ends_well_and_prints_both_faces_the_control_arm_and_the_lost_nodes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "testbed.demo"], cwd=REPOSITORY, capture_output=True, text=True, timeout=280
    )
    shown = done.stdout
    assert done.returncode == 0, shown + done.stderr
    assert "NOT AS PROMISED" not in shown
    for line in ("(a) extender", "(b) library", "control: the same without stickiness", "untouched:"):
        assert line in shown, shown
    for fault in ("cordoned", "full", "deleted"):
        assert shown.count(f"│ {fault} ") == 2, shown  # once a face
    assert shown.count("40 of 40") == 2, shown
    operator = shown.partition("$ kubectl lastnode report")[2]
    for reason in ("node_cordoned", "no_room", "node_gone"):
        assert f"\n{reason} " in operator, shown
    assert "Why:        node_cordoned" in operator.partition("$ kubectl lastnode explain")[2], shown


def test_the_demo_says_what_the_recorder_counted_otherwise_than_it_saw() -> None:
    def session(outcome: Outcome, reason: Reason | None = None) -> SessionRecord:
        return SessionRecord(namespace="default", pod="p", pod_uid="u", workload="w", kind="AgentRuntime", node="n",
                             outcome=outcome, reason=reason)  # fmt: skip

    runs = [Run("x", "AgentRuntime", "w", "1", "n", outcome, 1.0) for outcome in ("first", "moved", "moved")]
    records = [session(Outcome.FIRST), session(Outcome.MOVED, Reason.NO_ROOM), session(Outcome.MOVED, Reason.TAINTED)]
    assert not disagreements(runs, records)
    assert disagreements(runs, [*records[:2], session(Outcome.REUSED)]) == [
        "the recorder counted 1 sessions as moved, and there were 2",
        "the recorder counted 1 sessions as reused, and there were 0",
    ]
    assert disagreements(runs, [*records[:2], session(Outcome.MOVED, Reason.UNKNOWN)]) == [
        "nobody knows why these moved: p"
    ]


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


def test_totals_count_only_their_own_arm_and_only_sessions_that_could_come_back() -> None:
    def run(arm: str, outcome: str, seconds: float) -> Run:
        return Run(arm, "AgentRuntime", "w", "1", "n", outcome, seconds)  # type: ignore[arg-type]

    runs = [run("x", "first", 4.0), run("x", "reused", 1.0), run("x", "moved", 3.0), run("y", "moved", 9.0)]
    total = total_of("x", runs)
    assert (total.returning, total.reused, total.share) == (2, 1, 0.5)
    assert (total.first_seconds, total.reused_seconds, total.moved_seconds) == (4.0, 1.0, 3.0)
    assert total_of("nobody", runs).share == 0.0
