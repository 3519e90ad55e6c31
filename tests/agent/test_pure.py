"""The small rules: scripts in annotations, timers, taints, flags, workloads."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastnode import contract
from testbed.agent import names, nodes
from testbed.agent.images import Layer
from testbed.agent.machines import Machines, Model, next_tick
from testbed.agent.pulls import Speed
from testbed.agent.requests import Request
from testbed.agent.script import Script, ScriptError, parse
from testbed.agent.settings import parse as parse_flags
from testbed.agent.timers import Moment, Timers
from testbed.agent.wire import SeenNode
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
    speed = parse_flags(["--bandwidth", "1", "--unpack-megabyte", "2", "--unpack-files", "3"]).model.speed
    assert speed == Speed(1, 2, 3) == Speed(10, 0.2, 0.3).scaled(10)
    assert (model.shape.cpu, model.shape.hostname_suffix, model.image_cache, model.time_scale) == ("4", ".x", 5, 0.1)


@given(st.floats(0, 1e6), st.floats(0.001, 100), st.text(max_size=5))
def test_what_is_done_once_a_period_is_done_within_the_next(at: float, period: float, who: str) -> None:
    tick = next_tick(at, period, who)
    assert at <= tick <= at + period * 1.001
    assert next_tick(tick + period / 2, period, who) == pytest.approx(tick + period)
    assert next_tick(at, 0.0, who) == at


NODE = SeenNode(name="node-0", uid="uid", served=True, ready=True, address="", taints=[], images=[])


def pulled_at(second: float, machines: Machines, timers: Timers) -> None:
    """node-0 has an image from that second on."""
    machine = machines.get("node-0")
    assert machine is not None
    machine.store.admit("pod", [("a:1", (Layer("a", 100),))], second)
    machines.images_change(machine, second)


@pytest.mark.parametrize("second", [0.0, 7.0, 19.0, 31.0, 44.0])
def test_an_image_is_listed_with_the_first_status_after_the_kubelet_has_looked(second: float) -> None:
    timers, sent = Timers(), list[Request]()
    machines = Machines(Model(), timers, sent.append)
    machines.seen(NODE, moment(0.0))
    pulled_at(second, machines, timers)
    looks = next_tick(second, 30.0, "images of node-0")
    reports = next_tick(looks, 10.0, "node-0")
    timers.run(moment(reports - 0.01))
    assert sent == []
    timers.run(moment(reports))
    (request,) = sent
    assert request.body == {"metadata": {"uid": "uid"}, "status": {"images": [{"names": ["a:1"], "sizeBytes": 100}]}}


def test_what_is_pulled_after_the_kubelet_has_looked_waits_for_its_next_look() -> None:
    timers, sent = Timers(), list[Request]()
    machines = Machines(Model(), timers, sent.append)
    machines.seen(NODE, moment(0.0))
    looks = next_tick(0.0, 30.0, "images of node-0")
    pulled_at(looks + 0.1, machines, timers)
    timers.run(moment(looks + 30.0))
    assert sent == []
    timers.run(moment(looks + 40.0))
    assert len(sent) == 1


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
