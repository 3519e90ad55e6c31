"""The guard: a small process between a control plane's user and its components.

It runs in a session of its own, so that Ctrl-C in a terminal, which reaches the whole foreground process group,
does not hit the components in no particular order. It holds one end of a socket whose other end only its parent
has: whatever ends the parent, the socket closes, and the guard stops the components in reverse order, removes
their directory and exits. On Linux the kernel kills the components should the guard itself be killed.

This file is run as a script by an isolated interpreter: the standard library only, nothing of the package.
One request a line, one answer a line, JSON:

    {"op": "spawn", "name", "argv", "env", "cwd", "log", "grace"}  ->  {"pid"}
    {"op": "state", "name"}            ->  {"returncode": int | null}
    {"op": "signal", "name", "signal"} ->  {}
    {"op": "stop", "name", "grace"}    ->  {"returncode"}
    anything that fails                ->  {"error": text}
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# How often the guard looks whether its parent is still the same: only needed when the parent forked and a
# child of it keeps the socket open.
_PARENT_CHECK_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Child:
    """One component: the leader of a process group, which ends with it."""

    def __init__(self, request: dict[str, Any], before_exec: Callable[[], None] | None) -> None:
        self.grace = float(request["grace"])
        with open(request["log"], "ab") as log:
            self._process = subprocess.Popen(
                request["argv"],
                env=request["env"],
                cwd=request["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=before_exec,
            )
        self.pid = self._process.pid

    def returncode(self) -> int | None:
        """None while it runs. What is left of its group is killed when its end is first seen: the group's number
        cannot have gone to anybody else before."""
        if self._process.returncode is None and self._process.poll() is not None:
            self._signal_group(signal.SIGKILL)
        return self._process.returncode

    def signal(self, number: int) -> None:
        if self.returncode() is None:
            self._signal_group(number)

    def stop(self, grace: float) -> int:
        """SIGTERM and up to `grace` seconds for an orderly end, then SIGKILL; at once with grace 0."""
        if grace > 0 and self.returncode() is None:
            os.kill(self.pid, signal.SIGTERM)
            self._signal_group(signal.SIGCONT)  # a paused component could not act on the SIGTERM
            self._wait(grace)
        self.signal(signal.SIGKILL)
        while (code := self.returncode()) is None:
            time.sleep(0.01)
        return code

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.returncode() is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def _signal_group(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only zombies are left
            os.killpg(self.pid, number)


class Guard:
    """The components by name, in the order in which they were started."""

    def __init__(self) -> None:
        self._children: dict[str, Child] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        if request["op"] == "spawn":
            return self._spawn(name, request)
        child = self._children.get(name)
        if child is None:
            raise ValueError(f"no component {name!r}")
        if request["op"] == "signal":
            child.signal(request["signal"])
            return {}
        return {"returncode": child.stop(request["grace"]) if request["op"] == "stop" else child.returncode()}

    def stop_all(self) -> None:
        for child in reversed(self._children.values()):
            child.stop(child.grace)

    def _spawn(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        old = self._children.get(name)
        if old is not None and old.returncode() is None:
            raise ValueError(f"component {name!r} is running already")
        # A restarted component keeps its place in the order.
        child = self._children[name] = Child(request, _die_with_the_guard())
        return {"pid": child.pid}


def _die_with_the_guard() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    guard = os.getpid()

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)

    return before_exec


def _serve(channel: socket.socket, guard: Guard, parent: int) -> None:
    """Answer requests until the parent is gone."""
    received = b""
    while os.getppid() == parent:
        if not select.select([channel], [], [], _PARENT_CHECK_SECONDS)[0]:
            continue
        chunk = channel.recv(1 << 16)
        if not chunk:
            return
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            channel.sendall(json.dumps(_answer(guard, json.loads(line))).encode() + b"\n")


def _answer(guard: Guard, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return guard.answer(request)
    except (OSError, ValueError) as error:
        return {"error": str(error)}


def _make_directory(wanted: str) -> Path:
    directory = Path(wanted or tempfile.mkdtemp(prefix="lastnode-")).resolve()
    (directory / "logs").mkdir(parents=True, exist_ok=True)
    return directory


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    os.close(log)


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _ignore(_number: int, _frame: object) -> None:
    """A handler rather than SIG_IGN, which the components would inherit."""


def main(descriptor: str, parent: str, wanted: str) -> None:
    """`wanted`: a directory to use and keep, or "" for a temporary one that goes with the guard."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ignore)
    signal.signal(signal.SIGTERM, _leave)
    channel = socket.socket(fileno=int(descriptor))
    channel.set_inheritable(False)
    try:
        directory = _make_directory(wanted)
    except OSError as error:
        channel.sendall(json.dumps({"error": f"{error.strerror}: {error.filename}"}).encode() + b"\n")
        return
    guard = Guard()
    try:
        _log_to(directory / "logs" / "guard.log")
        channel.sendall(json.dumps({"directory": str(directory)}).encode() + b"\n")
        _serve(channel, guard, int(parent))
    except ConnectionError:
        pass  # the parent went away in the middle of an answer
    finally:
        signal.signal(signal.SIGTERM, _ignore)
        guard.stop_all()
        if not wanted:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
