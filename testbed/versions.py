"""Which versions of Kubernetes there are to choose from, and the Go module that one is built in.

A release's own go.mod and go.sum name all that it is built from but for its staging modules: it has folders of them,
which its archive lacks and the module proxy serves. `go/kubernetes/VERSION.sum` pins the release and those, in the
words of go.sum, so everything is pinned; `python -m tools.pins VERSION` writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .errors import BinaryError

PINS = Path(__file__).with_name("go") / "kubernetes"
RELEASE = "k8s.io/kubernetes"
# In the environment: a version as 1.35.4, or as 1.35.
VARIABLE = "KUBERNETES"
# Samples: nothing needs them, and the proxy does not have all of them.
_STAGING = re.compile(r"(?<=^\t)(\S+) => \./staging/src/\1$", re.MULTILINE)
_SAMPLES = re.compile(r"^\tk8s\.io/sample-.*\n", re.MULTILINE)


def offered() -> list[str]:
    """The versions, oldest first. The last one is what everything runs on when nobody chooses."""
    return sorted((path.stem for path in PINS.glob("*.sum")), key=_numbers)


def chosen(environ: Mapping[str, str]) -> str:
    """The version that the environment asks for, else the newest. Raises BinaryError when nobody offers it."""
    wanted = environ.get(VARIABLE)
    if not wanted:
        return offered()[-1]
    for version in offered():
        if wanted.removeprefix("v") in (version, minor(version)):
            return version
    raise BinaryError(f"{VARIABLE}={wanted}: there is only {', '.join(offered())}")


def minor(version: str) -> str:
    """1.35 of 1.35.4."""
    return version.rpartition(".")[0]


def staging(go_mod: str) -> list[str]:
    """The staging modules that a release's go.mod names, but for samples."""
    return _STAGING.findall(_SAMPLES.sub("", go_mod))


def staging_version(version: str) -> str:
    """Kubernetes 1.35.4 has its staging modules as v0.35.4."""
    return f"v0.{version.partition('.')[2]}"


def write_module(folder: Path, version: str, release: Path, pins: str) -> None:
    """The go.mod and go.sum to build in, made of those of the release that was fetched into `release`."""
    go_mod = _SAMPLES.sub("", (release / "go.mod").read_text(encoding="utf-8"))
    go_mod = _STAGING.sub(rf"\1 => \1 {staging_version(version)}", go_mod)
    go_mod = go_mod.replace(f"module {RELEASE}\n", "module lastnode.local/kubernetes\n", 1)
    (folder / "go.mod").write_text(f"{go_mod}\nrequire {RELEASE} v{version}\n", encoding="utf-8")
    go_sum = (release / "go.sum").read_text(encoding="utf-8")
    (folder / "go.sum").write_text(pins + go_sum, encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
