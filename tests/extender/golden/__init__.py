"""Requests of a real kube-scheduler, byte for byte; README.md says how they were recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

DIRECTORY = Path(__file__).parent
NAMESPACE = "golden"
WORKLOAD = "w"
NODES = ("golden-1", "golden-2", "golden-3")
# What the injected term of a pod here prefers; the tests let the workload remember it.
WANTED = "golden-2"


class Golden(NamedTuple):
    """``head``: request line and headers, without the empty line after them."""

    name: str
    head: bytes
    body: bytes

    @property
    def args(self) -> Any:
        """The body in builtins."""
        return msgspec.json.decode(self.body)

    @property
    def offered(self) -> list[str]:
        names: list[str] | None = self.args["NodeNames"]
        return [node["metadata"]["name"] for node in self.args["Nodes"]["items"]] if names is None else names


def load(directory: Path = DIRECTORY) -> list[Golden]:
    """Every recorded request, by name."""
    return [
        Golden(path.stem, path.with_suffix(".http").read_bytes(), path.read_bytes())
        for path in sorted(directory.glob("*.json"))
    ]
