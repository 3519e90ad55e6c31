"""Which sessions are handed over to be counted, and when; without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from lastnode.contract import SANDBOX_GROUP, SANDBOX_RESOURCE, WORKLOAD_NAME_LABEL
from lastnode.kinds import AGENTCUBE, DEFAULT_RESOURCES
from lastnode.kube.unforeseen import Unforeseen
from lastnode.memory import Entry, Memory
from lastnode.objects import Node, Session, Workload
from lastnode.outcome import JOURNAL, SessionRecord
from lastnode.view import View
from recorder.counting import MOST_WAITING, Counting, SessionLog, record_of
from recorder.life import UNEXPLAINED, Explanation, Life
from recorder.metrics import SessionMetrics
from recorder.sessions import MOST_DUE, Sessions
from tests.recorder.loops import running
from tests.waiting import eventually

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RESOURCE = DEFAULT_RESOURCES[0]
A = Node(name="a", uid="uid-a", hostname="a", ready=True)
B = Node(name="b", uid="uid-b", hostname="b", ready=True)
WORKLOAD = Workload(namespace="ns", name="w", uid="uid-w", resource=RESOURCE, kind="AgentRuntime", sticky=True)


class World:
    """A view with two nodes and one workload, whose memory a test sets; sessions that follow it, and what they hand
    over: whom to ask about (``asked``), and whom to count (``counted``)."""

    def __init__(self, memory: Memory = (), known: bool = True, redate: float = 0.0) -> None:
        self.memory = memory
        self.known = known
        self.now = NOW
        self.asked: list[str] = []
        self.counted: list[Life] = []
        self.view = View()
        self.sessions = Sessions(
            self.view,
            lambda _: None,
            recall=lambda _: self.memory,
            ttl=86400,
            known=lambda: self.known,
            inquire=lambda life: self.asked.append(life.session.name),
            count=self.counted.append,
            redate=redate,
            now=lambda: self.now,
        )
        self.sessions.follow()
        for node in (A, B):
            self.view.nodes.upsert(node)
        self.view.workloads[RESOURCE].upsert(WORKLOAD)

    def bound(self, name: str, node: str = "a", **more: object) -> Session:
        session = Session(
            namespace="ns", name=name, uid=f"uid-{name}", node=node, created_at=NOW, ways=(AGENTCUBE,),
            claims=(WORKLOAD_NAME_LABEL, "w"),
        )  # fmt: skip
        session = msgspec.structs.replace(session, **more)
        self.view.sessions.upsert(session)
        return session

    def found_ready(self, made: int) -> None:
        """A session of a Sandbox that was made so many seconds ago."""
        box = msgspec.structs.replace(
            WORKLOAD, name="s", uid="uid-box", resource=SANDBOX_RESOURCE, kind="Sandbox", sticky=False,
            created_at=NOW - timedelta(seconds=made),
        )  # fmt: skip
        self.view.workloads[SANDBOX_RESOURCE].upsert(box)
        self.bound("s", ready_at=NOW, controller="s", controller_uid=box.uid, controller_group=SANDBOX_GROUP)

    def ready(self, session: Session) -> None:
        self.view.sessions.upsert(msgspec.structs.replace(session, ready_at=NOW))

    def settle(self, *, ours: bool = True) -> None:
        """What is pending has been written, by this replica or another one."""
        pending = self.sessions.pending(WORKLOAD.workload_key)
        if pending is not None:
            self.sessions.settle(WORKLOAD.workload_key, pending, ours=ours)

    def outcomes(self) -> list[str]:
        return [str(record_of(life).outcome) for life in self.counted]


def entry(node: Node, pod: str = "before", age: timedelta = timedelta(hours=1)) -> Entry:
    return Entry(node=node.name, hostname=node.hostname, node_uid=node.uid, ready_at=NOW - age, pod_uid=f"uid-{pod}")


def test_what_counts_is_what_was_remembered_when_the_pod_was_bound() -> None:
    world = World((entry(B),))
    session = world.bound("s", "a")
    world.memory = (entry(A), entry(B))  # a session beside it was written meanwhile
    world.ready(session)
    world.settle()
    assert world.outcomes() == ["moved"]
    assert record_of(world.counted[0]).last_node == "b"
    assert world.asked == ["s"]


def test_nobody_is_asked_about_a_session_that_came_back() -> None:
    world = World((entry(A),))
    world.ready(world.bound("s"))
    world.settle()
    assert (world.outcomes(), world.asked) == (["reused"], [])


def test_nobody_is_asked_about_a_session_on_an_older_node_and_it_did_not_move() -> None:
    world = World((entry(B), entry(A, age=timedelta(hours=2))))
    world.ready(world.bound("s", "a"))
    world.settle()
    assert (world.outcomes(), world.asked) == (["older"], [])
    assert [(record.last_node, record.reason) for record in map(record_of, world.counted)] == [("b", None)]


def test_sessions_that_start_together_and_become_ready_in_any_order_come_back_to_what_was_remembered_before() -> None:
    world = World((entry(B), entry(A, age=timedelta(hours=2))))
    together = [world.bound(f"s{number}", "ab"[number % 2]) for number in range(8)]
    for number in (5, 2, 7, 0, 1, 6, 3, 4):
        world.ready(together[number])
    world.settle()
    assert sorted(world.outcomes()) == ["older"] * 4 + ["reused"] * 4
    assert world.asked == []


def started(waited: int, took: int, *, known: bool = True) -> SessionRecord:
    """Of a session that the recorder saw to be Ready 0.4 s after it was bound: by the API's times, it was bound
    ``waited`` seconds after its creation, and Ready after ``took`` more."""
    world, clock = World(known=known), iter([100.0, 100.4])
    world.sessions.clock = lambda: next(clock)
    session = world.bound("s", created_at=NOW - timedelta(seconds=waited + took), scheduled_after=waited)
    world.ready(session)
    world.settle()
    (life,) = world.counted
    return record_of(life)


@pytest.mark.parametrize("took", [0, 1])
def test_a_start_is_measured_from_its_binding_on_as_the_recorder_saw_it(took: int) -> None:
    assert started(2, took).phases == pytest.approx({"scheduled": 2, "ready": 0.4})


def test_where_the_api_s_times_contradict_it_or_its_beginning_was_not_seen_they_say_how_long_it_took() -> None:
    assert started(0, 30).startup_seconds == 30
    assert started(0, 1, known=False).startup_seconds == 1


def test_what_another_replica_wrote_is_let_go() -> None:
    world = World()
    world.ready(world.bound("s"))
    world.settle(ours=False)
    assert (world.outcomes(), world.sessions.uncounted) == ([], 0)


@pytest.mark.parametrize(
    ("memory", "counted"),
    [
        ((), 1),
        ((entry(A, "s", timedelta(0)),), 0),  # its own entry
        ((entry(B, "later", timedelta(seconds=-1)),), 0),  # overtaken
        ((entry(B, "earlier"),), 1),
        ((entry(A, "earlier"),), 1),
    ],
)
def test_of_sessions_first_seen_ready_only_those_are_counted_that_nobody_has_written(
    memory: Memory, counted: int
) -> None:
    world = World(memory, redate=300)
    world.bound("s", ready_at=NOW)
    world.settle()
    assert len(world.counted) == counted


@pytest.mark.parametrize(("made", "counted"), [(100, 0), (400, 1)], ids=["for this session", "before the one before"])
def test_a_session_first_seen_ready_that_need_not_be_written_was_counted_by_who_saw_that(
    made: int, counted: int
) -> None:
    world = World((entry(A, "before", timedelta(seconds=299)),), redate=300)
    world.found_ready(made=made)
    world.settle()
    assert len(world.counted) == counted


def test_a_session_that_became_ready_unseen_while_this_recorder_ran_is_counted_though_it_need_not_be_written() -> None:
    """As after the API server's restart, when pods are listed anew."""
    world = World((entry(A, "before", timedelta(seconds=299)),), redate=300)
    world.now = NOW - timedelta(seconds=1)
    world.sessions.listed()
    world.now = NOW
    world.found_ready(made=100)
    world.settle()
    assert world.outcomes() == ["reused"]


