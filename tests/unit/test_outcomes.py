"""What an outcome and its reason follow from, without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender.decisions import DecisionLog
from lastnode.memory import Entry
from lastnode.objects import Node
from lastnode.outcome import JOURNAL, Decision, Decisions, Expected, Outcome, SessionRecord, expect, judge
from lastnode.ranking import validity
from lastnode.reasons import INVALID, MOVED, MUTATE, NO_PREFERENCE, PRIORITIZE, Reason, Result
from recorder.journal import SessionLog
from recorder.why import extenders
from recorder.why.extenders import Answer, Extenders, Found
from recorder.why.inquiry import Explanation, conclude
from testbed.paths import REPOSITORY

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
A = Node(name="a", uid="uid-a", hostname="a", ready=True)
B = Node(name="b", uid="uid-b", hostname="b", ready=True)
OLDER = Entry(node="b", hostname="b", node_uid="uid-b", ready_at=NOW - timedelta(hours=2), pod_uid="p1")
ENTRY = Entry(node="a", hostname="a", node_uid="uid-a", ready_at=NOW - timedelta(hours=1), pod_uid="p0")


def record(pod: str = "p1", **more: object) -> SessionRecord:
    said = {
        "namespace": "ns",
        "pod": pod,
        "pod_uid": f"uid-{pod}",
        "workload": "w",
        "kind": "AgentRuntime",
        "node": "a",
    }
    return SessionRecord(**{**said, "outcome": Outcome.FIRST, **more})  # type: ignore[arg-type]


def test_every_reason_has_words() -> None:
    assert [reason for reason in [*Reason, *Result] if not reason.meaning] == []


def test_the_sets_of_reasons_hold_each_once() -> None:
    for closed in (INVALID, NO_PREFERENCE, MOVED, PRIORITIZE, MUTATE):
        assert len(set(closed)) == len(closed)


def test_every_reason_and_result_is_in_a_set_so_that_metrics_and_remedies_know_it() -> None:
    assert {*Reason} == {Reason.VALID, *NO_PREFERENCE, *MOVED}
    assert {*Result} == {result for result in (*PRIORITIZE, *MUTATE) if isinstance(result, Result)}


@pytest.mark.parametrize("reason", [*Reason])
def test_every_reason_is_found_by_a_program(reason: Reason) -> None:
    files = (file for part in ("lastnode", "extender", "recorder") for file in (REPOSITORY / part).rglob("*.py"))
    finders = {file.name for file in files if f"Reason.{reason.name}" in file.read_text(encoding="utf-8")}
    assert finders - {"reasons.py"}


def test_what_is_found_of_an_entry_are_just_the_reasons_against_it() -> None:
    states = [{}, {"uid": "new"}, {"leaving": True}, {"ready": False}, {"unschedulable": True}]
    nodes = [None, *({"a": msgspec.structs.replace(A, **state)} for state in states), {}]  # type: ignore[arg-type]
    dates = [(ENTRY.ready_at or NOW) + timedelta(hours=hours) for hours in (-1, 0, 24)]
    found = {validity(ENTRY, now=now, ttl=86400, nodes=known) for now in dates for known in nodes}
    assert found == {Reason.VALID, *INVALID}


@pytest.mark.parametrize(
    ("memory", "nodes", "ran_on", "expected"),
    [
        ((), {"a": A}, A, (Outcome.FIRST, None)),
        ((ENTRY,), {"a": A}, A, (Outcome.REUSED, None)),
        ((ENTRY,), {"a": A, "b": B}, B, (Outcome.MOVED, None)),
        ((ENTRY,), {"b": B}, B, (Outcome.MOVED, Reason.NODE_GONE)),
        ((ENTRY,), {"a": Node(name="a", uid="new", hostname="a", ready=True)},
         Node(name="a", uid="new", hostname="a", ready=True), (Outcome.MOVED, Reason.NODE_REPLACED)),
        ((Entry(node="a"),), {"a": A}, A, (Outcome.REUSED, None)),
        ((ENTRY, OLDER), {"a": A, "b": B}, B, (Outcome.OLDER, None)),
        ((ENTRY, OLDER), {"b": B}, B, (Outcome.REUSED, None)),
        ((ENTRY, OLDER), {"a": A}, Node(name="b", uid="new", hostname="b", ready=True), (Outcome.MOVED, None)),
    ],
)  # fmt: skip
def test_an_outcome_is_judged_by_where_the_pod_really_ran(
    memory: tuple[Entry, ...], nodes: dict[str, Node], ran_on: Node, expected: tuple[Outcome, Reason | None]
) -> None:
    assert judge(expect(memory, now=NOW, ttl=86400, nodes=nodes), ran_on) == expected


def test_an_expired_memory_explains_a_move_and_does_not_deny_a_return() -> None:
    then = expect((ENTRY,), now=NOW + timedelta(days=2), ttl=86400, nodes={"a": A, "b": B})
    assert judge(then, B) == (Outcome.MOVED, Reason.EXPIRED)
    assert judge(then, A) == (Outcome.REUSED, None)
    assert then.last_node == "a"


def test_without_a_memory_of_its_own_a_session_may_run_on_a_node_of_the_group() -> None:
    then = expect((), now=NOW, ttl=86400, nodes={"a": A, "b": B}, relatives=[ENTRY])
    assert judge(then, A) == (Outcome.GROUP, None)
    assert judge(then, B) == (Outcome.FIRST, None)
    own = expect((OLDER,), now=NOW, ttl=86400, nodes={"a": A, "b": B}, relatives=[ENTRY])
    assert judge(own, A) == (Outcome.MOVED, None)


def test_nothing_remembered_has_no_last_node() -> None:
    assert expect((), now=NOW, ttl=0, nodes={}) == Expected(None, "", "", Reason.NOTHING_REMEMBERED)


def decision(result: str, node: str = "a", at: datetime = NOW) -> Decision:
    return Decision(pod_uid="p", result=result, node=node, at=at)


@pytest.mark.parametrize(
    ("result", "node", "nodes", "reason"),
    [
        ("preferred", "a", 5000, Reason.OUTSCORED),
        ("preferred", "b", 10, Reason.UNAWARE),
        ("not_offered", "a", 10, Reason.NOT_OFFERED),
        ("already_injected", "a", 100, Reason.OUTSCORED),
        ("already_injected", "a", 101, Reason.NOT_CHOSEN),
        ("node_cordoned", "", 10, Reason.NODE_CORDONED),
        ("not_synced", "", 10, Reason.UNAWARE),
        ("nothing_remembered", "", 10, Reason.UNAWARE),
        ("a result of the future", "", 10, Reason.UNAWARE),
    ],
)
def test_a_decision_says_why(result: str, node: str, nodes: int, reason: Reason) -> None:
    answer = Answer(Found.ANSWERED, decision(result, node))
    assert conclude(answer, ENTRY.node, nodes) == Explanation(reason, "extender")


def test_no_decision_means_that_nobody_asked_only_where_everybody_would_know() -> None:
    before, after = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)

    def none_since(since: datetime) -> Decisions:
        return Decisions(since=since, decisions=[])

    assert extenders.sum_up([none_since(before)], NOW).found is Found.NOTHING
    assert extenders.sum_up([none_since(before), none_since(after)], NOW).found is Found.FAILED
    assert extenders.sum_up([none_since(before), None], NOW).found is Found.FAILED
    assert extenders.sum_up([], NOW).found is Found.FAILED


def test_the_newest_decision_of_all_replicas_counts_though_one_is_silent() -> None:
    older, newer = decision("not_synced"), decision("preferred", at=NOW + timedelta(seconds=1))
    answers = [Decisions(since=NOW, decisions=[newer]), None, Decisions(since=NOW, decisions=[older])]
    assert extenders.sum_up(answers, NOW) == Answer(Found.ANSWERED, newer)


def test_who_has_no_extender_knows_that_nobody_asked() -> None:
    assert Extenders("none").decided("p", "ns", NOW).found is Found.NOTHING
    assert Extenders("").decided("p", "ns", NOW).found is Found.FAILED


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40))
def test_the_decision_log_keeps_the_last_answer_about_each_of_the_newest_pods(asked: list[str]) -> None:
    ticks = iter(range(1000))
    log = DecisionLog(size=3, clock=lambda: next(ticks))
    for number, uid in enumerate(asked):
        log.note("ns", uid, f"result-{number}", uid)
    newest = list(dict.fromkeys(reversed(asked)))[:3]
    for uid in newest:
        (one,) = log.of(uid).decisions
        assert one.result == f"result-{max(i for i, a in enumerate(asked) if a == uid)}"
    forgotten = set(asked) - set(newest)
    assert all(not log.of(uid).decisions for uid in forgotten)
    assert (log.of("", "ns").since > datetime.fromtimestamp(0, UTC)) == bool(forgotten)


@given(st.lists(st.sampled_from(["loud", "louder", ""]), max_size=400), st.integers(0, 300))
def test_a_namespace_that_has_few_decisions_loses_none_to_the_others(noise: list[str], when: int) -> None:
    ticks = iter(range(10_000))
    log = DecisionLog(size=30, clock=lambda: next(ticks))
    for number, namespace in enumerate(noise):
        if number == when:
            for pod in range(5):
                log.note("quiet", f"quiet-{pod}", "preferred", "n")
        log.note(namespace, f"{namespace}-{number}", "preferred")
    kept = [log.of(f"quiet-{pod}", "quiet") for pod in range(5)]
    assert all(len(each.decisions) == (when < len(noise)) for each in kept)
    assert {each.since for each in kept} == {datetime.fromtimestamp(0, UTC)}
    assert sum(len(log.of(f"{ns}-{number}").decisions) for number, ns in enumerate(noise)) <= 30


def test_what_is_no_uid_is_not_kept() -> None:
    log = DecisionLog()
    for uid in ("", "x" * 65, "x" * 8_000_000):
        log.note("", uid, "preferred")
        assert log.of(uid).decisions == []


@given(st.integers(0, 12), st.integers(0, 5))
def test_the_journal_keeps_the_newest_and_says_how_many_it_forgot(sessions: int, size: int) -> None:
    log = SessionLog(size, "me", lambda: NOW.timestamp())
    for number in range(sessions):
        log.add(record(f"p{number}"))
    journal = JOURNAL.decode(b"".join(log.page(leading=True)))
    assert [one.pod for one in journal.sessions] == [f"p{number}" for number in range(sessions)][
        max(0, sessions - size) :
    ]
    assert journal.dropped == max(0, sessions - size)
    assert (journal.replica, journal.leading, journal.since) == ("me", True, NOW)


def test_the_journal_finds_one_pod() -> None:
    log = SessionLog(10, "me")
    for pod in ("p1", "p11"):
        log.add(record(pod))
    assert [one.pod for one in JOURNAL.decode(b"".join(log.page(False, "uid-p1"))).sessions] == ["p1"]
    assert not JOURNAL.decode(b"".join(log.page(False, 'uid-"'))).sessions


@given(st.builds(record, pod=st.text(max_size=9), node=st.text(), last_node=st.text(), reason=st.sampled_from(Reason)))
def test_a_record_comes_out_of_the_journal_as_it_went_in(one: SessionRecord) -> None:
    log = SessionLog(1, "me")
    log.add(one)
    assert JOURNAL.decode(b"".join(log.page(True))).sessions == [one]


def test_start_up_never_takes_less_than_no_time() -> None:
    assert record(created_at=NOW, ready_at=NOW - timedelta(seconds=3)).startup_seconds == 0
    assert record(ready_at=NOW).startup_seconds is None
    whole = record(created_at=NOW, scheduled_at=NOW + timedelta(seconds=2), ready_at=NOW + timedelta(seconds=7))
    assert whole.phases == {"scheduled": 2, "ready": 5}
    assert whole.startup_seconds == sum(whole.phases.values())
    seen = msgspec.structs.replace(whole, seen_seconds=4.6)
    assert (seen.phases, seen.startup_seconds) == ({"scheduled": 2, "ready": 4.6}, 6.6)
