"""What a machine runs: kubelet from its Go module, the rest from Debian's packages, unpacked and not installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from testbed.binaries import find_kubelet, to_stderr
from testbed.errors import BinaryError, LocalError
from testbed.nodes import support
from testbed.paths import cache_dir


class Unsupported(LocalError):
    """Real machines cannot run here; the text is one line that says why."""


class Package(NamedTuple):
    """A Debian package for amd64; ``sha256`` is what Debian's own index says of the file."""

    name: str
    version: str
    sha256: str


# Those of Debian 12 (bookworm). kubelet 1.37 is the last one that works with a containerd as old as 1.6.
PACKAGES = (
    Package("containerd", "1.6.20~ds1-1+deb12u3", "8669d264eeb0fcdb4a0b1ba436ab88ec5dafde4a66e1278ec279d830db4c2216"),
    Package("runc", "1.1.5+ds1-1+deb12u1", "a00351f8c0318de0b424ecf5cd0fdb69880a89f3511cae4f6fff7de3e57881c5"),
    Package("containernetworking-plugins", "1.1.1+ds1-3+b5",
            "4cac8143474d1249b19f7b0e80b8d0daaa6dfdaa8bd514bc468d38d4a108099f"),
    Package("docker-registry", "2.8.2+ds1-1", "a9bd06c0e006854608f8469b4371743f40604ad90975532bb3b7ceeb72fe2913"),
    Package("busybox-static", "1:1.35.0-4+deb12u1+b1",
            "3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744"),
)  # fmt: skip


@dataclass(frozen=True)
class Programs:
    """``debian``: the folder that those packages take for the root."""

    kubelet: Path
    debian: Path

    @property
    def path(self) -> str:
        """A PATH on which containerd finds its shim and runc."""
        return os.pathsep.join(str(self.debian / folder) for folder in ("usr/bin", "usr/sbin"))


def find() -> Programs:
    """The programs, from the user's cache; what is not there is fetched by apt, or built (kubelet: 1.5 minutes after
    the control plane). Raises Unsupported, BinaryError."""
    if reason := support.lacking():
        raise Unsupported(reason)
    return Programs(find_kubelet().path, _debian(cache_dir() / "nodes"))


def _debian(cache: Path) -> Path:
    """``PACKAGES`` unpacked; the folder is whole or not there, and named after what is in it."""
    key = hashlib.sha256("".join(package.sha256 for package in PACKAGES).encode()).hexdigest()[:12]
    root = cache / f"debian-{key}"
    if root.exists():
        return root
    to_stderr(f"{', '.join(package.name for package in PACKAGES)}: fetching into {root}")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=cache) as new:
        for package in PACKAGES:
            _run(["dpkg-deb", "-x", str(_fetch(package, Path(new))), f"{new}/root"])
        try:
            Path(new, "root").rename(root)
        except OSError:
            if not root.exists():  # else another process was quicker
                raise
    return root


def _fetch(package: Package, folder: Path) -> Path:
    _run(["apt-get", "download", "-qq", f"{package.name}={package.version}"], folder)
    (deb,) = folder.glob(f"{package.name}_*.deb")
    if hashlib.sha256(deb.read_bytes()).hexdigest() != package.sha256:
        raise BinaryError(f"{package.name} {package.version} is not what testbed/nodes/programs.py pins: {deb.name}")
    return deb


def _run(argv: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        end = (done.stderr.strip().splitlines() or ["it failed"])[-1]
        raise BinaryError(f"{' '.join(argv)}: {end} (apt-get update may help; real nodes need Debian 12's packages)")
