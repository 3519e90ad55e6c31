"""The programs: which version of each is built, and which found ones are taken as well."""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

ETCD = "3.7.3"
HELM = "4.3.1"
# What kubeadm 1.37 asks for (MinExternalEtcdVersion). It starts on 3.4 too, and then logs errors.
ETCD_OLDEST = (3, 5, 24)
HELM_OLDEST = (4, 0)  # Helm 3 has no server-side apply, which is how the chart's tests install
_VERSION_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    """`version` is the one built; `prints`: how it names its version when it is asked (`asks`); `module`: its folder
    under go/, or the pins of a release of Kubernetes there; `oldest`: the first version that is good enough, None when
    it has to be exactly `version`."""

    name: str
    version: str
    prints: str
    module: str
    package: str
    ldflags: str
    oldest: tuple[int, ...] | None = None
    asks: tuple[str, ...] = ("--version",)

    def fits(self, version: str) -> bool:
        return _numbers(version) >= self.oldest if self.oldest else version == self.version

    @property
    def wanted(self) -> str:
        return f">= {'.'.join(map(str, self.oldest))}" if self.oldest else f"exactly {self.version}"


def control_plane(kubernetes: str) -> tuple[Part, ...]:
    """etcd, and those that are of exactly this version of Kubernetes."""
    return (
        Part("etcd", ETCD, r"etcd Version: (\S+)", "etcd", "go.etcd.io/etcd/server/v3", "-s -w", ETCD_OLDEST),
        _kubernetes("kube-apiserver", kubernetes),
        _kubernetes("kube-scheduler", kubernetes),
    )


def tools(kubernetes: str) -> tuple[Part, ...]:
    """What people install with; only the tests of the chart need them."""
    major, minor, _ = map(int, kubernetes.split("."))
    kubectl = _kubernetes("kubectl", kubernetes, r"Client Version: v(\S+)")
    # Kubernetes promises kubectl to work with a server one minor version away.
    return _helm(), replace(kubectl, oldest=(major, minor - 1), asks=("version", "--client"))


def kubelet(kubernetes: str) -> Part:
    """What a real node runs; only those who start some need it (testbed/nodes)."""
    return _kubernetes("kubelet", kubernetes)


def _kubernetes(name: str, version: str, prints: str = r"Kubernetes v(\S+)") -> Part:
    major, minor, _ = version.split(".")
    stamp = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    # Without these the server says that it is v0.0.0-master.
    marks = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Part(name, version, prints, f"kubernetes/{version}.sum", package, f"-s -w {marks}")


def _helm() -> Part:
    mark = f"-X helm.sh/helm/v4/internal/version.version=v{HELM}"
    package = "helm.sh/helm/v4/cmd/helm"
    return Part("helm", HELM, r"^v(\S+)", "helm", package, f"-s -w {mark}", HELM_OLDEST, ("version", "--short"))


def version_of(part: Part, program: Path) -> str | None:
    """What the program says its version is; None when it does not say, or does not run."""
    try:
        done = subprocess.run(
            [program, *part.asks],
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
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
