"""The small rules: scripts in annotations, timers, taints, flags, workloads."""

from datetime import UTC, datetime
from typing import Any

import pytest

from lastnode import contract
from testbed.agent import names, nodes
from testbed.agent.script import Script, ScriptError, parse
from testbed.agent.settings import parse as parse_flags
from testbed.agent.timers import Moment, Timers
from testbed.workloads import agent_runtime, code_interpreter, sandbox_for


def moment(tick: float) -> Moment:
    return Moment(tick, datetime.fromtimestamp(tick, UTC))


def test_annotations_become_a_script() -> None:
    text = {names.READY_AFTER: "0.5", names.CRASH_AFTER: "2", names.FAIL: "start", names.IMAGE_SIZE: "1e6"}
    assert parse(text) == Script(ready_after=0.5, crash_after=2.0, fail="start", image_size=1_000_000)
    assert parse({"somebody.else/x": "y"}) == Script()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (names.READY_AFTER, "soon"),
        (names.READY_AFTER, "-1"),
        (names.CRASH_AFTER, "nan"),
        (names.FAIL, "yes"),
        (names.PREFIX + "reddy-after", "1"),
    ],
)
def test_a_bad_annotation_is_named(key: str, value: str) -> None:
    with pytest.raises(ScriptError, match=key):
        parse({key: value})


def test_timers_run_in_order_of_time_and_not_before() -> None:
    timers, ran = Timers(), []
    for due in (3.0, 1.0, 2.0, 1.0):
        timers.at(due, lambda now, due=due: ran.append(due))  # type: ignore[misc]
    timers.run(moment(2.0))
    assert ran == [1.0, 1.0, 2.0]
    assert timers.next_due() == 3.0


def test_what_is_set_for_now_runs_now() -> None:
    timers, ran = Timers(), []
    timers.at(1.0, lambda now: timers.at(now.tick, lambda _: ran.append("second")))
    timers.run(moment(1.0))
    assert ran == ["second"]


def test_a_node_that_is_not_ready_is_tainted_and_others_taints_stay() -> None:
    other = {"key": "mine", "effect": "NoSchedule"}
    tainted = nodes.taints_for([other], ready=False)
    assert tainted == [other, nodes.NOT_READY_TAINT]
    assert nodes.taints_for(tainted or [], ready=False) is None
    assert nodes.taints_for(tainted or [], ready=True) == [other]
    assert nodes.taints_for([other], ready=True) is None


def test_every_node_has_an_address_of_its_own() -> None:
    assert len({nodes.address(index) for index in range(70_000)}) == 70_000


@pytest.mark.parametrize(
    "flags", [["--nodes", "many"], ["--time-scale", "0"], ["--bandwidth", "-1"], ["--image-cache", "0"], ["--nodez"]]
)
def test_a_wrong_flag_is_one_line_and_code_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_flags(flags)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_flags_reach_the_model() -> None:
    model = parse_flags(["--cpu", "4", "--image-cache", "5", "--time-scale", "0.1", "--hostname-suffix", ".x"]).model
    assert (model.shape.cpu, model.shape.hostname_suffix, model.image_cache, model.time_scale) == ("4", ".x", 5, 0.1)


@pytest.mark.parametrize("build", [agent_runtime, code_interpreter])
def test_a_session_names_its_workload_but_not_its_kind(build: Any) -> None:
    sandbox = sandbox_for(build("w", image="i:1"), "s1")
    assert sandbox["metadata"]["labels"] == {
        contract.SESSION_LABEL: "s1",
        contract.WORKLOAD_NAME_LABEL: "w",
        "managed-by": "agentcube-workload-manager",
    }
    template = sandbox["spec"]["podTemplate"]
    assert template["metadata"]["labels"] == {
        "app": "w",
        contract.SESSION_LABEL: "s1",
        contract.SANDBOX_LABEL: "w-s1",
    }
    (container,) = template["spec"]["containers"]
    assert (container["image"], container["resources"]["requests"]["cpu"]) == ("i:1", "400m")


def test_a_session_says_its_kind_when_asked_to() -> None:
    sandbox = sandbox_for(code_interpreter("w"), "s1", kind_label=True)
    for metadata in (sandbox["metadata"], sandbox["spec"]["podTemplate"]["metadata"]):
        assert metadata["labels"][contract.WORKLOAD_KIND_LABEL] == "CodeInterpreter"


def test_a_transform_sees_the_whole_spec_and_never_the_workload_itself() -> None:
    workload = agent_runtime("w")
    sandbox = sandbox_for(workload, "s1", transform=lambda spec: {**spec, "nodeName": "n"}, scheduler_name="sticky")
    spec = sandbox["spec"]["podTemplate"]["spec"]
    assert (spec["nodeName"], spec["schedulerName"]) == ("n", "sticky")
    assert "schedulerName" not in workload["spec"]["podTemplate"]["spec"]


def test_opting_in_goes_to_the_field_or_to_the_annotation() -> None:
    assert agent_runtime("w", sticky=True)["spec"]["nodeStickiness"] == {"enabled": True}
    said = agent_runtime("w", sticky=True, via="annotation")
    assert "nodeStickiness" not in said["spec"]
    assert said["metadata"]["annotations"] == {contract.STICKINESS_ANNOTATION: "enabled"}
    assert "nodeStickiness" not in agent_runtime("w")["spec"]


@pytest.mark.parametrize(("name", "session"), [("w" * 60, "long"), ("w", "UPPER"), ("w", "ends-")])
def test_a_name_that_no_label_can_hold_is_refused(name: str, session: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        sandbox_for(agent_runtime(name), session)


def test_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="neither AgentRuntime nor CodeInterpreter"):
        sandbox_for({**agent_runtime("w"), "kind": "Deployment"}, "s")
