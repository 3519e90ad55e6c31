"""Finished arms, a file each: the full size takes hours, and is run in pieces."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.headline.ran import Ran, Summary

FOLDER: Final = Path("build/benchmarks/headline")


class Run(msgspec.Struct):
    """One arm. ``machine``, ``at``, ``minutes``: where, when (RFC 3339) and how long it took.

    ``rates``: pods bound a second, of each wave of returning sessions; ``cycle_ms``: see experiment.Result.
    """

    arm: str
    seed: int
    workloads: int
    nodes: int
    rounds: int
    machine: str
    at: str
    minutes: float
    rates: list[float]
    cycle_ms: float
    summary: Summary
    ran: list[Ran]


class Kept:
    """Runs of one seed and size in ``folder``."""

    def __init__(self, seed: int, nodes: int, workloads: int, folder: Path = FOLDER) -> None:
        self._folder = folder / f"{workloads}-on-{nodes}-seed-{seed}"

    def get(self, arm: str) -> Run | None:
        """A finished run, None where there is none that can be read."""
        try:
            return msgspec.json.decode(gzip.decompress(self._file(arm).read_bytes()), type=Run)
        except (OSError, EOFError, msgspec.MsgspecError):
            return None

    def add(self, run: Run) -> None:
        """Whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._file(run.arm).with_suffix(".part")
        part.write_bytes(gzip.compress(msgspec.json.encode(run)))
        part.replace(self._file(run.arm))

    def forget(self) -> None:
        for file in self._folder.glob("*.json.gz"):
            file.unlink()

    def runs(self, arms: Iterator[str] | list[str]) -> list[Run]:
        return [run for arm in arms if (run := self.get(arm)) is not None]

    def _file(self, arm: str) -> Path:
        return self._folder / f"{arm}.json.gz"
