"""The three programs of the control plane: which version is built, and which found ones are taken as well."""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = "1.37.2"
ETCD = "3.7.3"
# kube-apiserver 1.37.2 was seen to start on Debian's 3.4.23.
ETCD_OLDEST = (3, 4)
_VERSION_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    """`version` is the one built; `prints`: how its --version names one; `module`: its folder under go/."""

    name: str
    version: str
    prints: str
    module: str
    package: str
    ldflags: str

    def fits(self, version: str) -> bool:
        if self.name == "etcd":
            return _numbers(version) >= ETCD_OLDEST
        return version == self.version

    @property
    def wanted(self) -> str:
        return f">= {ETCD_OLDEST[0]}.{ETCD_OLDEST[1]}" if self.name == "etcd" else f"exactly {self.version}"


def _kubernetes(name: str) -> Part:
    major, minor, _ = KUBERNETES.split(".")
    stamp = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    # Without these the server says that it is v0.0.0-master.
    marks = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Part(name, KUBERNETES, r"Kubernetes v(\S+)", "controlplane", package, f"-s -w {marks}")


PARTS = (
    Part("etcd", ETCD, r"etcd Version: (\S+)", "etcd", "go.etcd.io/etcd/server/v3", "-s -w"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-scheduler"),
)


def version_of(part: Part, program: Path) -> str | None:
    """What the program says its version is; None when it does not say, or does not run."""
    try:
        done = subprocess.run(
            [program, "--version"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    found = re.search(part.prints, done.stdout)
    return found.group(1) if found and done.returncode == 0 else None


def folder(part: Part) -> str:
    """The cache's folder for what is built of it on this machine: <name>-<version>-<os>-<arch>, in Go's words."""
    machine = platform.machine().lower()
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    return f"{part.name}-{part.version}-{platform.system().lower()}-{arch}"


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else (0,)
