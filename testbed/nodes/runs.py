"""Which runs of real machines there are, so that what a killed one has left can be swept.

A run is a file in the user's cache, named like its cgroups, that says where its files are. It is locked by a process
that lives as long as the run: an unlocked file is that of a run of which every process was killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from testbed.nodes import cgroups
from testbed.paths import cache_dir


def folder() -> Path:
    return cache_dir() / "nodes" / "runs"


@contextmanager
def held(run: str, files: Path) -> Iterator[None]:
    """The run lives while this lasts; at its end its cgroups go. Raises OSError where some stay."""
    folder().mkdir(parents=True, exist_ok=True)
    path, new = folder() / run, folder() / f".{run}"
    with open(new, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(str(files))
        lock.flush()
        new.rename(path)  # never there without its lock
        yield
        left = cgroups.remove(run)
        if left:
            raise OSError(f"still in use: {', '.join(map(str, left))}")
        path.unlink()


def sweep() -> list[str]:
    """Remove what runs have left of which every process was killed; returns their names."""
    swept = []
    for path in sorted(folder().glob("[!.]*")):
        with open(path, "r+", encoding="utf-8") as lock:
            if _locked(lock):
                shutil.rmtree(lock.read(), ignore_errors=True)
                if not cgroups.remove(path.name):
                    path.unlink(missing_ok=True)
                    swept.append(path.name)
    return swept


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(lock.fileno()).st_nlink > 0  # else it has ended in an orderly way meanwhile
