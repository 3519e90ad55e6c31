"""The command that sets simulated machines beside real ones, and the rules that it sums up by."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.agent.images import Layer
from testbed.nodes.calibrate import Pull, Took, fitted, images_of
from testbed.paths import REPOSITORY


@pytest.mark.usefixtures("supported")
def test_it_pulls_on_a_real_and_on_a_simulated_machine_and_prints_both_side_by_side() -> None:
    argv = [sys.executable, "-m", "testbed.nodes.calibrate"]
    one_small_image = ["--megabytes", "4", "--repeats", "1", "--images", "library"]
    done = subprocess.run([*argv, *one_small_image], cwd=REPOSITORY, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("│ library"))
    image, size, files, *pairs = (cell.strip() for cell in row.strip("│").split("│"))
    assert (image, float(size) > 1, int(files) > 20) == ("library", True, True)
    seconds = ([float(word) for word in cell.rstrip("%").split(" | ")] for cell in pairs)
    _, unpacked, _, pulled, _, present, listed = seconds
    assert min(*pulled, *present, unpacked[1]) > 0, row
    assert len(listed) == 2
    assert re.search(r"^fitted .* CPUs, load", done.stdout, re.MULTILINE)


def pull_of(megabytes: int, files: int, cpu: float) -> Pull:
    nothing = Took(0, 0, 0)
    return Pull("image", (Layer("layer", megabytes * 10**6, files),), nothing, nothing, cpu)


@given(st.floats(0.001, 1), st.floats(0.001, 1))
def test_what_bytes_and_files_cost_is_found_from_images_that_have_them_in_other_proportions(
    megabyte: float, files: float
) -> None:
    sizes = [(50, 10), (5, 4000), (30, 2000)]
    pulls = [pull_of(size, count, size * megabyte + count / 1000 * files) for size, count in sizes]
    assert fitted(pulls) == pytest.approx((megabyte, files))


def test_of_images_alike_only_the_bytes_can_be_told() -> None:
    assert fitted([pull_of(10, 0, 0.5), pull_of(20, 0, 1.0)]) == pytest.approx((0.05, 0.0))


def test_images_differ_in_bytes_and_in_files(tmp_path: Path) -> None:
    files = [(f"{size}", tmp_path / f"{size}") for size in range(1, 200)]
    for name, path in files:
        path.write_bytes(b"x" * int(name))
    layers = images_of(files, 2000)
    counts = {image: sum(map(len, own)) for image, own in layers.items()}
    sizes = {image: sum(int(name) for own in each for name, _ in own) for image, each in layers.items()}
    assert counts["large files"] < counts["library"] == counts["three layers"]
    assert counts["small files"] > counts["large files"]
    assert sizes["small files"] <= 200 < 1500 < min(sizes["large files"], sizes["library"])
    assert len(layers["three layers"]) == 3
