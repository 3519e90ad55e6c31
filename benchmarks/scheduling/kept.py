"""What was measured so far, in a file that git ignores: a long measurement may be made in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.scheduling.placing import Placed

FILE: Final = Path("build/benchmarks/scheduling.jsonl")


class Piece(msgspec.Struct, frozen=True):
    """What belongs together: rounds of the same arms, on the same cluster, with pods of the same kind.

    ``most``: so many pods at once; None: one of each session.
    """

    part: str
    nodes: int
    kind: str
    most: int | None = None


class Round(msgspec.Struct):
    """Every arm of a piece once, one after the other. ``arms``: name -> result; ``at``: RFC 3339."""

    piece: Piece
    number: int
    at: str
    arms: dict[str, Placed]


class Kept:
    """Rounds in ``file``, one a line."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file

    def rounds(self, piece: Piece) -> list[Round]:
        """Those of a piece, in the order in which they were made."""
        if not self._file.exists():
            return []
        lines = self._file.read_bytes().splitlines()
        found = (msgspec.json.decode(line, type=Round) for line in lines)
        return [kept for kept in found if kept.piece == piece]

    def add(self, made: Round) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab") as file:
            file.write(msgspec.json.encode(made) + b"\n")

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
