"""What is derived where neither a journal nor an Event knows a session, and what then is not guessed. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from kubectl_lastnode import explanation
from kubectl_lastnode.commands.explain import lines
from kubectl_lastnode.explanation import Explanation, Live
from lastnode.contract import MOVED_REASON_ANNOTATION
from lastnode.memory import Entry
from lastnode.objects import Node, Session, Workload, pack
from lastnode.outcome import Outcome
from lastnode.preference import term, terms
from lastnode.ranking import Preferred
from lastnode.reasons import Reason
from tests.kubectl.journal import moved, record

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CREATED = NOW - timedelta(minutes=5)
NODES = {name: Node(name=name, hostname=name, ready=True) for name in ("a", "b")}


def session(node: str | None = "a", **what: Any) -> Session:
    ready = CREATED + timedelta(seconds=10) if node else None
    fields: dict[str, Any] = {"namespace": "n", "name": "pod", "uid": "mine", "node": node, "created_at": CREATED}
    return Session(**fields | {"ready_at": ready} | what)


def workload(*entries: tuple[str, str, float], sticky: bool = True) -> Workload:
    """Of (node, pod UID, minutes before now)."""
    texts = [
        {"node": node, "hostname": node, "podUID": uid, "readyAt": (NOW - timedelta(minutes=ago)).isoformat()}
        for node, uid, ago in entries
    ]
    packed = pack(msgspec.json.encode(texts).decode()) if texts else None
    return Workload(namespace="n", name="w", resource="r.g", kind="K", sticky=sticky, packed_nodes=packed)


def derive(pod: Session, of: Workload | None, terms: object = None) -> Explanation:
    scheduled = CREATED + timedelta(seconds=4)
    return explanation.derived(Live(pod, terms, scheduled), of, NODES, now=NOW, ttl=3600)


@pytest.mark.parametrize(
    ("memory", "last", "outcome"),
    [
        ((), "", "first"),
        ((("a", "other", 10),), "a", "reused"),
        ((("b", "other", 10),), "b", "moved"),
        ((("b", "later", 1), ("a", "other", 10)), "a", "reused"),
        ((("gone", "other", 10),), "gone", "moved"),
        ((("b", "other", 10), ("a", "another", 20)), "b", "older"),
    ],
    ids=[
        "nothing",
        "the same node",
        "another node",
        "what came later does not count",
        "the node is gone",
        "an older one",
    ],
)
def test_the_memory_as_it_was_before_the_session_tells_its_outcome(memory: Any, last: str, outcome: str) -> None:
    found = derive(session(), workload(*memory))
    assert (found.last_node, found.outcome, found.asked) == (last, outcome, "")
    assert found.reason == (str(Reason.UNKNOWN) if outcome == "moved" else "")


def test_once_its_own_placement_is_written_the_outcome_is_not_known() -> None:
    found = derive(session(), workload(("a", "mine", 4), ("b", "other", 10)))
    assert (found.last_node, found.outcome) == ("", "")
    assert found.notes


def test_a_term_in_the_spec_is_certain_whatever_the_memory_says_now() -> None:
    found = derive(session(), workload(("a", "mine", 4)), [term("b")])
    assert (found.last_node, found.outcome, found.asked) == ("b", "moved", "term")
    assert derive(session(), None, [term("a", match="name")]).outcome == "reused"


def test_terms_tell_an_older_node_from_the_last_one_even_after_its_own_placement_was_written() -> None:
    ranked = [Preferred("b", "b", "", 100), Preferred("a", "a", "", 10)]
    found = derive(session(), workload(("a", "mine", 4)), terms(ranked))
    assert (found.last_node, found.outcome, found.asked, found.reason) == ("b", "older", "term", "")
    alike = [Preferred("b", "b", "", 100), Preferred("a", "a", "", 100)]
    assert derive(session(), workload(("a", "mine", 4)), terms(alike)).outcome == "older"


def test_without_a_memory_a_node_of_the_group_tells_the_outcome_and_its_term_who_asked() -> None:
    relatives = (Entry("a", "a", "", NOW - timedelta(hours=1), "theirs"),)
    pod, scheduled = session(), CREATED + timedelta(seconds=4)
    found = explanation.derived(Live(pod, None, scheduled), workload(), NODES, now=NOW, ttl=0, relatives=relatives)
    assert (found.last_node, found.outcome, found.asked) == ("", "group", "")
    asked = derive(pod, workload(), terms([Preferred("a", "a", "", 1), Preferred("b", "b", "", 1)]))
    assert (asked.last_node, asked.outcome, asked.asked) == ("", "group", "term")


def test_somebody_else_s_term_is_no_wish_for_a_last_node() -> None:
    assert derive(session(), workload(), [term("b", weight=50)]).last_node == ""


@pytest.mark.parametrize("pod", [session(None), session("a", ready_at=None)], ids=["not bound", "not Ready"])
def test_a_session_that_is_not_ready_has_no_outcome_yet(pod: Session) -> None:
    found = derive(pod, workload(("b", "other", 10)))
    assert (found.outcome, found.last_node, len(found.notes)) == ("", "b", 1)


def test_a_workload_that_is_not_sticky_prefers_nothing() -> None:
    found = derive(session(), workload(("b", "other", 10), sticky=False))
    assert (found.outcome, found.reason, found.preferred, found.last_node) == ("", Reason.NOT_STICKY, "", "b")


@pytest.mark.parametrize(
    ("reason", "preferred"), [(Reason.NODE_CORDONED, ""), (Reason.EXPIRED, ""), (Reason.NO_ROOM, "there")]
)
def test_a_node_that_could_not_be_preferred_is_not_called_so(reason: Reason, preferred: str) -> None:
    by_record = explanation.from_record(moved("p", reason, ready=NOW), None, exists=True)
    said = {"metadata": {}, "message": f"session p ran on here and not on there: {reason}: so it was"}
    for found in (by_record, explanation.from_event(said, exists=True)):
        assert (found.last_node, found.preferred) == ("there", preferred)


def test_what_cannot_be_preferred_now_is_derived_as_the_last_node_and_no_more() -> None:
    cordoned = {"b": msgspec.structs.replace(NODES["b"], unschedulable=True)} | {"a": NODES["a"]}
    remembers = workload(("b", "other", 10))
    for nodes, preferred in ((NODES, "b"), (cordoned, "")):
        found = explanation.derived(Live(session(), None, None), remembers, nodes, now=NOW, ttl=3600)
        assert (found.last_node, found.preferred, found.outcome) == ("b", preferred, "moved")


def test_phases_are_told_as_far_as_they_are_known() -> None:
    found = derive(session(), workload())
    assert (found.startup_seconds, found.scheduled_seconds, found.ready_seconds) == (10, 4, 6)
    unscheduled = explanation.from_record(record("p", ready=NOW, scheduled_at=None), None, exists=True)
    assert (unscheduled.startup_seconds, unscheduled.scheduled_seconds) == (2, None)


def test_an_event_whose_text_is_cut_still_has_its_reason() -> None:
    event = {
        "metadata": {"annotations": {MOVED_REASON_ANNOTATION: "no_room"}},
        "related": {"kind": "Pod", "name": "p", "uid": "u"},
        "message": "session p ran",
    }
    found = explanation.from_event(event, exists=False)
    assert (found.reason, found.outcome, found.node) == ("no_room", str(Outcome.MOVED), "")


def test_a_reason_that_this_version_does_not_know_is_unknown() -> None:
    event = {"metadata": {}, "message": "session p ran on a and not on b: solar_wind: it blew"}
    found = explanation.from_event(event, exists=False)
    assert (found.reason, found.node, found.last_node) == ("unknown", "a", "b")


def test_the_newest_of_several_pods_of_one_name_is_explained_unless_the_uid_is_known() -> None:
    records = [moved("p", Reason.EXPIRED, ready=NOW, pod_uid=uid) for uid in ("old", "new")]
    newest, by_uid = (
        explanation.newest_record(records, "default", "p", ""),
        explanation.newest_record(records, "x", "y", "old"),
    )
    assert newest is not None
    assert by_uid is not None
    assert (newest.pod_uid, by_uid.pod_uid) == ("new", "old")
    assert explanation.newest_record(records, "another", "p", "") is None


def test_where_a_session_was_to_be_tried_first_is_said_of_those_that_were_nominated() -> None:
    plain, nominated = (
        lines(explanation.from_record(record("p", ready=NOW, nominated=node), None, exists=True), NOW)
        for node in ("", "here")
    )
    assert [line for line in nominated if line not in plain] == ["Nominated:  here, to be tried first"]
