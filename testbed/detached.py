"""The cluster that `up` leaves running: a keeper process has it, and a lock says whether the keeper lives.

In the state directory: `lock` (held by the keeper while it lives, with its pid in it), `cluster.json` (there from
ready to stopped), `keeper.log`. A pid alone would not do: after a crash it may belong to somebody else.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .binaries import find
from .component import tail
from .controlplane import ControlPlane
from .errors import LocalError
from .extras import extras
from .paths import REPOSITORY
from .versions import VARIABLE, chosen, minor

_READY_SECONDS = 120.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.1
# `status` and `down` hold the lock for a moment to see whether it is free; the keeper outwaits that.
_LOCK_SECONDS = 2.0


@dataclass(frozen=True)
class Cluster:
    pid: int
    url: str
    kubeconfig: str
    directory: str
    nodes: int
    kubernetes: str  # its version


def up(
    nodes: int,
    directory: Path | None,
    state: Path,
    report: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> Cluster:
    """The cluster that runs already, else a new one, ready.

    Raises LocalError, also when the one that runs is of another version than KUBERNETES in the environment asks for."""
    keeper = None
    if _keeper(state) is None:
        find(report)  # here, where the progress of a build is seen
        keeper = _start_keeper(nodes, directory, state)
    try:
        cluster = _wait_ready(state, keeper)
        if keeper is None or cluster.pid != keeper.pid:
            report(_already(cluster, environ))
        return cluster
    except BaseException:
        if keeper is not None:
            keeper.terminate()
            keeper.wait(_STOP_SECONDS)
        raise


def _already(cluster: Cluster, environ: Mapping[str, str]) -> str:
    told = f"a cluster is running already: Kubernetes {cluster.kubernetes}, {cluster.nodes} nodes"
    wanted = chosen(environ)
    if environ.get(VARIABLE) and minor(wanted) != minor(cluster.kubernetes):
        raise LocalError(f"{told}; {VARIABLE} asks for {wanted}: stop it first")
    return told


def down(state: Path) -> bool:
    """Stop the cluster; False when none runs."""
    pid = _keeper(state)
    if pid is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):  # after the latter the guard still clears up
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while _keeper(state) == pid:
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return True
    raise LocalError(f"process {pid}, which keeps the cluster, does not end")


def running(state: Path) -> Cluster | None:
    """The cluster, once it is ready and as long as its keeper lives."""
    pid = _keeper(state)
    try:
        cluster = Cluster(**json.loads((state / "cluster.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return cluster if cluster.pid == pid else None


def keep(nodes: int, directory: Path | None, state: Path) -> None:
    """The keeper's whole life. Ends with SIGTERM, or when the control plane has gone."""
    with _held_lock(state):
        signal.signal(signal.SIGTERM, _leave)
        with ControlPlane.start(directory=directory) as cp:
            extras(cp, nodes)
            cluster = Cluster(os.getpid(), cp.url, str(cp.kubeconfig), str(cp.dir), nodes, cp.kubernetes)
            with _announced(cluster, state):
                while cp.apiserver.alive and cp.etcd.alive:
                    time.sleep(1.0)
                raise LocalError(f"the control plane has ended by itself:\n{cp.logs_tail()}")


def _leave(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


@contextmanager
def _announced(cluster: Cluster, state: Path) -> Iterator[None]:
    path, new = state / "cluster.json", state / "cluster.json.new"
    new.write_text(json.dumps(dataclasses.asdict(cluster)), encoding="utf-8")
    new.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _start_keeper(nodes: int, directory: Path | None, state: Path) -> subprocess.Popen[bytes]:
    where = [f"--dir={directory.resolve()}"] if directory else []
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "keeper.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "testbed", "keep", f"--nodes={nodes}", *where],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_ready(state: Path, keeper: subprocess.Popen[bytes] | None) -> Cluster:
    """Our keeper's cluster, or that of another one that was quicker."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        cluster = running(state)
        ours = keeper.pid if keeper is not None and keeper.poll() is None else None
        # While ours starts, what a killed one has left behind may pass for a cluster for a moment.
        if cluster is not None and ours in (None, cluster.pid):
            return cluster
        if ours is None and _keeper(state) is None:
            break
        time.sleep(_POLL_SECONDS)
    log = state / "keeper.log"
    raise LocalError(f"the cluster did not become ready; the end of {log}:\n{tail(log)}")


def _keeper(state: Path) -> int | None:
    """The pid of the living keeper: the one who holds the lock."""
    try:
        with open(state / "lock", "r+", encoding="utf-8") as lock:
            return None if _locked(lock) else int(lock.read() or 0) or None
    except FileNotFoundError:
        return None


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _held_lock(state: Path) -> Iterator[None]:
    state.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _LOCK_SECONDS
    with open(state / "lock", "a+", encoding="utf-8") as lock:
        while not _locked(lock):
            if time.monotonic() >= deadline:
                raise LocalError("another keeper has the cluster")
            time.sleep(_POLL_SECONDS)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
