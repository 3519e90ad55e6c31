"""The programs: which version of each is built, and which found ones are taken as well."""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

KUBERNETES = "1.37.2"
ETCD = "3.7.3"
HELM = "4.3.1"
# What kubeadm of this Kubernetes asks for (MinExternalEtcdVersion). It starts on 3.4 too, and then logs errors.
ETCD_OLDEST = (3, 5, 24)
HELM_OLDEST = (4, 0)  # Helm 3 has no server-side apply, which is how the chart's tests install
KUBECTL_OLDEST = (1, 36)  # Kubernetes promises kubectl to work with a server one minor version away
_VERSION_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    """`version` is the one built; `prints`: how it names its version when it is asked (`asks`); `module`: its folder
    under go/; `oldest`: the first version that is good enough, None when it has to be exactly `version`."""

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


def _kubernetes(name: str, prints: str = r"Kubernetes v(\S+)") -> Part:
    major, minor, _ = KUBERNETES.split(".")
    stamp = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor}
    # Without these the server says that it is v0.0.0-master.
    marks = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in stamp.items())
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Part(name, KUBERNETES, prints, "controlplane", package, f"-s -w {marks}")


def _helm() -> Part:
    mark = f"-X helm.sh/helm/v4/internal/version.version=v{HELM}"
    package = "helm.sh/helm/v4/cmd/helm"
    return Part("helm", HELM, r"^v(\S+)", "helm", package, f"-s -w {mark}", HELM_OLDEST, ("version", "--short"))


# The control plane itself.
PARTS = (
    Part("etcd", ETCD, r"etcd Version: (\S+)", "etcd", "go.etcd.io/etcd/server/v3", "-s -w", ETCD_OLDEST),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-scheduler"),
)
# What people install with; only the tests of the chart need them.
TOOLS = (
    _helm(),
    replace(_kubernetes("kubectl", r"Client Version: v(\S+)"), oldest=KUBECTL_OLDEST, asks=("version", "--client")),
)
# What a real node runs; only those who start some need it (testbed/nodes).
KUBELET = _kubernetes("kubelet")


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
