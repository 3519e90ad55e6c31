"""Components, as the process that wants them sees them: every action goes through the guard."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import GuardLost, LocalError, PortTaken, StartError

_GUARD = Path(__file__).with_name("guard.py")
_POLL_SECONDS = 0.03
_TAIL_LINES = 25
# Time beyond the components' own grace in which the guard must have answered or gone.
_GUARD_SECONDS = 15.0
_PORT_IN_USE = "address already in use"

Ready = Callable[[], bool]


class Guard:
    """The running guard process, and the directory that it keeps for the components."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket.socket, keep: bool) -> None:
        self._process = process
        self._channel = channel
        self._mutex = threading.Lock()
        self._keep = keep
        self._grace: dict[str, float] = {}
        self._groups: dict[str, int] = {}
        self._received = b""
        self.directory = Path()

    @classmethod
    def start(cls, directory: Path | None = None) -> Guard:
        """`directory` is made when missing, and kept at the end; without one, a temporary one is made and removed."""
        ours, theirs = socket.socketpair()
        wanted = str(directory) if directory else ""
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(theirs.fileno()), str(os.getpid()), wanted],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        guard = cls(process, ours, keep=bool(directory))
        try:
            guard.directory = Path(guard._receive(_GUARD_SECONDS)["directory"])
        except BaseException:
            guard.close()
            raise
        return guard

    @property
    def pid(self) -> int:
        return self._process.pid

    def spawn(self, component: Component) -> int:
        """Start the component's process; returns its pid."""
        self._grace[component.name] = component.grace
        answer = self._request(
            "spawn",
            component.name,
            argv=list(component.argv),
            env=dict(component.env),
            cwd=str(component.cwd),
            log=str(component.log),
            grace=component.grace,
        )
        self._groups[component.name] = answer["pid"]
        return int(answer["pid"])

    def returncode(self, name: str) -> int | None:
        code: int | None = self._request("state", name)["returncode"]
        return code

    def signal(self, name: str, number: signal.Signals) -> None:
        self._request("signal", name, signal=int(number))

    def stop(self, name: str, grace: float) -> int:
        return int(self._request("stop", name, wait=grace, grace=grace)["returncode"])

    def close(self) -> None:
        """Stop every component and remove the directory, unless it is to be kept. Does nothing the second time."""
        self._channel.close()
        try:
            self._process.wait(sum(self._grace.values()) + _GUARD_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            self._clean_up_after_a_killed_guard()
        self._grace.clear()

    def _clean_up_after_a_killed_guard(self) -> None:
        if sys.platform != "linux":  # where the kernel has done it already
            for group in self._groups.values():
                try:
                    os.killpg(group, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue
        if not self._keep and self.directory != Path():
            shutil.rmtree(self.directory, ignore_errors=True)

    def _request(self, op: str, name: str, wait: float = 0.0, **fields: Any) -> dict[str, Any]:
        with self._mutex:
            try:
                self._channel.settimeout(_GUARD_SECONDS)
                self._channel.sendall(json.dumps({"op": op, "name": name, **fields}).encode() + b"\n")
            except OSError as error:
                raise GuardLost("the control plane is not running (any more)") from error
            return self._receive(wait + _GUARD_SECONDS)

    def _receive(self, seconds: float) -> dict[str, Any]:
        self._channel.settimeout(seconds)
        while b"\n" not in self._received:
            try:
                chunk = self._channel.recv(1 << 16)
            except OSError as error:
                raise GuardLost(f"the guard of the components does not answer: {error}") from error
            if not chunk:
                raise GuardLost("the guard of the components has ended")
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LocalError(answer["error"])
        return answer


@dataclass
class Component:
    """One program under the guard. Made by ControlPlane; its methods may be called from any thread."""

    name: str
    argv: Sequence[str]
    log: Path
    guard: Guard = field(repr=False)
    env: Mapping[str, str] = field(repr=False)
    cwd: Path
    ready: Ready = field(repr=False)
    grace: float = 10.0  # seconds for an orderly end when the whole control plane is closed; 0: none
    orderly_seconds: float = 10.0  # the same when it alone is stopped
    ready_seconds: float = 60.0
    url: str = ""  # where it serves, when that is known here
    pid: int = 0

    @property
    def returncode(self) -> int | None:
        """None while it runs (paused counts as running); negative: ended by that signal."""
        return self.guard.returncode(self.name)

    @property
    def alive(self) -> bool:
        try:
            return self.returncode is None
        except GuardLost:
            return False

    def start(self) -> None:
        """Start the process and wait until it is ready. Raises StartError with the tail of its log."""
        self.pid = self.guard.spawn(self)
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + self.ready_seconds
        while time.monotonic() < deadline:
            code = self.returncode
            if code is not None:
                raise self._failed(f"{self.name} ended with code {code} before it was ready")
            if self.ready():
                return
            time.sleep(_POLL_SECONDS)
        raise self._failed(f"{self.name} was not ready within {self.ready_seconds:g} s")

    def stop(self, grace: float | None = None) -> int:
        """SIGTERM, SIGKILL after `grace` seconds (default: orderly_seconds); returns the exit code.

        A stopped one may be start()ed again."""
        return self.guard.stop(self.name, self.orderly_seconds if grace is None else grace)

    def kill(self) -> int:
        """SIGKILL to the component and everything it started."""
        return self.guard.stop(self.name, 0.0)

    def pause(self) -> None:
        self.guard.signal(self.name, signal.SIGSTOP)

    def resume(self) -> None:
        self.guard.signal(self.name, signal.SIGCONT)

    def restart(self, grace: float | None = None) -> None:
        """Stop and start with the same arguments, hence ports; the log goes on in the same file."""
        self.stop(grace)
        self.start()

    def tail(self, lines: int = _TAIL_LINES) -> str:
        return tail(self.log, lines)

    def _failed(self, what: str) -> StartError:
        end = self.tail()
        kind = PortTaken if _PORT_IN_USE in end else StartError
        return kind(f"{what}; the end of {self.log}:\n{end}")


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log; a note when there is none."""
    try:
        with open(log, encoding="utf-8", errors="replace") as text:
            return "".join(deque(text, lines)).rstrip() or "(empty)"
    except OSError as error:
        return f"({error.strerror})"