@pytest.mark.parametrize("known_when_ready", [False, True])
def test_while_the_recorder_starts_no_older_entry_steps_in_for_a_node_that_is_not_listed_yet(
    known_when_ready: bool,
) -> None:
    world = World((entry(B), entry(A)), known=False)
    world.view.nodes.remove(B)
    session = world.bound("s", "a")
    if known_when_ready:
        world.view.nodes.upsert(B)
        world.known = True
    world.ready(session)
    world.settle()
    (record,) = [record_of(life) for life in world.counted]
    assert (record.outcome, record.last_node, record.reason) == ("older", "b", None)


def test_a_session_that_ends_before_it_is_ready_came_to_nothing() -> None:
    world = World()
    session = world.bound("s")
    world.view.sessions.remove(session)
    assert world.sessions.uncounted == 0


def test_a_pod_made_again_under_its_name_is_another_session() -> None:
    world = World()
    world.bound("s")
    again = world.bound("s", uid="uid-again")
    world.ready(again)
    world.settle()
    assert [life.session.uid for life in world.counted] == ["uid-again"]
    assert world.sessions.uncounted == 0


def test_a_session_whose_workload_is_known_late_is_judged_by_what_else_is_remembered() -> None:
    world = World((entry(B),))
    session = world.bound("s", claims=(), controller="s", controller_group=SANDBOX_GROUP)
    world.view.workloads[SANDBOX_RESOURCE].upsert(Workload(
        namespace="ns", name="s", uid="uid-sandbox", resource=SANDBOX_RESOURCE, kind="Sandbox", sticky=False,
        claims=(WORKLOAD_NAME_LABEL, "w"),
    ))  # fmt: skip
    world.memory = (entry(A, "s", timedelta(0)), entry(B))  # its own entry is there already
    world.ready(session)
    world.settle()
    assert [record_of(life).last_node for life in world.counted] == ["b"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["bound", "ready", "unready", "gone", "settle"]))))
