"""kubectl lastnode as a person calls it: a process, its answer, and a terminal to answer it where it asks."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.paths import REPOSITORY

SECONDS = 60


def run(kubeconfig: Path | str, *words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Without a terminal."""
    return subprocess.run(
        _argv(kubeconfig, words), cwd=REPOSITORY, env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip


def parsed(kubeconfig: Path | str, *words: str) -> Any:
    """The JSON that it prints; it has to end well."""
    done = run(kubeconfig, *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Terminal:
    """The same on a terminal: :meth:`read_until` it says something, :meth:`answer`, :meth:`end`."""

    def __init__(self, kubeconfig: Path | str, *words: str, env: Mapping[str, str] | None = None) -> None:
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            _argv(kubeconfig, words), cwd=REPOSITORY, env={**os.environ, **(env or {})},
            stdin=theirs, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        self.said = ""

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.said:
            assert time.monotonic() < deadline, f"waited in vain for {text!r}; it said {self.said!r}"
            assert self._read(deadline), f"it ended without {text!r}; it said {self.said!r}"

    def answer(self, line: str) -> None:
        os.write(self._ours, f"{line}\n".encode())

    def end(self) -> int:
        """Everything to the end, and the exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read(deadline):
            assert time.monotonic() < deadline, f"it does not end; it said {self.said!r}"
        os.close(self._ours)
        return self._process.wait(SECONDS)

    def _read(self, deadline: float) -> bool:
        """False at the end: Linux then says that the terminal is broken."""
        ready, _, _ = select.select([self._ours], [], [], max(0.0, deadline - time.monotonic()))
        try:
            chunk = os.read(self._ours, 65536) if ready else b""
        except OSError:
            return False
        self.said += chunk.decode(errors="replace")
        return bool(chunk)


def _argv(kubeconfig: Path | str, words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "kubectl_lastnode", "--kubeconfig", str(kubeconfig), *words]
