"""Programs that are told how to end, and whether a process is still there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from testbed.paths import REPOSITORY


def lives(pid: int) -> bool:
    """A zombie that nobody has collected yet is dead."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


@contextmanager
def driven(program: str, ending: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A module that ends in the way it is told, in a process group of its own, as a shell's foreground job is; up and
    running, with the facts that it printed."""
    argv = [sys.executable, "-m", program, ending]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, process_group=0
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