def test_whatever_happens_each_pod_is_counted_at_most_once_and_nothing_stays_of_those_that_are_gone(
    happened: list[tuple[str, str]],
) -> None:
    world = World()
    alive: dict[str, Session] = {}
    for number, (name, what) in enumerate(happened):
        if what == "bound" and name not in alive:
            alive[name] = world.bound(name, uid=f"{name}-{number}")
        elif what == "ready" and name in alive:
            world.ready(alive[name])
        elif what == "unready" and name in alive:
            world.view.sessions.upsert(alive[name])
        elif what == "gone" and name in alive:
            world.view.sessions.remove(alive.pop(name))
        elif what == "settle":
            world.settle()
    world.settle()
    counted = [life.session.uid for life in world.counted]
    assert len(counted) == len(set(counted))
    assert world.sessions.uncounted <= len(alive)


def test_what_is_never_written_does_not_pile_up() -> None:
    world = World()
    for number in range(MOST_DUE + 5):
        world.ready(world.bound(f"s{number}"))
    assert world.sessions.uncounted == MOST_DUE


def written(journal: SessionLog) -> bytes:
    return b"".join(journal.page(leading=True))


class Unlucky:
    """Who is asked why sessions moved, and told of it, and fails by a fault of its own over some of them."""

    def explain(self, session: Session, wanted: Node) -> Explanation:
        if session.name == "asked":
            raise ZeroDivisionError
        return UNEXPLAINED

    def tell(self, workload: Workload, record: SessionRecord) -> None:
        if record.pod == "told":
            raise OverflowError


def test_a_fault_of_ours_over_one_session_keeps_no_other_from_being_counted() -> None:
    world, told, journal = World((entry(B),)), list[str](), SessionLog(10, "r")
    unlucky: Any = Unlucky()
    metrics = SessionMetrics(CollectorRegistry())
    counting = Counting(unlucky, metrics, journal, unlucky, unforeseen=Unforeseen(told.append))
    for name in ("asked", "told", "third"):
        world.ready(world.bound(name))
    world.settle()
    with running(counting):
        counting.inquire(world.counted[0])
        for life in world.counted:
            counting.count(life)
        eventually(lambda: b"third" in written(journal), "the third to be counted")
    assert [record.pod for record in JOURNAL.decode(written(journal)).sessions] == ["asked", "told", "third"]
    assert told == ["outcomes"] * 2


def test_where_more_sessions_wait_than_can_be_asked_about_they_are_counted_without_asking() -> None:
    asked: list[str] = []

    class Slow(Unlucky):
        def explain(self, session: Session, wanted: Node) -> Explanation:
            asked.append(session.name)
            return UNEXPLAINED

    unlucky: Any = Slow()
    journal = SessionLog(10, "r")
    counting = Counting(unlucky, SessionMetrics(CollectorRegistry()), journal, unlucky)
    for number in range(MOST_WAITING + 50):
        world = World((entry(B),))
        world.ready(world.bound(f"s{number}"))
        world.settle()
        counting.count(world.counted[0])
    with running(counting):
        eventually(lambda: f'"s{MOST_WAITING + 49}"'.encode() in written(journal), "the last to be counted")
    assert asked == [f"s{number}" for number in range(50, MOST_WAITING + 50)]
