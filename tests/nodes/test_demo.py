"""`make demo-nodes` as a user sees it, with smaller images."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from testbed.demo.outcome import Run
from testbed.nodes.demo import Phases, kind_of_start, pull_seconds
from testbed.paths import REPOSITORY
from testbed.versions import chosen


@pytest.mark.usefixtures("supported")
def test_it_ends_well_and_shows_what_coming_back_is_worth_and_what_of_it_was_real() -> None:
    argv = [sys.executable, "-m", "testbed.nodes.demo", "--nodes", "3", "--megabytes", "40"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=280)
    shown = done.stdout
    assert done.returncode == 0, shown + done.stderr
    assert "NOT AS PROMISED" not in shown
    assert shown.count(" 6 of 6 ") == 2, shown  # agentcube's workloads and Sandboxes alone
    for fault, reason in (("cordoned", "node_cordoned"), ("full", "no_room"), ("killed", "node_gone")):
        assert f"│ {fault} " in shown, shown
        assert re.search(rf"^{reason} +1 ", shown, re.MULTILINE), shown
    assert re.search(r"│ elsewhere, image pulled +│ +\d+ │", shown), shown
    real = rf"^real: 3 kubelets {re.escape(chosen(os.environ))} with containerd 1\.6\.20, .* Not real: one"
    assert re.search(real, shown, re.MULTILINE), shown


def test_the_time_of_a_pull_is_what_the_kubelet_says() -> None:
    said = 'Successfully pulled image "registry.example/a:1" in {} ({} including waiting). Image size: 1094060 bytes.'
    assert pull_seconds(said.format("902ms", "1.2s")) == 0.902
    assert pull_seconds(said.format("22.093s", "22.1s")) == 22.093
    assert pull_seconds(said.format("1m2.5s", "1m3s")) == 62.5
    assert pull_seconds('Container image "registry.example/a:1" already present on machine') == 0.0


def test_only_a_start_with_a_pull_tells_what_it_costs_to_run_elsewhere() -> None:
    pulled, there = Phases(0.1, 5.0, 0.3), Phases(0.1, 0.0, 0.3)
    moved = Run("a", "k", "w", "2", "n", "moved", 5.4)
    assert kind_of_start(moved, pulled) == "elsewhere, image pulled"
    assert kind_of_start(moved, there) == "elsewhere, image found there"
