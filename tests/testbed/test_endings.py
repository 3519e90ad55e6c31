"""However a control plane ends, nothing of it is left: no process, no port, no directory."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testbed import Binaries, ControlPlane, GuardLost
from testbed.component import Component, Guard
from testbed.ports import listens
from tests.waiting import eventually

from .helpers import driven, lives

pytestmark = pytest.mark.usefixtures("binaries")  # found, or built, before a driver needs them
SLEEP = "import time; time.sleep(600)"
driver = partial(driven, "tests.testbed.driver")


def nothing_is_left(facts: dict[str, Any]) -> bool:
    processes = any(lives(pid) for pid in facts["pids"])
    ports = any(listens(port) for port in facts["ports"])
    return not processes and not ports and not Path(facts["dir"]).exists()


@pytest.mark.parametrize(("ending", "code"), [("return", 0), ("raise", 1)])
def test_nothing_is_left_when_the_program_that_has_it_ends(ending: str, code: int) -> None:
    with driver(ending) as (process, facts):
        assert process.wait(20) == code
        assert nothing_is_left(facts)  # at once: the program itself has waited for it


def test_nothing_is_left_when_a_signal_ends_the_whole_foreground_group() -> None:
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL]
    with ExitStack() as stack, ThreadPoolExecutor(len(signals)) as pool:  # together: most of it is starting
        drivers = list(pool.map(lambda _: stack.enter_context(driver("wait")), signals))
        for number, (process, facts) in zip(signals, drivers, strict=True):
            assert all(lives(pid) for pid in facts["pids"])
            assert Path(facts["dir"]).is_dir()
            os.killpg(process.pid, number)
            assert process.wait(20) != 0
            eventually(lambda facts=facts: nothing_is_left(facts), f"all of {facts} is gone after {number.name}")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel ends the components of a killed guard")
def test_nothing_but_the_directory_is_left_when_both_the_guard_and_the_program_are_killed() -> None:
    with driver("wait") as (process, facts):
        os.kill(facts["guard"], signal.SIGKILL)
        process.kill()
        eventually(lambda: not any(lives(pid) for pid in facts["pids"]), f"the processes of {facts} are gone")
        eventually(lambda: not any(listens(port) for port in facts["ports"]), "its ports are free")
        shutil.rmtree(facts["dir"])


def test_a_killed_guard_is_noticed_and_cleared_up_after() -> None:
    guard = Guard.start()
    component = component_of(guard, "sleeper", SLEEP)
    component.start()
    os.kill(guard.pid, signal.SIGKILL)
    assert eventually(lambda: not component.alive, "the loss is noticed")
    with pytest.raises(GuardLost):
        component.stop()
    guard.close()
    eventually(lambda: not lives(component.pid), "the component is gone")
    assert not guard.directory.exists()


def test_a_guard_that_is_told_to_end_stops_its_components_first() -> None:
    guard = Guard.start()
    component = component_of(guard, "sleeper", SLEEP)
    component.start()
    os.kill(guard.pid, signal.SIGTERM)
    eventually(lambda: not lives(component.pid) and not guard.directory.exists(), "all is gone")
    guard.close()


def test_components_end_in_reverse_order_even_those_that_ignore_sigterm_are_paused_or_have_children(
    tmp_path: Path,
) -> None:
    order = tmp_path / "order"
    note = f"open({str(order)!r}, 'a').write"
    on_term = "signal.signal(signal.SIGTERM, lambda *_: ({}))"
    head = "import os, signal, subprocess, sys, time\n"
    orderly = head + on_term.format(f"{note}(sys.argv[1]), os._exit(0)") + "\nprint('set', flush=True)\ntime.sleep(600)"
    stubborn = head + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('set', flush=True)\ntime.sleep(600)"
    parent = head + "child = subprocess.Popen(['sleep', '600'])\nprint(child.pid, flush=True)\ntime.sleep(600)"

    guard = Guard.start()
    scripts = {"first": orderly, "second": orderly, "stubborn": stubborn, "parent": parent}
    components = {name: component_of(guard, name, script) for name, script in scripts.items()}
    for component in components.values():
        component.start()
        eventually(lambda c=component: c.log.read_text(), f"{component.name} has set itself up")
    components["second"].pause()
    child = int(components["parent"].log.read_text())
    assert lives(child)

    guard.close()
    assert order.read_text() == "secondfirst"
    assert not any(lives(pid) for pid in [child, *(c.pid for c in components.values())])
    assert not guard.directory.exists()


def test_a_component_that_died_of_itself_is_seen_and_may_be_started_again() -> None:
    guard = Guard.start()
    component = component_of(guard, "short", "raise SystemExit(7)")
    component.start()
    assert eventually(lambda: component.returncode, "it has ended") == 7
    component.argv = [sys.executable, "-c", SLEEP]
    component.start()
    assert component.alive
    guard.close()
    assert not component.alive
    guard.close()  # harmless


def component_of(guard: Guard, name: str, script: str) -> Component:
    return Component(
        name=name,
        argv=[sys.executable, "-c", script, name],
        log=guard.directory / "logs" / f"{name}.log",
        guard=guard,
        env=dict(os.environ),
        cwd=Path.cwd(),
        ready=lambda: True,
        grace=1.0,
    )


def test_control_planes_that_start_at_once_do_not_get_in_each_others_way(binaries: Binaries) -> None:
    def start(_: int) -> ControlPlane:
        return ControlPlane.start(binaries=binaries, scheduler=False)

    with ThreadPoolExecutor(3) as pool:
        planes = list(pool.map(start, range(3)))
    try:
        for number, plane in enumerate(planes):
            plane.api().post("/api/v1/namespaces", {"metadata": {"name": f"only-{number}"}})
        for number, plane in enumerate(planes):
            names = {item["metadata"]["name"] for item in plane.api().get("/api/v1/namespaces")["items"]}
            assert {name for name in names if name.startswith("only-")} == {f"only-{number}"}
    finally:
        for plane in planes:
            plane.close()
    assert not any(plane.dir.exists() for plane in planes)
