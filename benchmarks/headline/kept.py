"""Finished arms, a file each: the full size takes hours, and is run in pieces, and what came out is published."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from benchmarks.headline import model
from benchmarks.headline.ran import Ran, Summary
from benchmarks.headline.world import Size

FOLDER: Final = Path("build/benchmarks/headline")
PUBLISHED: Final = Path(__file__).parent / "results"


class Run(msgspec.Struct, omit_defaults=True):
    """One arm. ``machine``, ``at``, ``minutes``: where, when (RFC 3339) and how long it took.

    ``rates``: pods bound a second, of each wave of returning sessions; ``cycle_ms``, ``cpu_ms``: see
    experiment.Result; the latter empty where there is no /proc.
    ``ran``: every session; empty in a published run. ``others``: see others.share. ``at_a_time``: see world.Size.
    ``model``: see model.PARAMETERS.
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
    ran: list[Ran] = []
    others: float | None = None
    cpu_ms: dict[str, float] = {}
    at_a_time: int = 1
    model: dict[str, float] = {}


class Kept:
    """Runs of one seed and size in ``folder``, with every session."""

    suffix = ".json.gz"

    def __init__(self, seed: int, size: Size, folder: Path = FOLDER) -> None:
        each = "" if size.at_a_time == 1 else f"x{size.at_a_time}"
        self.folder = folder / f"{size.workloads}{each}-on-{size.nodes}-seed-{seed}"

    def get(self, arm: str) -> Run | None:
        """A finished run of today's model, None where there is none that can be read."""
        try:
            run = msgspec.json.decode(self._unpack(self.file(arm).read_bytes()), type=Run)
        except (OSError, EOFError, msgspec.MsgspecError):
            return None
        return run if run.model == model.PARAMETERS else None

    def add(self, run: Run) -> None:
        """Whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.file(run.arm).with_suffix(".part")
        part.write_bytes(self._pack(run))
        part.replace(self.file(run.arm))

    def forget(self) -> None:
        for file in self.folder.glob(f"*{self.suffix}"):
            file.unlink()

    def runs(self, arms: Iterable[str]) -> list[Run]:
        return [run for arm in arms if (run := self.get(arm)) is not None]

    def file(self, arm: str) -> Path:
        return self.folder / f"{arm}{self.suffix}"

    def _pack(self, run: Run) -> bytes:
        return gzip.compress(msgspec.json.encode(run))

    def _unpack(self, data: bytes) -> bytes:
        return gzip.decompress(data)


class Published(Kept):
    """Runs as they are committed: readable, and without the single sessions."""

    suffix = ".json"

    def __init__(self, seed: int, size: Size, folder: Path = PUBLISHED) -> None:
        super().__init__(seed, size, folder)

    def _pack(self, run: Run) -> bytes:
        return msgspec.json.format(msgspec.json.encode(structs.replace(run, ran=[])), indent=2) + b"\n"

    def _unpack(self, data: bytes) -> bytes:
        return data


def publish(kept: Kept, published: Published, arms: Iterable[str]) -> Iterator[Path]:
    """Copy what is kept of these arms; answers the files that were written."""
    for run in kept.runs(arms):
        published.add(run)
        yield published.file(run.arm)


def joined(kept: Kept, published: Published, arms: Iterable[str]) -> list[Run]:
    """What is known of these arms: what is kept here, and else what was published."""
    return [run for arm in arms if (run := kept.get(arm) or published.get(arm)) is not None]
