"""Whose session it is: the pod's labels, else its Sandbox's; one match is the answer, two are ambiguous."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from lastnode.attribution import Attribution, Claim, Verdict, attribute
from lastnode.contract import CLOCK_TOLERANCE
from lastnode.kube.store import ObjectKey
from lastnode.objects import Controller, Session, Workload

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


def session(**fields: object) -> Session:
    return Session(**({"namespace": "ns", "name": "s", "uid": "s", "created_at": NOON} | fields))  # type: ignore[arg-type]


def sandbox(name: str | None = "w", kind: str | None = None, uid: str = "sb") -> Controller:
    return Controller(namespace="ns", name="sb", uid=uid, workload_name=name, workload_kind=kind)


def found(one: Session, sandboxes: list[Controller], *kinds: list[Workload]) -> Attribution:
    return attribute(one, {each.key: each for each in sandboxes}, [{each.key: each for each in kind} for kind in kinds])


OWNED = {"controller": "sb", "controller_uid": "sb"}


def test_the_pod_s_own_label_is_enough() -> None:
    mine = workload()
    assert found(session(workload_name="w"), [], [mine], []) == (Verdict.FOUND, mine, Claim("w", None))


def test_the_owning_sandbox_says_it_where_the_pod_does_not() -> None:
    mine = workload()
    assert found(session(**OWNED), [sandbox()], [mine]) == (Verdict.FOUND, mine, Claim("w", None))


def test_the_pod_s_own_label_wins_over_its_sandbox() -> None:
    mine, other = workload(name="mine"), workload(name="other")
    got = found(session(workload_name="mine", **OWNED), [sandbox("other")], [mine, other])
    assert got.workload is mine


def test_a_name_is_looked_up_only_in_the_session_s_namespace() -> None:
    got = found(session(workload_name="w"), [], [workload(namespace="elsewhere")])
    assert got == (Verdict.WORKLOAD_UNKNOWN, None, Claim("w", None))


def test_two_kinds_of_one_name_are_ambiguous() -> None:
    got = found(session(workload_name="w"), [], [workload()], [workload("CodeInterpreter")])
    assert got.verdict is Verdict.AMBIGUOUS
    assert got.workload is None


@pytest.mark.parametrize("kind", ["AgentRuntime", "CodeInterpreter"])
@pytest.mark.parametrize("who", ["pod", "sandbox", "pod's kind, sandbox's name"])
def test_the_kind_tells_them_apart_whoever_says_it(kind: str, who: str) -> None:
    one = {
        "pod": (session(workload_name="w", workload_kind=kind), []),
        "sandbox": (session(**OWNED), [sandbox(kind=kind)]),
        "pod's kind, sandbox's name": (session(workload_kind=kind, **OWNED), [sandbox()]),
    }[who]
    got = found(*one, [workload()], [workload("CodeInterpreter")])
    assert got.workload is not None
    assert got.workload.kind == kind


def test_a_kind_that_no_workload_of_that_name_has_is_unknown() -> None:
    got = found(session(workload_name="w", workload_kind="CodeInterpreter"), [], [workload()])
    assert got.verdict is Verdict.WORKLOAD_UNKNOWN


def test_nobody_names_a_workload() -> None:
    assert found(session(), [], [workload()]) == (Verdict.UNCLAIMED, None, None)
    assert found(session(**OWNED), [sandbox(name=None)], [workload()]) == (Verdict.UNCLAIMED, None, None)


def test_a_name_is_never_guessed_from_another_s_shape() -> None:
    assert found(session(name="w-abc"), [], [workload()]).verdict is Verdict.UNCLAIMED


def test_a_sandbox_not_seen_or_made_anew_says_nothing() -> None:
    assert found(session(**OWNED), [], [workload()]).verdict is Verdict.SANDBOX_UNKNOWN
    assert found(session(**OWNED), [sandbox(uid="another")], [workload()]).verdict is Verdict.SANDBOX_UNKNOWN


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
    assert found(session(workload_name="w"), [], [one]).verdict is verdict


def test_a_twin_that_has_not_opted_in_is_no_ambiguity() -> None:
    on, off = workload(), msgspec.structs.replace(workload("CodeInterpreter"), sticky=False)
    for kinds in ([on], [off]), ([off], [on]):
        assert found(session(workload_name="w"), [], *kinds).workload is on


def test_of_twins_that_have_not_opted_in_either_is_the_answer() -> None:
    off = [msgspec.structs.replace(workload(kind), sticky=False) for kind in ("AgentRuntime", "CodeInterpreter")]
    got = found(session(workload_name="w"), [], *([each] for each in off))
    assert (got.verdict, got.workload) == (Verdict.FOUND, off[0])


def test_a_twin_that_is_younger_than_the_session_is_no_ambiguity() -> None:
    mine, twin = workload(), workload("CodeInterpreter", age=-TOLERATED - 1)
    assert found(session(workload_name="w"), [], [mine], [twin]).workload is mine


def test_keys_read_as_people_write_them() -> None:
    assert str(ObjectKey("ns", "w")) == "ns/w"
    assert str(ObjectKey("", "node")) == "node"
