"""However real nodes end, nothing of them is left: no process, mount, cgroup or file; and the machine is as it was."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testbed.nodes import runs
from tests.testbed.helpers import driven, lives
from tests.waiting import eventually

pytestmark = pytest.mark.usefixtures("supported")
# What kubelet sets on a machine of its own.
SETTINGS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
            "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward")  # fmt: skip
driver = partial(driven, "tests.nodes.driver")


def left(facts: dict[str, Any]) -> list[str]:
    """What of it is still there."""
    paths = [facts["dir"], *facts["cgroups"], str(runs.folder() / facts["run"])]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if facts["dir"] in line]
    return [*(path for path in paths if Path(path).exists()), *mounts, *(f"{p}" for p in facts["pids"] if lives(p))]


def settings() -> dict[str, str]:
    return {name: Path("/proc/sys", name).read_text() for name in SETTINGS}


@pytest.mark.parametrize("ending", ["return", "raise", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_however_the_program_that_has_them_ends(ending: str) -> None:
    before = settings()
    with driver(ending) as (process, facts):
        assert settings() == before
        if ending.startswith("SIG"):
            os.killpg(process.pid, signal.Signals[ending])
        process.wait(30)
        eventually(lambda: not left(facts), f"all is gone, of {facts}; left are {left(facts)}")


def test_what_a_kill_of_everything_has_left_is_swept_by_a_later_run() -> None:
    with driver("wait") as (process, facts):
        os.kill(facts["guard"], signal.SIGKILL)
        process.kill()
        eventually(lambda: not any(lives(pid) for pid in facts["pids"]), "the kernel has ended the processes")
        assert Path(facts["dir"]).exists()
        eventually(lambda: facts["run"] in runs.sweep(), f"{facts['run']} is swept")
        assert not left(facts)
