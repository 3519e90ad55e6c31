"""The machines' cgroups: one a run with one a machine below it, in every hierarchy.

Under version 1 that is a folder of each controller's, under version 2 one folder. A machine sees its own as the root,
through a cgroup namespace. Nothing above the run's folder is changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path("/sys/fs/cgroup")
# What kubelet needs: of version 1 its own check says so; under version 2 it takes what there is.
NEEDED: Final = {1: {"cpu", "cpuacct", "cpuset", "memory"}, 2: {"cpu", "memory", "pids"}}
# Options that the first mount of a hierarchy alone may have.
_OURS: Final = ("rw", "ro", "release_agent=")
# Processes that were killed stay in their cgroup until the kernel has taken them apart.
_EMPTY_SECONDS: Final = 10.0


class Hierarchy(NamedTuple):
    """Where it is mounted, and its controllers or its name. Of version 2: the controllers that it hands down."""

    version: int
    path: Path
    controllers: tuple[str, ...]


def hierarchies(mountinfo: str = "", root: Path = ROOT) -> list[Hierarchy]:
    """Those of this machine; the one of version 2 only where it is the only one. ``mountinfo``: the text of
    /proc/self/mountinfo, default: as it is now."""
    text = mountinfo or Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    mounted = [_mounted(line) for line in text.splitlines()]
    first = [h for h in mounted if h and h.version == 1]
    if first:
        return first
    return [
        Hierarchy(2, h.path, tuple((h.path / "cgroup.subtree_control").read_text().split()))
        for h in mounted
        if h and h.version == 2 and h.path == root
    ]


def lacking(found: Iterable[Hierarchy]) -> set[str]:
    """The controllers that kubelet needs and does not get."""
    version = max((h.version for h in found), default=2)
    return NEEDED[version] - {controller for h in found for controller in h.controllers}


def make(run: str, machine: str, found: Iterable[Hierarchy]) -> list[Path]:
    """A machine's cgroups, one in each hierarchy, ready to take processes."""
    made = []
    for hierarchy in found:
        for folder in (hierarchy.path / run, hierarchy.path / run / machine):
            folder.mkdir(exist_ok=True)
            if hierarchy.version == 2 and folder.name == run:
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in hierarchy.controllers))
            if hierarchy.version == 1 and "cpuset" in hierarchy.controllers:
                for name in ("cpuset.cpus", "cpuset.mems"):  # a new cpuset is empty, and takes nobody in
                    (folder / name).write_text((folder.parent / name).read_text())
        made.append(folder)
    return made


def remove(run: str, machine: str = "", below_only: bool = False) -> list[Path]:
    """The cgroups of a whole run or one machine's, whose processes have ended; ``below_only``: but for the uppermost.
    Waits for the last processes; returns what could not be removed."""
    deadline = time.monotonic() + _EMPTY_SECONDS
    tops = [hierarchy.path / run / machine for hierarchy in hierarchies()]
    while left := [folder for top in tops for folder in _folders(top) if not (below_only and folder == top)]:
        for folder in left:
            with suppress(OSError):
                folder.rmdir()
        if time.monotonic() > deadline:
            return [folder for folder in left if folder.exists()]
        time.sleep(0.02)
    return []


def _folders(top: Path) -> list[Path]:
    """The innermost first."""
    return [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]


def _mounted(line: str) -> Hierarchy | None:
    """Of a line of mountinfo (proc(5)): …, mount point, options, …, "-", type, source, options of the file system."""
    left, _, right = line.partition(" - ")
    kind, _, options = right.split(" ", 2)
    path = Path(left.split(" ")[4])
    if kind == "cgroup":
        return Hierarchy(1, path, tuple(each for each in options.split(",") if not each.startswith(_OURS)))
    return Hierarchy(2, path, ()) if kind == "cgroup2" else None
