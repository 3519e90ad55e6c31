"""The network that the machines of a run share, as a process: python -m testbed.nodes.gateway RUN FILES PORT=PORT …

A bridge in a network namespace of its own, and on it this machine's API server and registry: what arrives at one of
these ports of the gateway is passed on to the port of 127.0.0.1 on the other side of the ``=``. It holds the run's
lock, and as it is started before the machines it is stopped after them: what they leave, it removes.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Final

from testbed.nodes import runs

ADDRESS: Final = "10.99.0.1"
BRIDGE: Final = "lastnode"
READY: Final = "the gateway is open"
_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_BUFFER: Final = 1 << 18


def main(run: str, files: str, *doors: str) -> None:
    """Until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with runs.held(run, Path(files)):
        listeners: SimpleQueue[tuple[socket.socket, int]] = SimpleQueue()
        for _ in doors:
            Thread(target=_open, args=(listeners,), daemon=True).start()
        _enter_a_new_network()
        for door in doors:
            port, _, behind = door.partition("=")
            listeners.put((socket.create_server((ADDRESS, int(port))), int(behind)))
        print(READY, flush=True)
        signal.sigwait({signal.SIGTERM})


def _enter_a_new_network() -> None:
    """The calling thread and what it starts; threads that run already stay where they are."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace of its own")
    for command in (
        "ip link set lo up",
        f"ip link add {BRIDGE} type bridge",
        f"ip addr add {ADDRESS}/16 dev {BRIDGE}",
        f"ip link set {BRIDGE} up",
    ):
        subprocess.run(command.split(), check=True)


def _open(listeners: SimpleQueue[tuple[socket.socket, int]]) -> None:
    """In this machine's own network: pass on what arrives at a listener."""
    listener, behind = listeners.get()
    while True:
        arrived, _ = listener.accept()
        try:
            inside = socket.create_connection(("127.0.0.1", behind))
        except OSError:
            arrived.close()
            continue
        for pair in ((arrived, inside), (inside, arrived)):
            Thread(target=_pass, args=pair, daemon=True).start()


def _pass(source: socket.socket, target: socket.socket) -> None:
    buffer = memoryview(bytearray(_BUFFER))
    with suppress(OSError):
        while count := source.recv_into(buffer):
            target.sendall(buffer[:count])
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


if __name__ == "__main__":
    main(*sys.argv[1:])
