"""The fuzz target runs for a bounded time, from the golden requests on, and finds nothing.

For longer: ``make fuzz FUZZ_SECONDS=600``; FUZZ_SEED begins with the same inputs. An input that was found belongs into
a test.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.paths import REPOSITORY
from tests.fuzz.story import AGENTS, STORY
from tests.fuzz.world import World, now

SECONDS = int(os.environ.get("FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("FUZZ_SEED") or random.randrange(1, 10**6))
# What one input may take before libFuzzer calls it a hang; beyond it, how long the run may need to come up.
INPUT_SECONDS = 25
START_SECONDS = 120
TARGET = "tests.fuzz.fuzz_bytes"

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed; it exists for Linux only"
)


class Run:
    """One run of the target. ``found``: inputs that broke it, by the name that libFuzzer gave them."""

    def __init__(self, directory: Path, *options: str) -> None:
        seeds, corpus, self._artifacts = (directory / name for name in ("seeds", "corpus", "found"))
        for each in (seeds, corpus, self._artifacts):
            each.mkdir()
        words = directory / "words.dict"
        write = f"from pathlib import Path; import {TARGET} as target, sys; "
        write += "target.write_seeds(Path(sys.argv[1])); target.write_dictionary(Path(sys.argv[2]))"
        subprocess.run([sys.executable, "-c", write, str(seeds), str(words)], cwd=REPOSITORY, check=True, timeout=120,
                       capture_output=True)  # fmt: skip
        flags = [f"-artifact_prefix={self._artifacts}/", f"-dict={words}", f"-timeout={INPUT_SECONDS}", *options]
        argv = [sys.executable, "-m", TARGET, *flags, str(corpus), str(seeds)]
        limit = SECONDS + INPUT_SECONDS + START_SECONDS
        done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, timeout=limit)
        self.code = done.returncode
        self.output = (done.stdout + done.stderr).decode(errors="replace")

    @property
    def found(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes()[:2000] for path in self._artifacts.iterdir()}

    @property
    def inputs(self) -> int:
        done = re.search(r"Done (\d+) runs", self.output)
        return int(done[1]) if done else 0


def test_the_story_as_it_stands_leads_through_both_programs() -> None:
    """A session moves from a to b, is written, and crashes; else changes to it would find nothing."""
    world = World(now())
    agents, last_nodes = world.view.workloads[AGENTS], []
    for resource, document in STORY:
        world.event(resource, json.dumps({"type": "ADDED", "object": document}).encode())
        world.settle()
        last_nodes += [workload.last_node for workload in agents.values()]
    assert last_nodes == ["a"] * 5 + ["b", "a", "a"]
    assert world.counted == 2


@needs_atheris
@pytest.mark.timeout(SECONDS + INPUT_SECONDS + 2 * START_SECONDS)
def test_no_input_breaks_the_request_or_the_memory(tmp_path: Path) -> None:
    print(f"FUZZ_SEED={SEED} FUZZ_SECONDS={SECONDS}")
    run = Run(tmp_path, f"-max_total_time={SECONDS}", f"-seed={SEED}")
    assert not run.found, run.output[-5000:]
    assert run.code == 0, run.output[-5000:]
    assert run.inputs > len(list((tmp_path / "seeds").iterdir()))
    print(f"{run.inputs} inputs in {SECONDS} s; {run.output.splitlines()[-1]}")


@needs_atheris
def test_a_run_that_ends_badly_is_noticed(tmp_path: Path) -> None:
    """libFuzzer takes more memory than one megabyte for a fault of the target."""
    run = Run(tmp_path, "-rss_limit_mb=1", f"-max_total_time={INPUT_SECONDS}")
    assert run.code != 0
    assert run.found
