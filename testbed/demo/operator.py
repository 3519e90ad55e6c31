"""The end of the demo: what an operator sees of it, and whether that is what really happened."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console

from lastnode.kube.fetch import fetch
from lastnode.outcome import JOURNAL, SessionRecord
from testbed.demo.arms import Arm
from testbed.demo.outcome import Run
from testbed.paths import REPOSITORY
from testbed.stack import Stack

COUNTED_SECONDS = 20.0


def look(
    console: Console, stack: Stack, arms: Iterable[tuple[Arm, Sequence[Run]]], faults: Sequence[tuple[str, str, Run]]
) -> list[str]:
    """Print ``kubectl lastnode report`` and ``explain``; returns what of it is not what this program saw itself."""
    seen = [run for _, runs in arms for run in runs] + [run for _, _, run in faults]
    stack.wait(lambda: len(_journal(stack)) >= len(seen), "the recorder to count every session", COUNTED_SECONDS)
    _kubectl(console, stack, "report")
    if faults:
        run = faults[0][2]
        _kubectl(console, stack, "explain", pod_of(run), "-n", "default")
    return disagreements(seen, _journal(stack))


def pod_of(run: Run) -> str:
    """The name of a session's pod."""
    return f"{run.workload}-{run.session}"


def disagreements(runs: Sequence[Run], records: Sequence[SessionRecord]) -> list[str]:
    """A line for each kind of outcome that the recorder counted otherwise, and for reasons that it does not know."""
    seen = Counter(str(run.outcome) for run in runs)
    said = Counter(str(record.outcome) for record in records)
    lines = [
        f"the recorder counted {said[outcome]} sessions as {outcome}, and there were {seen[outcome]}"
        for outcome in sorted(seen | said)
        if said[outcome] != seen[outcome]
    ]
    unknown = [record.pod for record in records if record.reason == "unknown"]
    return lines + ([f"nobody knows why these moved: {', '.join(unknown)}"] if unknown else [])


def _journal(stack: Stack) -> list[SessionRecord]:
    return JOURNAL.decode(fetch(f"{stack.recorder_url}/sessions", seconds=10)).sessions


def _kubectl(console: Console, stack: Stack, *words: str) -> None:
    console.print(f"\n$ kubectl lastnode {' '.join(words)}", style="bold")
    where = ["--kubeconfig", str(stack.cp.kubeconfig), "--recorder-url", stack.recorder_url]
    command = [sys.executable, "-m", "kubectl_lastnode", *words, *where]
    shown = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60).stdout
    console.print(shown, markup=False, end="")
