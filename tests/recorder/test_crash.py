"""A session that crashes soon after it became Ready takes its node's entry back, if it was what put it there."""

from __future__ import annotations

import pytest

from testbed.stack import Stack
from tests.recorder.space import Object, Space, moment

EARLY = 30  # seconds: the setting's default


def crash(space: Space, pod: Object, second: float, exit_code: int = 1) -> None:
    """As the kubelet writes it of a pod that is not restarted."""
    ended = {"exitCode": exit_code, "finishedAt": moment(second), "reason": "Error" if exit_code else "Completed"}
    phase = "Failed" if exit_code else "Succeeded"
    space.status(pod, phase, containerStatuses=[container({"terminated": ended})])


def restart(space: Space, pod: Object, second: float, ready_at: float | None) -> None:
    """Its container crashed at ``second`` and runs again."""
    ended = {"exitCode": 137, "finishedAt": moment(second), "reason": "OOMKilled"}
    again = container({"running": {"startedAt": moment(second)}}) | {"lastState": {"terminated": ended}}
    space.status(pod, "Running", ready_at, containerStatuses=[again])


def container(state: Object) -> Object:
    return {"name": "c", "image": "c", "imageID": "", "ready": False, "restartCount": 0, "state": state}


def nodes_of(space: Space) -> list[str]:
    return [entry["node"] for entry in space.recent()]


def test_a_session_that_crashes_early_gives_the_last_node_back_to_the_one_before(space: Space) -> None:
    good, bad = space.node("good"), space.node("bad")
    space.workload()
    space.session("first", good, 1)
    second = space.session("second", bad, 100)
    space.written(bad)
    crash(space, second, 100 + EARLY)
    space.written(good)
    assert nodes_of(space) == [good]


def test_the_only_session_s_early_crash_leaves_no_memory(space: Space) -> None:
    bad = space.node("bad")
    space.workload()
    pod = space.session("only", bad, 1)
    space.written(bad)
    crash(space, pod, 5)
    space.stack.wait(space.untouched, "both annotations to be gone")


@pytest.mark.parametrize(("second", "exit_code"), [(1 + EARLY + 1, 1), (5, 0)], ids=["late", "without an error"])
def test_a_session_that_ran_for_a_while_or_ended_well_stays_remembered(
    space: Space, second: int, exit_code: int
) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, 1)
    space.written(node)
    crash(space, pod, second, exit_code)
    space.settled()
    assert nodes_of(space) == [node]


def test_another_session_s_later_entry_of_the_same_node_stays(space: Space) -> None:
    node = space.node("a")
    space.workload()
    crashing = space.session("crashing", node, 1)
    space.session("fine", node, 3)
    space.settled()
    crash(space, crashing, 5)
    space.stack.wait(lambda: [each["readyAt"] for each in space.recent()] == [moment(3)], "the later entry")


def test_a_crash_before_ready_was_seen_never_makes_the_node_the_last(space: Space) -> None:
    good, bad = space.node("good"), space.node("bad")
    space.workload()
    space.session("first", good, 1)
    space.written(good)
    crash(space, space.pod("second", bad, sandbox=space.sandbox("second")), 50)
    space.settled()
    assert nodes_of(space) == [good]


@pytest.mark.parametrize("again", [20, 10], ids=["later", "in the same second"])
def test_a_container_that_crashes_early_and_is_ready_again_counts_from_then(space: Space, again: int) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, 1)
    space.written(node)
    restart(space, pod, 10, None)
    space.stack.wait(space.untouched, "both annotations to be gone")
    restart(space, pod, 10, again)
    space.written(node)
    assert [entry["readyAt"] for entry in space.recent()] == [moment(again)]


def test_a_pod_evicted_early_counts_by_when_it_was_no_longer_ready(space: Space) -> None:
    """Evicted, a pod may have no container's end in its status."""
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, 1)
    space.written(node)
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": moment(8)}
    space.status(pod, "Failed", reason="Evicted", conditions=[ready])
    space.stack.wait(space.untouched, "both annotations to be gone")


def test_containers_that_end_with_errors_because_the_pod_is_deleted_are_no_crash(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, 1)
    space.written(node)
    space.delete_pod(pod, grace=3600)
    crash(space, pod, 5, exit_code=143)
    space.settled()
    assert nodes_of(space) == [node]


@pytest.mark.parametrize(("exit_code", "reason"), [(255, "Unknown"), (137, "ContainerStatusUnknown")])
def test_a_machine_that_reboots_right_after_is_no_crash_of_its_containers(
    space: Space, exit_code: int, reason: str
) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, 1)
    space.written(node)
    ended = {"exitCode": exit_code, "finishedAt": moment(10), "reason": reason}
    again = container({"running": {"startedAt": moment(40)}}) | {"lastState": {"terminated": ended}}
    space.status(pod, "Running", None, containerStatuses=[again])
    space.status(pod, "Running", 50, containerStatuses=[again])
    space.settled()
    assert [entry["readyAt"] for entry in space.recent()] == [moment(1)]


def test_an_error_soon_after_its_readiness_flapped_takes_nothing_back_from_a_long_session(space: Space) -> None:
    node = space.node("a")
    space.workload()
    pod = space.session("s", node, 1)
    space.written(node)
    space.status(pod, "Running")
    space.status(pod, "Running", 5000)
    space.settled()
    restart(space, pod, 5010, None)
    space.settled()
    assert [entry["readyAt"] for entry in space.recent()] == [moment(1)]


@pytest.mark.parametrize("date", ["0001-01-01T00:00:03Z", "9999-12-31T23:59:59Z"])
def test_an_end_dated_outside_of_what_can_be_reckoned_with_takes_nothing_back(space: Space, date: str) -> None:
    node = space.node("a")
    space.workload()
    pod = space.pod("s", node, sandbox=space.sandbox("s"))
    ended = container({"running": {}}) | {"lastState": {"terminated": {"exitCode": 1, "finishedAt": date}}}
    space.status(pod, "Running", 1, containerStatuses=[ended])
    space.written(node)
    space.settled()
    assert nodes_of(space) == [node]


def test_a_crash_while_the_recorder_was_away_is_taken_back_when_it_comes(plane: Stack) -> None:
    space = Space(plane)
    recorder = plane.start_recorder(name=f"recorder-{space.name}")
    try:
        good, bad = space.node("good"), space.node("bad")
        space.workload()
        space.session("first", good, 1)
        second = space.session("second", bad, 100)
        space.written(bad)
        recorder.kill()
        crash(space, second, 105)
        recorder.start()
        space.written(good)
        assert nodes_of(space) == [good]
    finally:
        recorder.kill()


def test_how_early_is_a_setting_and_0_switches_it_off(plane: Stack) -> None:
    space = Space(plane)
    recorder = plane.start_recorder("--early-crash-seconds", "0", name=f"recorder-{space.name}")
    try:
        node = space.node("a")
        space.workload()
        pod = space.session("s", node, 1)
        space.written(node)
        crash(space, pod, 2)
        space.settled()
        assert nodes_of(space) == [node]
    finally:
        recorder.kill()
