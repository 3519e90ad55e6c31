"""What make does that must not go wrong once: taking away."""

from __future__ import annotations

import subprocess
from pathlib import Path

from testbed.paths import REPOSITORY


def test_clean_takes_away_what_can_be_made_again_and_keeps_what_was_measured(tmp_path: Path) -> None:
    kept, gone = tmp_path / "build/benchmarks/headline/none.json", tmp_path / "build/manifests/webhook.yaml"
    for path in (kept, gone):
        path.parent.mkdir(parents=True)
        path.touch()
    subprocess.run(["make", "-f", REPOSITORY / "Makefile", "-C", tmp_path, "clean"], check=True, timeout=60)
    assert kept.exists()
    assert not gone.parent.exists()
    assert list((tmp_path / "build").iterdir()) == [tmp_path / "build/benchmarks"]
