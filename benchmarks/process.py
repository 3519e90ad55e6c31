"""What a process uses, as Linux's /proc tells it. Elsewhere there is no such figure, and a table says so."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

_CALM_CORES: Final = 0.25
_CALM_LIMIT: Final = 60.0


class Memory(NamedTuple):
    """Resident memory in MB (10^6 bytes): now, and the most since the start or since :func:`forget_peak`."""

    now: float
    peak: float


def memory(pid: int) -> Memory | None:
    """None where there is no /proc."""
    path = Path(f"/proc/{pid}/status")
    if not path.exists():
        return None
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines())
    return Memory(*(int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM")))


def children(pid: int) -> list[int]:
    """The processes that it has started; none where there is no /proc."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def forget_peak(pid: int) -> None:
    """Count the peak anew from here (clear_refs(5) of proc(5)); nothing where there is no /proc."""
    path = Path(f"/proc/{pid}/clear_refs")
    if path.exists():
        path.write_text("5")


def cpu_seconds(pid: int) -> float | None:
    """User and system time since its start; None where there is no /proc."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        return None
    # Fields 14 and 15, counted after the command's name, which may hold blanks and brackets.
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(pid: int) -> float | None:
    """The same of a process and of all that it has started and that still run."""
    own = cpu_seconds(pid)
    return None if own is None else own + sum(family_cpu_seconds(child) or 0.0 for child in children(pid))


def calm(pids: Iterable[int]) -> None:
    """Wait until these have done what is left of the step before: an API server that was just asked for 20,000 objects
    of each kind collects its garbage with both cores for seconds. At most a minute."""
    pids, deadline, quiet = tuple(pids), time.monotonic() + _CALM_LIMIT, 0
    before = sum(cpu_seconds(pid) or 0.0 for pid in pids)
    while quiet < 2 and time.monotonic() < deadline:
        time.sleep(1.0)
        now = sum(cpu_seconds(pid) or 0.0 for pid in pids)
        quiet = quiet + 1 if now - before < _CALM_CORES else 0
        before = now
