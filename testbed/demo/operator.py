"""The end of the demo: what an operator sees of it, and whether that is what really happened."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console

from lastnode.outcome import WARM, Outcome, SessionRecord
from testbed.demo.arms import Arm
from testbed.demo.many import Tally
from testbed.demo.outcome import Run
from testbed.paths import REPOSITORY
from testbed.stack import Stack

COUNTED_SECONDS = 20.0


def look(
    console: Console,
    stack: Stack,
    arms: Iterable[tuple[Arm, Sequence[Run]]],
    faults: Sequence[tuple[str, str, Run]],
    tallies: Sequence[Tally],
    tallied: Iterable[Run],
) -> list[str]:
    """Print ``kubectl lastnode report`` and ``explain``; returns what of it is not what this program saw itself.

    ``tallied``: all that ran for the tallies. Of these only the warm ones are compared, and only in being warm: what
    the recorder remembers changes while a round of them goes on.
    """
    seen = [run for _, runs in arms for run in runs] + [run for _, _, run in faults]
    warm = [run for tally in tallies if tally.promised for run in tally.warm]
    pods = {run.uid for run in (*seen, *warm)}

    def counted() -> bool:
        return pods <= {record.pod_uid for record in stack.journal()}

    stack.wait(counted, "the recorder to count every session", COUNTED_SECONDS)
    _kubectl(console, stack, "report")
    if faults:
        _kubectl(console, stack, "explain", faults[0][2].pod, "-n", "default")
    journal, apart = stack.journal(), {run.workload for run in tallied}
    told = [each for each in journal if each.workload not in apart]
    return disagreements(seen, told) + told_cold([run.pod for run in warm], journal)


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


def told_cold(warm: Iterable[str], records: Iterable[SessionRecord]) -> list[str]:
    """A line where the recorder counted pods, that ran on a node known to them, as if they had not."""
    cold = {each.pod: each.outcome for each in records if each.outcome not in (*WARM, Outcome.GROUP)}
    said = [f"{pod} as {cold[pod]}" for pod in warm if pod in cold]
    return [f"the recorder counted {', '.join(said)}, and they ran on a known node"] if said else []


def _kubectl(console: Console, stack: Stack, *words: str) -> None:
    console.print(f"\n$ kubectl lastnode {' '.join(words)}", style="bold")
    where = ["--kubeconfig", str(stack.cp.kubeconfig), "--recorder-url", stack.recorder_url]
    command = [sys.executable, "-m", "kubectl_lastnode", *words, *where]
    shown = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60).stdout
    console.print(shown, markup=False, end="")
