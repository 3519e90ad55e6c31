"""A real Chromium without a window, driven over the pipe of its DevTools protocol: no port, no driver program."""

import json
import os
import select
import shutil
import signal
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

SECONDS = 60  # for any one answer; Chromium's first start on a busy machine is the slowest


def find() -> str | None:
    """The program, under one of the names that distributions give it."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """One browser with one tab. ``events``: what it told unasked, in order."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._process = process
        self._commands, self._answers = commands, answers
        self._buffer = b""
        self._last = 0
        self._session = ""

    def open_tab(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def look(self, url: str, *, width: int, height: int, scheme: str) -> None:
        """Open a page as on a screen of that size (CSS pixels) whose user prefers ``light`` or ``dark``."""
        self.events.clear()
        screen = {"width": width, "height": height, "deviceScaleFactor": 2 if width < 600 else 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)
        self._until("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page, which itself needs no script."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """The whole page, as far as it can be scrolled, as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(b64decode(shot["data"]))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._last:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _until(self, event: str) -> None:
        while not any(seen.get("method") == event for seen in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        deadline = monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - monotonic()))
            assert ready, f"Chromium (pid {self._process.pid}) said nothing for {SECONDS} s"
            chunk = os.read(self._answers, 1 << 20)
            assert chunk, "Chromium has ended"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def running(program: str, profile: Path) -> Iterator[Chromium]:
    """A browser with a fresh profile in that folder; its own log is there too. Its processes end with the block."""
    ours, commands = os.pipe()
    answers, theirs = os.pipe()
    # Chromium reads commands from descriptor 3 and answers on 4.
    shell = f'exec "$@" 3<&{ours} 4>&{theirs}'
    flags = [
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        "--disable-gpu",
        "--no-first-run",
    ]
    flags += ["--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"]
    flags += ["--no-sandbox"] if os.geteuid() == 0 else []
    with open(profile.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", shell, "chromium", program, *flags],
            pass_fds=(ours, theirs),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    os.close(ours)
    os.close(theirs)
    try:
        browser = Chromium(process, commands, answers)
        browser.open_tab()
        yield browser
    finally:
        os.close(commands)
        os.close(answers)
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Without its pipe Chromium ends by itself; what is left of its own process group after that is killed."""
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
