"""From events to what has to be written, in whatever order the events of the four resources arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode.attribution import Verdict
from lastnode.contract import SANDBOX_GROUP, SANDBOX_RESOURCE, WORKLOAD_NAME_LABEL
from lastnode.kinds import AGENT_RUNTIME, AGENTCUBE, SANDBOX, Kind
from lastnode.kube.store import ObjectKey
from lastnode.kube.unforeseen import Unforeseen
from lastnode.memory import Crash, Entry, merge
from lastnode.objects import Controller, Node, Session, Workload, WorkloadKey
from lastnode.view import View
from recorder.attributing import GONE_SECONDS, MOST_GONE
from recorder.life import Pending, decide
from recorder.sessions import Sessions

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
KINDS = {"agentruntimes.example.com": "AgentRuntime", "codeinterpreters.example.com": "CodeInterpreter"}
AGENTS, INTERPRETERS = KINDS
ROWS = tuple(AGENT_RUNTIME._replace(resource=resource, name=name) for resource, name in KINDS.items())
W = WorkloadKey(AGENTS, "ns", "w")
Event = Callable[[View], None]


class Followed:
    """Sessions that follow a view, and whom they scheduled and counted."""

    def __init__(self, early_crash: float = 0, rows: Sequence[Kind] = ROWS, **parts: Any) -> None:
        self.view = View(rows)
        self.passed = 0.0
        self.scheduled: list[WorkloadKey] = []
        self.verdicts: list[Verdict] = []
        self.listed = True
        self.attributions = 0
        self.sessions = Sessions(
            self.view,
            self.scheduled.append,
            recall=lambda _: (),
            ttl=0,
            known=self._known,
            early_crash=early_crash,
            verdict=self.verdicts.append,
            clock=lambda: self.passed,
            **parts,
        )
        self.sessions.follow()

    def _known(self) -> bool:
        """Each attribution asks for it."""
        self.attributions += 1
        return self.listed

    def play(self, *events: Event) -> Followed:
        for event in events:
            event(self.view)
        return self

    def pending(self, *keys: WorkloadKey) -> dict[WorkloadKey, Pending | None]:
        return {key: self.sessions.pending(key) for key in keys or (W,)}


def store_of(view: View, obj: Any) -> Any:
    stores: dict[type, Any] = {
        Node: view.nodes, Controller: view.controllers[SANDBOX_RESOURCE], Session: view.sessions
    }  # fmt: skip
    return view.workloads[obj.resource] if isinstance(obj, Workload) else stores[type(obj)]


def seen(obj: Any) -> Event:
    return lambda view: store_of(view, obj).upsert(obj)


def gone(obj: Any) -> Event:
    return lambda view: store_of(view, obj).remove(obj)


def changed(obj: Any, version: str = "2", **fields: Any) -> Any:
    return msgspec.structs.replace(obj, resource_version=version, **fields)


def node(name: str = "n1") -> Node:
    return Node(name=name, uid=f"uid-of-{name}", resource_version="1", hostname=f"host-of-{name}", ready=True)


def workload(name: str = "w", resource: str = AGENTS, sticky: bool = True, age: float = 60) -> Workload:
    return Workload(
        namespace="ns", name=name, uid=f"{resource}/{name}", resource_version="1", resource=resource,
        kind=KINDS[resource], sticky=sticky, created_at=NOON - timedelta(seconds=age),
    )  # fmt: skip


def claim(of: str | None) -> tuple[str, ...]:
    return (WORKLOAD_NAME_LABEL, of) if of else ()


def sandbox(name: str = "s1", of: str | None = "w") -> Controller:
    return Controller(namespace="ns", name=name, uid=f"uid-of-{name}", resource_version="1", claims=claim(of))


def session(
    name: str = "s1", on: str | None = "n1", ready: float | None = 5, owned: bool = True, **fields: Any
) -> Session:
    owner: dict[str, Any] = {}
    if owned:
        owner = {"controller": name, "controller_uid": f"uid-of-{name}", "controller_group": SANDBOX_GROUP}
    return Session(
        namespace="ns", name=name, uid=f"pod-{name}", resource_version="1", node=on, created_at=NOON,
        ready_at=None if ready is None else NOON + timedelta(seconds=ready),
        **({"ways": (AGENTCUBE,)} | owner | fields),
    )  # fmt: skip


def entry(name: str = "s1", on: str = "n1", ready: float = 5) -> Entry:
    at = NOON + timedelta(seconds=ready)
    return Entry(node=on, hostname=f"host-of-{on}", node_uid=f"uid-of-{on}", ready_at=at, pod_uid=f"pod-{name}")


ALL = [seen(node()), seen(workload()), seen(sandbox()), seen(session())]


@given(st.permutations(ALL))
def test_the_four_of_a_session_may_come_in_any_order(events: list[Event]) -> None:
    followed = Followed().play(*events)
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}
    assert W in followed.scheduled


TOGETHER = {f"s{number}": (f"n{number % 10}", number) for number in range(12)}


@given(st.permutations(list(TOGETHER)), st.sets(st.sampled_from(list(TOGETHER)), max_size=3))
def test_sessions_that_start_together_end_in_a_memory_of_the_newest_distinct_nodes(
    order: list[str], crashed: set[str]
) -> None:
    """In whatever order they become Ready; those that crash at once take back only what is their own."""
    followed = Followed(early_crash=30).play(seen(workload()), *(seen(node(f"n{number}")) for number in range(10)))
    for name, (on, _) in TOGETHER.items():
        followed.play(seen(sandbox(name)), seen(session(name, on, None)))
    for name in order:
        on, ready = TOGETHER[name]
        fate = {"crashed_at": NOON + timedelta(seconds=ready + 1)} if name in crashed else {}
        followed.play(seen(changed(session(name, on, ready), **fate)))
    pending = followed.sessions.pending(W)
    assert pending is not None
    left = merge(entry(name, on, ready) for name, (on, ready) in TOGETHER.items())
    kept = [each for each in left if each.pod_uid.removeprefix("pod-") not in crashed]
    assert decide(workload(), (), pending, None, NOON + timedelta(minutes=1)) == tuple(kept[:8])


SESSIONS = {f"s{number}": (f"n{number % 3}", number * 7 % 5, f"w{number % 2}") for number in range(6)}


def world() -> list[Event]:
    """Six sessions of two workloads on three nodes."""
    events = [seen(node(f"n{number}")) for number in range(3)]
    events += [seen(workload(f"w{number}")) for number in range(2)]
    for name, (on, ready, of) in SESSIONS.items():
        events += [seen(sandbox(name, of)), seen(session(name, on, ready))]
    return events


@given(st.permutations(world()))
def test_what_is_pending_does_not_depend_on_the_order_of_events(events: list[Event]) -> None:
    followed = Followed().play(*events)
    for number in range(2):
        key = WorkloadKey(AGENTS, "ns", f"w{number}")
        placed = [(entry(name, on, ready),) for name, (on, ready, of) in SESSIONS.items() if of == key.name]
        assert followed.sessions.pending(key) == Pending(workload(key.name).uid, merge(*placed))


@given(st.permutations(ALL), st.data())
def test_events_that_are_repeated_change_nothing(events: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(ALL), max_size=4))
    assert Followed().play(*events, *again).pending() == Followed().play(*ALL).pending()


@given(st.permutations([*ALL, seen(changed(sandbox(), version="0", claims=()))]))
def test_a_sandbox_may_get_its_label_late(events: list[Event]) -> None:
    followed = Followed().play(*events, seen(changed(sandbox(), version="9")))
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}


def test_a_session_that_is_not_ready_leaves_nothing_and_one_that_becomes_ready_does() -> None:
    followed = Followed().play(*ALL[:3], seen(session(ready=None)))
    assert followed.pending() == {W: None}
    followed.play(seen(changed(session())))
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}


def test_a_session_that_ended_while_it_waited_leaves_nothing() -> None:
    followed = Followed().play(seen(node()), seen(sandbox()), seen(session()))
    followed.play(seen(changed(session(ready=None), over=True)), seen(workload()))
    assert followed.pending() == {W: None}


def test_a_session_that_went_while_it_waited_leaves_nothing() -> None:
    followed = Followed().play(seen(node()), seen(sandbox()), seen(session()), gone(session()), seen(workload()))
    assert followed.pending() == {W: None}
    assert followed.scheduled == []


def test_what_a_sandbox_that_is_gone_said_of_its_workload_still_counts() -> None:
    """Of a session that is seen later, or waits for its node; not of one of another Sandbox of that name."""
    followed = Followed().play(*ALL[:3], gone(sandbox()), seen(session()))
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}
    assert followed.verdicts == [Verdict.FOUND]
    other = Followed().play(*ALL[:3], gone(sandbox()), seen(changed(session(), controller_uid="another")))
    assert other.pending() == {W: None}


def test_what_a_sandbox_said_counts_after_another_took_its_name() -> None:
    followed = Followed().play(*ALL[:3], seen(changed(sandbox(of="other"), uid="another")), seen(session()))
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}


def test_a_sandbox_that_is_gone_is_remembered_for_some_minutes_and_not_too_many_are() -> None:
    followed = Followed().play(seen(node()), seen(workload()))
    for number in range(MOST_GONE + 1):
        followed.play(seen(sandbox(f"s{number}")), gone(sandbox(f"s{number}")))
    followed.play(seen(session("s0")), seen(session("s1")))
    assert followed.verdicts == [Verdict.CONTROLLER_UNKNOWN, Verdict.FOUND]
    followed.passed += GONE_SECONDS
    followed.play(seen(session("s2")))
    assert followed.verdicts[2:] == [Verdict.CONTROLLER_UNKNOWN]


def test_what_is_over_is_never_ready_again() -> None:
    deleted = changed(session(ready=None), over=True)
    followed = Followed().play(
        *ALL[:3], seen(session(ready=None)), seen(deleted), seen(changed(session(), version="3"))
    )
    assert followed.pending() == {W: None}


def test_one_session_s_error_costs_no_other_that_waits_for_the_same() -> None:
    told: list[str] = []
    followed = Followed(unforeseen=Unforeseen(told.append)).play(ALL[0], ALL[2], seen(sandbox("s2")))
    followed.play(seen(session()), seen(session("s2")))
    broken = followed.sessions._lives["pod-s1"]
    broken.session = None  # type: ignore[assignment]
    followed.play(seen(workload()))
    assert followed.pending() == {W: Pending(workload().uid, (entry("s2"),))}
    assert told == ["sessions"]


def box(sticky: bool) -> Workload:
    """The Sandbox of ALL as a workload, which leads to another one."""
    return Workload(
        namespace="ns", name="s1", uid="uid-of-s1", resource=SANDBOX_RESOURCE, kind="Sandbox", sticky=sticky,
        resource_version="1", claims=claim("w"), created_at=NOON,
    )  # fmt: skip


BOX = box(True).workload_key


def of_two_rows(runtime: bool | None, boxed: bool) -> list[Event]:
    """A session, and which of its two workloads has opted in; None: that one is not there."""
    events = [ALL[0], seen(box(boxed)), seen(session(ways=(AGENTCUBE, SANDBOX.way)))]
    return events if runtime is None else [*events, seen(workload(sticky=runtime))]


def placed(own: bool, boxed: bool) -> dict[WorkloadKey, Pending | None]:
    return {
        W: Pending(workload().uid, (entry(),)) if own else None,
        BOX: Pending("uid-of-s1", (entry(),)) if boxed and not own else None,
    }


@given(st.booleans(), st.booleans(), st.permutations(range(4)))
def test_a_session_of_two_rows_is_the_first_one_s_that_has_opted_in_by_the_time_that_it_is_seen(
    runtime: bool, boxed: bool, order: list[int]
) -> None:
    followed = Followed(rows=(*ROWS, SANDBOX)).play(*(of_two_rows(runtime, boxed)[number] for number in order))
    own = runtime and (not boxed or order.index(3) < max(order.index(1), order.index(2)))
    assert followed.pending(W, BOX) == placed(own, boxed)


@given(st.sampled_from([True, False, None]), st.booleans(), st.data())
def test_while_not_all_is_listed_the_order_says_nothing(runtime: bool | None, boxed: bool, data: st.DataObject) -> None:
    """Such as after a restart. A workload that is not there is not waited for once all is listed."""
    followed = Followed(rows=(*ROWS, SANDBOX))
    followed.listed = False
    followed.play(*data.draw(st.permutations(of_two_rows(runtime, boxed))))
    followed.listed = True
    followed.sessions.listed()  # and nothing else happens: the cluster is quiet
    assert followed.pending(W, BOX) == placed(bool(runtime), boxed)


def crashed(at: float = 9, **fields: Any) -> Session:
    """The session of ALL after it failed, ``at`` seconds after noon."""
    return changed(session(ready=None), over=True, crashed_at=NOON + timedelta(seconds=at), **fields)


CRASH = Crash("pod-s1", NOON + timedelta(seconds=9 - 30), NOON + timedelta(seconds=9))


def with_the_crash(order: list[int]) -> list[Event]:
    """The events of ALL in that order, and the crash (4) where it comes: of one resource, the newer comes later."""
    session_and_crash = iter([ALL[3], seen(crashed())])
    return [next(session_and_crash) if number >= 3 else ALL[number] for number in order]


orders_with_the_crash = st.permutations(range(5)).map(with_the_crash)


@given(orders_with_the_crash)
def test_a_crash_is_pending_whenever_it_comes(events: list[Event]) -> None:
    """Before the others are seen, after them, or between them."""
    followed = Followed(early_crash=30).play(*events)
    pending = followed.sessions.pending(W)
    assert pending is not None
    assert pending.crashes == {CRASH}
    assert pending.memory in ((), (entry(),))


def unsaid() -> Followed:
    """The session of ALL is not worth a write."""
    followed = Followed(early_crash=30, redate=300).play(*ALL)
    assert followed.sessions.settle(W, Pending(workload().uid, (entry(),)), ours=True, said=False)
    return followed


def test_a_session_that_was_not_worth_a_write_is_written_with_the_next_and_can_be_taken_back() -> None:
    followed = unsaid().play(seen(node("n2")), seen(made(6)), seen(session("s2", "n2", ready=8)))
    assert followed.pending() == {W: Pending(workload().uid, (entry("s2", "n2", 8), entry()))}
    assert unsaid().play(seen(crashed())).pending() == {W: Pending(workload().uid, (entry(),), frozenset({CRASH}))}


@pytest.mark.parametrize(("second", "pressing"), [(6, False), (5, True), (None, True)])
def test_a_session_whose_sandbox_may_have_had_one_before_has_to_change_the_memory(
    second: int | None, pressing: bool
) -> None:
    followed = unsaid().play(seen(made(second)), seen(session("s2", ready=8)))
    assert followed.pending() == {W: Pending(workload().uid, (entry("s2", ready=8),), pressing=pressing)}
    followed.play(seen(node("n3")), seen(changed(made(9), uid="uid-of-s3", name="s3")), seen(session("s3", "n3", 10)))
    pending = followed.sessions.pending(W)
    assert pending is not None
    assert pending.pressing == pressing


def made(second: int | None) -> Controller:
    """The Sandbox s2, made so many seconds after noon, or nobody knows when."""
    return changed(sandbox("s2"), created_at=None if second is None else NOON + timedelta(seconds=second))  # type: ignore[no-any-return]


@pytest.mark.parametrize("change", ["forgotten", "removed", "replaced"])
def test_what_was_not_worth_a_write_goes_with_the_memory_that_it_went_beside(change: str) -> None:
    known = changed(workload(), packed_nodes=b"one")
    followed = Followed(early_crash=30, redate=300).play(*ALL, seen(known))
    followed.sessions.settle(W, Pending(workload().uid, (entry(),)), ours=True, said=False)
    if change == "forgotten":
        followed.play(seen(changed(workload(), "3")))
    else:
        followed.play(gone(known), seen(changed(workload(), "3", uid="u2" if change == "replaced" else known.uid)))
    followed.play(seen(crashed()))
    pending = followed.sessions.pending(W)
    assert pending is not None
    assert pending.memory == ()


def test_a_crashed_session_waits_for_its_sandbox_and_its_workload_but_for_no_node() -> None:
    followed = Followed(early_crash=30).play(seen(crashed()))
    assert followed.pending() == {W: None}
    followed.play(seen(sandbox()), seen(workload()))
    assert followed.pending() == {W: Pending(workload().uid, (), frozenset({CRASH}))}
    assert followed.verdicts == []


@given(orders_with_the_crash)
def test_with_0_seconds_no_crash_takes_anything_back(events: list[Event]) -> None:
    pending = Followed().play(*events).sessions.pending(W)
    assert pending is None or pending == Pending(workload().uid, (entry(),))


def test_a_session_that_went_after_it_was_pending_stays_pending() -> None:
    assert Followed().play(*ALL, gone(session())).pending() == {W: Pending(workload().uid, (entry(),))}


def test_a_name_of_two_kinds_is_pending_nowhere_until_one_of_them_is_gone() -> None:
    other = workload(resource=INTERPRETERS)
    followed = Followed().play(ALL[0], ALL[1], seen(other), *ALL[2:])
    assert followed.pending(W, other.workload_key) == {W: None, other.workload_key: None}
    assert followed.verdicts == [Verdict.AMBIGUOUS]
    followed.play(gone(workload()))
    assert followed.pending(other.workload_key) == {other.workload_key: Pending(other.uid, (entry(),))}
    assert followed.verdicts == [Verdict.AMBIGUOUS, Verdict.FOUND]


def test_opting_in_later_makes_the_running_session_pending() -> None:
    followed = Followed().play(seen(node()), seen(workload(sticky=False)), seen(sandbox()), seen(session()))
    assert followed.pending() == {W: None}
    followed.play(seen(changed(workload())))
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}


def test_a_change_that_makes_no_difference_looks_at_none_of_those_that_wait() -> None:
    """A status that changes all the time, on a workload that has not opted in and has thousands of sessions."""
    refusing = changed(workload(), sticky=False)
    followed = Followed().play(seen(node()), seen(sandbox()), seen(refusing), seen(session()))
    before = followed.attributions
    followed.play(seen(changed(refusing, "3")))
    assert followed.attributions == before
    followed.play(seen(changed(refusing, "4", sticky=True)))
    assert followed.pending()[W]


def test_a_workload_younger_than_the_session_gets_nothing() -> None:
    followed = Followed().play(seen(node()), seen(sandbox()), seen(session()), seen(workload(age=-301)))
    assert followed.pending() == {W: None}
    assert followed.verdicts == [Verdict.WORKLOAD_UNKNOWN, Verdict.WORKLOAD_REPLACED]


def test_a_workload_that_is_younger_by_what_two_clocks_may_differ_gets_it() -> None:
    followed = Followed().play(seen(node()), seen(sandbox()), seen(session()), seen(workload(age=-299)))
    assert followed.pending() == {W: Pending(workload().uid, (entry(),))}


def test_a_workload_made_again_under_its_name_gets_nothing_of_the_former_one_s_session() -> None:
    followed = Followed().play(*ALL, gone(workload()), seen(changed(workload(age=-1), uid="present")))
    assert followed.verdicts[-1] is Verdict.FOUND
    followed.play(seen(changed(session(), crashed_at=NOON + timedelta(seconds=9))))
    assert followed.verdicts[-1] is Verdict.WORKLOAD_REPLACED


def test_what_is_pending_for_a_former_workload_is_not_merged_into_the_present_one_s() -> None:
    young = changed(workload(age=-10), uid="present")
    late = changed(session("s2", ready=20), created_at=NOON + timedelta(seconds=11))
    followed = Followed().play(*ALL, gone(workload()), seen(young), seen(sandbox("s2")), seen(late))
    assert followed.pending() == {W: Pending("present", (entry("s2", ready=20),))}


def test_a_removed_workload_with_something_pending_is_scheduled_to_be_settled() -> None:
    followed = Followed().play(*ALL)
    followed.scheduled.clear()
    followed.play(gone(workload()))
    assert followed.scheduled == [W]


def test_nobody_s_session_waits_for_nothing() -> None:
    followed = Followed().play(ALL[0], ALL[1], seen(session(owned=False)))
    assert followed.verdicts == [Verdict.UNCLAIMED]
    followed.play(seen(sandbox()), seen(workload("other")))
    assert followed.pending() == {W: None}
    assert followed.verdicts == [Verdict.UNCLAIMED]


def test_a_verdict_is_counted_once_however_often_it_is_found_again() -> None:
    followed = Followed().play(seen(session()), seen(changed(session(), version="3")), seen(changed(sandbox("other"))))
    assert followed.verdicts == [Verdict.CONTROLLER_UNKNOWN]


def test_settling_leaves_what_came_meanwhile() -> None:
    followed = Followed().play(*ALL)
    writing = followed.sessions.pending(W)
    assert writing is not None
    followed.play(seen(node("n2")), seen(sandbox("s2")), seen(session("s2", "n2", 9)))
    assert not followed.sessions.settle(W, writing, ours=True)
    newest = followed.sessions.pending(W)
    assert newest == Pending(workload().uid, (entry("s2", "n2", 9), entry()))
    assert len(followed.sessions) == 1
    assert followed.sessions.settle(W, newest, ours=True)
    assert followed.pending() == {W: None}
    assert followed.sessions.settle(W, newest, ours=True)


def test_what_was_written_and_settled_is_not_looked_at_again_when_the_view_shows_it() -> None:
    followed = Followed().play(*ALL)
    written = followed.sessions.pending(W)
    assert written is not None
    followed.scheduled.clear()
    followed.sessions.settle(W, written, ours=True)
    followed.play(seen(changed(workload(), last_node="n1")))
    assert followed.scheduled == []


@pytest.mark.parametrize("flaps", [[8], [None, 8], [None, 3600], [None, None, 3600]])
def test_a_session_keeps_the_date_of_its_first_ready_however_often_its_readiness_changes(
    flaps: list[float | None],
) -> None:
    followed = Followed().play(*ALL)
    written = followed.sessions.pending(W)
    assert written is not None
    followed.sessions.settle(W, written, ours=True)
    followed.play(*(seen(changed(session(ready=ready), version=str(n))) for n, ready in enumerate(flaps, 2)))
    assert followed.pending() == {W: written}


def test_a_twin_that_opts_in_instead_gets_the_sessions_that_follow() -> None:
    off, twin = workload(sticky=False), workload(resource=INTERPRETERS, sticky=False)
    followed = Followed().play(*ALL[:1], seen(off), seen(twin), *ALL[2:])
    assert followed.pending(W, twin.workload_key) == {W: None, twin.workload_key: None}
    followed.play(seen(changed(workload(resource=INTERPRETERS))))
    assert followed.pending(W, twin.workload_key) == {W: None, twin.workload_key: Pending(twin.uid, (entry(),))}


def test_keys_read_as_people_write_them() -> None:
    assert str(W) == f"{AGENTS} ns/w"
    assert ObjectKey("ns", "w") in Followed().play(*ALL).view.workloads[AGENTS]
