"""Runs a command that takes minutes, and shows that it moves."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

# A terminal's line is rewritten; a log gets a line now and then.
_TERMINAL_SECONDS = 1.0
_LOG_SECONDS = 20.0


class Progress:
    """One line that tells how far something is: rewritten in place on a terminal, repeated elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._start = time.monotonic()
        self.seconds = _TERMINAL_SECONDS if self._terminal else _LOG_SECONDS

    def show(self, text: str) -> None:
        line = f"{text}, {_elapsed(time.monotonic() - self._start)}"
        self._write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")

    def done(self, text: str) -> None:
        self.show(text)
        if self._terminal:
            self._write("\n")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a closed terminal is no reason to lose a build
            self._stream.write(text)
            self._stream.flush()


def run(
    argv: Sequence[str | Path],
    cwd: Path,
    env: Mapping[str, str],
    progress: Progress,
    describe: Callable[[Sequence[str]], str],
) -> tuple[int, list[str]]:
    """Exit code, and the lines of stdout and stderr. `describe` makes of the lines so far what is shown."""
    lines: list[str] = []
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    reader = threading.Thread(target=_collect, args=(process.stdout, lines), name="build output")
    reader.start()
    try:
        while True:
            try:
                code = process.wait(progress.seconds)
                break
            except subprocess.TimeoutExpired:
                progress.show(describe(lines))
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        reader.join()
        process.stdout.close()
    return code, lines


def _collect(stream: TextIO, lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip())


def _elapsed(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
