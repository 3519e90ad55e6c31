"""Loopback ports that parallel control planes cannot take from each other.

Asking the kernel for a free port and closing it again leaves a gap in which anybody may take it: several test
workers that start control planes at once do. So a port is reserved by a lock on one byte of a shared file, at
the offset of its number. The kernel drops such locks when their process ends, however it ends, and no file is
left for a port. What remains are programs that know nothing of the file: a component that loses against one of
those raises PortTaken, and the control plane is started anew on other ports.
"""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import threading
from functools import cache
from pathlib import Path

from .errors import LocalError
from .paths import cache_dir

# Below what Linux (32768) and macOS (49152) hand out to outgoing connections, and below Kubernetes' NodePorts
# (30000), so that nothing comes here by chance.
LOWEST, HIGHEST = 20_000, 29_999
_TRIES = 500


class Ports:
    """Reserves ports of 127.0.0.1 for this process. One instance a process and lock file: see shared_ports()."""

    def __init__(self, lock_file: Path, rng: random.Random | None = None) -> None:
        self._lock_file = lock_file
        self._rng = rng or random.Random()
        self._fd: int | None = None
        self._mine: set[int] = set()  # record locks never conflict within one process
        self._mutex = threading.Lock()

    def reserve(self) -> int:
        """A port that nobody listens on and that no other process reserves; ours until release() or exit."""
        with self._mutex:
            for _ in range(_TRIES):
                port = self._rng.randint(LOWEST, HIGHEST)
                if port not in self._mine and self._take(port):
                    self._mine.add(port)
                    return port
        raise LocalError(f"no free port between {LOWEST} and {HIGHEST} on 127.0.0.1 after {_TRIES} tries")

    def release(self, port: int) -> None:
        """Give a reserved port back; one that is not reserved is left alone."""
        with self._mutex:
            if port in self._mine:
                self._mine.discard(port)
                fcntl.lockf(self._open(), fcntl.LOCK_UN, 1, port)

    def _take(self, port: int) -> bool:
        try:
            fcntl.lockf(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        if not listens(port):
            return True
        fcntl.lockf(self._open(), fcntl.LOCK_UN, 1, port)
        return False

    def _open(self) -> int:
        """The lock file, opened once and never closed: closing any descriptor of it would drop every lock."""
        if self._fd is None:
            try:
                self._lock_file.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise LocalError(f"cannot open the port lock file {self._lock_file}: {error.strerror}") from error
        return self._fd


def listens(port: int) -> bool:
    """Whether 127.0.0.1:port cannot be bound now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Go's listeners do: a port whose last connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@cache
def shared_ports() -> Ports:
    """The one Ports of this process."""
    return Ports(cache_dir() / "ports.lock")
