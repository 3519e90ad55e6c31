"""Whose session it is: the pod's labels, else its Sandbox's; one match is the answer, two are ambiguous."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from lastnode.attribution import Attribution, Awaited, Seen, Verdict, attribute
from lastnode.contract import CLOCK_TOLERANCE, WORKLOAD_KIND_LABEL, WORKLOAD_NAME_LABEL
from lastnode.kinds import AGENTCUBE, SANDBOX, Way
from lastnode.kube.store import ObjectKey
from lastnode.objects import Controller, Session, Workload
from lastnode.selector import Selector

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def workload(kind: str = "AgentRuntime", name: str = "w", namespace: str = "ns", age: float = 60) -> Workload:
    return Workload(
        namespace=namespace,
        name=name,
        uid=f"{kind}-{name}",
        resource=f"{kind.lower()}s.example.com",
        kind=kind,
        sticky=True,
        created_at=NOON - timedelta(seconds=age),
    )


def claims(name: str | None, kind: str | None = None) -> tuple[str, ...]:
    said = {WORKLOAD_NAME_LABEL: name, WORKLOAD_KIND_LABEL: kind}
    return tuple(text for key, value in said.items() if value for text in (key, value))


def session(name: str | None = None, kind: str | None = None, **fields: object) -> Session:
    given = {"namespace": "ns", "name": "s", "uid": "s", "created_at": NOON, "ways": (AGENTCUBE,)}
    return Session(**(given | {"claims": claims(name, kind)} | fields))  # type: ignore[arg-type]


def sandbox(name: str | None = "w", kind: str | None = None, uid: str = "sb") -> Controller:
    return Controller(namespace="ns", name="sb", uid=uid, claims=claims(name, kind))


def found(one: Session, sandboxes: list[Controller], *kinds: list[Workload]) -> Attribution:
    known = {each.key: each for each in sandboxes}
    ways = {AGENTCUBE: {str(n): {each.key: each for each in kind} for n, kind in enumerate(kinds)}}
    return attribute(one, Seen(lambda _, key: known.get(key), ways))


OWNED = {"controller": "sb", "controller_uid": "sb", "controller_group": "agents.x-k8s.io"}
# Which objects may change the answer, where there is one kind of workload.
ITS_SANDBOX = (Awaited("sandboxes.agents.x-k8s.io", "ns", "sb"),)
ITS_WORKLOAD = (Awaited("0", "ns", "w"),)


def test_the_pod_s_own_label_is_enough() -> None:
    mine = workload()
    assert found(session("w"), [], [mine], []) == (Verdict.FOUND, mine, ())


def test_the_owning_sandbox_says_it_where_the_pod_does_not() -> None:
    mine = workload()
    assert found(session(**OWNED), [sandbox()], [mine]) == (Verdict.FOUND, mine, ())


def test_the_pod_s_own_label_wins_over_its_sandbox() -> None:
    mine, other = workload(name="mine"), workload(name="other")
    got = found(session("mine", **OWNED), [sandbox("other")], [mine, other])
    assert got.workload is mine


def test_a_name_is_looked_up_only_in_the_session_s_namespace() -> None:
    got = found(session("w"), [], [workload(namespace="elsewhere")])
    assert got == (Verdict.WORKLOAD_UNKNOWN, None, ITS_WORKLOAD)


def test_two_kinds_of_one_name_are_ambiguous() -> None:
    got = found(session("w"), [], [workload()], [workload("CodeInterpreter")])
    assert got.verdict is Verdict.AMBIGUOUS
    assert got.workload is None


@pytest.mark.parametrize("kind", ["AgentRuntime", "CodeInterpreter"])
@pytest.mark.parametrize("who", ["pod", "sandbox", "pod's kind, sandbox's name"])
def test_the_kind_tells_them_apart_whoever_says_it(kind: str, who: str) -> None:
    one = {
        "pod": (session("w", kind), []),
        "sandbox": (session(**OWNED), [sandbox(kind=kind)]),
        "pod's kind, sandbox's name": (session(kind=kind, **OWNED), [sandbox()]),
    }[who]
    got = found(*one, [workload()], [workload("CodeInterpreter")])
    assert got.workload is not None
    assert got.workload.kind == kind


def test_a_kind_that_no_workload_of_that_name_has_is_unknown() -> None:
    got = found(session("w", "CodeInterpreter"), [], [workload()])
    assert got.verdict is Verdict.WORKLOAD_UNKNOWN


def test_nobody_names_a_workload() -> None:
    assert found(session(), [], [workload()]) == (Verdict.UNCLAIMED, None, ())
    assert found(session(ways=()), [], [workload()]) == (Verdict.UNCLAIMED, None, ())
    assert found(session(**OWNED), [sandbox(name=None)], [workload()]) == (Verdict.UNCLAIMED, None, ITS_SANDBOX)


def test_a_name_is_never_guessed_from_another_s_shape() -> None:
    assert (
        found(msgspec.structs.replace(session(**OWNED), name="w-abc"), [sandbox(None)], [workload()]).verdict
        is Verdict.UNCLAIMED
    )


def test_a_sandbox_not_seen_or_made_anew_says_nothing() -> None:
    assert found(session(**OWNED), [], [workload()]) == (Verdict.CONTROLLER_UNKNOWN, None, ITS_SANDBOX)
    assert found(session(**OWNED), [sandbox(uid="another")], [workload()]).verdict is Verdict.CONTROLLER_UNKNOWN


TOLERATED = CLOCK_TOLERANCE.total_seconds()


@pytest.mark.parametrize(
    ("age", "successor", "verdict"),
    [
        (0, True, Verdict.FOUND),
        (-1, True, Verdict.WORKLOAD_REPLACED),
        (-1, False, Verdict.FOUND),
        (-TOLERATED, False, Verdict.FOUND),
        (-TOLERATED - 1, False, Verdict.WORKLOAD_REPLACED),
    ],
)
def test_a_workload_younger_than_the_pod_is_another_one_unless_two_clocks_may_have_dated_them(
    age: float, successor: bool, verdict: Verdict
) -> None:
    one = msgspec.structs.replace(workload(age=age), successor=successor)
    assert found(session("w"), [], [one]).verdict is verdict


def test_a_twin_that_has_not_opted_in_is_no_ambiguity() -> None:
    on, off = workload(), msgspec.structs.replace(workload("CodeInterpreter"), sticky=False)
    for kinds in ([on], [off]), ([off], [on]):
        assert found(session("w"), [], *kinds).workload is on


def test_of_twins_that_have_not_opted_in_either_is_the_answer() -> None:
    off = [msgspec.structs.replace(workload(kind), sticky=False) for kind in ("AgentRuntime", "CodeInterpreter")]
    got = found(session("w"), [], *([each] for each in off))
    assert (got.verdict, got.workload) == (Verdict.FOUND, off[0])


def test_a_twin_that_is_younger_than_the_session_is_no_ambiguity() -> None:
    mine, twin = workload(), workload("CodeInterpreter", age=-TOLERATED - 1)
    assert found(session("w"), [], [mine], [twin]).workload is mine


@pytest.mark.parametrize("group", ["", "apps", "agents.x-k8s.io.example.com"])
def test_only_what_is_of_the_sandbox_s_group_is_taken_for_one(group: str) -> None:
    got = found(session(**OWNED | {"controller_group": group}), [sandbox()], [workload()])
    assert got == (Verdict.UNCLAIMED, None, ())


JOBS = Way(Selector.parse("job-name"), through="jobs.batch")
BY_LABEL = Way(Selector.parse("notebook"), named_by="notebook")
BY_ANNOTATION = Way(Selector.parse("t"), through="jobs.batch", named_by="template", pods_say=False)


def led(way: Way, session: Session, between: Controller | None, *workloads: Workload) -> Attribution:
    resource = workloads[0].resource if workloads else "sandboxes.agents.x-k8s.io"
    known = {way: {resource: {each.key: each for each in workloads}}}
    return attribute(msgspec.structs.replace(session, ways=(way,)), Seen(lambda *_: between, known))


def another(name: str, uid: str, sticky: bool = True, resource: str = "sandboxes.agents.x-k8s.io") -> Workload:
    return Workload(namespace="ns", name=name, uid=uid, resource=resource, kind="Any", sticky=sticky, created_at=NOON)


def test_what_controls_the_pod_is_the_workload_if_it_is_that_very_object() -> None:
    assert led(SANDBOX.way, session(**OWNED), None, another("sb", "sb")).workload == another("sb", "sb")
    made_again = led(SANDBOX.way, session(**OWNED), None, another("sb", "other"))
    assert made_again == (Verdict.CONTROLLER_UNKNOWN, None, ITS_SANDBOX)
    assert led(SANDBOX.way, session(), None, another("sb", "sb")).verdict is Verdict.UNCLAIMED
    assert led(SANDBOX.way, session(**OWNED), None, another("sb", "sb", sticky=False)).awaits == ITS_SANDBOX


def test_the_controller_s_controller_is_the_workload() -> None:
    one = session(controller="job", controller_uid="j", controller_group="batch")
    job = Controller(
        namespace="ns", name="job", uid="j", controller="cron", controller_uid="c", controller_group="batch"
    )
    cron = another("cron", "c", resource="cronjobs.batch")
    assert led(JOBS, one, job, cron).workload is cron
    assert led(JOBS, one, None, cron) == (Verdict.CONTROLLER_UNKNOWN, None, (Awaited("jobs.batch", "ns", "job"),))
    by_hand = Controller(namespace="ns", name="job", uid="j")
    assert led(JOBS, one, by_hand, cron) == (Verdict.UNCLAIMED, None, (Awaited("jobs.batch", "ns", "job"),))
    late = led(JOBS, one, job, another("cron", "former", resource="cronjobs.batch"))
    assert late == (Verdict.CONTROLLER_UNKNOWN, None, (Awaited("cronjobs.batch", "ns", "cron"),))


def test_a_label_or_what_the_controller_says_names_the_workload() -> None:
    mine = another("w", "u", resource="notebooks.kubeflow.org")
    assert led(BY_LABEL, session(claims=("notebook", "w")), None, mine).workload is mine
    assert led(BY_LABEL, session(**OWNED), None, mine) == (Verdict.UNCLAIMED, None, ())
    said = Controller(namespace="ns", name="job", uid="j", claims=("template", "w"))
    one = session(controller="job", controller_uid="j", controller_group="batch", claims=("template", "other"))
    assert led(BY_ANNOTATION, one, said, mine).workload is mine


@pytest.mark.parametrize("opted_in", [(True, True), (True, False), (False, True), (False, False)])
def test_of_two_ways_the_first_that_leads_to_a_workload_which_has_opted_in_counts(opted_in: tuple[bool, bool]) -> None:
    runtime = msgspec.structs.replace(workload(), sticky=opted_in[0])
    box = msgspec.structs.replace(another("sb", "sb", sticky=opted_in[1]), claims=claims("w"))
    ways = {AGENTCUBE: {"0": {runtime.key: runtime}}, SANDBOX.way: {box.resource: {box.key: box}}}
    one = session(ways=(AGENTCUBE, SANDBOX.way), **OWNED)
    got = attribute(one, Seen(lambda *_: box, ways))
    assert got.workload is (box if opted_in == (False, True) else runtime)
    assert got.awaits == (() if any(opted_in) else (*ITS_WORKLOAD, *ITS_SANDBOX))


def test_a_way_that_may_still_lead_somewhere_is_waited_for_unless_another_leads_to_one_that_has_opted_in() -> None:
    one = session(ways=(AGENTCUBE, SANDBOX.way), **OWNED)
    for sticky, verdict in ((False, Verdict.WORKLOAD_UNKNOWN), (True, Verdict.FOUND)):
        box = msgspec.structs.replace(another("sb", "sb", sticky=sticky), claims=claims("w"))
        ways = {AGENTCUBE: {"0": {}}, SANDBOX.way: {box.resource: {box.key: box}}}
        assert attribute(one, Seen(lambda *_, box=box: box, ways)).verdict is verdict


def test_a_sandbox_that_may_yet_say_whose_its_session_is_is_waited_for() -> None:
    box = another("sb", "sb", sticky=False)
    ways = {AGENTCUBE: {"0": {}}, SANDBOX.way: {box.resource: {box.key: box}}}
    got = attribute(session(ways=(AGENTCUBE, SANDBOX.way), **OWNED), Seen(lambda *_: box, ways))
    assert (got.verdict, got.is_open, got.awaits) == (Verdict.UNCLAIMED, True, ITS_SANDBOX)
    alone = attribute(session(ways=(SANDBOX.way,), **OWNED), Seen(lambda *_: box, ways))
    assert (alone.verdict, alone.is_open, alone.awaits) == (Verdict.FOUND, False, ITS_SANDBOX)


def test_keys_read_as_people_write_them() -> None:
    assert str(ObjectKey("ns", "w")) == "ns/w"
    assert str(ObjectKey("", "node")) == "node"
