"""Finds the programs: given ones whose version fits, else cached ones, else built ones."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import build, parts
from .parts import Part, folder, version_of
from .paths import cache_dir
from .versions import chosen

Report = Callable[[str], None]


@dataclass(frozen=True)
class Binary:
    """`source`: where it was taken from, in words."""

    name: str
    path: Path
    version: str
    source: str


@dataclass(frozen=True)
class Binaries:
    etcd: Binary
    apiserver: Binary
    scheduler: Binary


@dataclass(frozen=True)
class Tools:
    helm: Binary
    kubectl: Binary


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def find(report: Report = to_stderr, environ: Mapping[str, str] = os.environ) -> Binaries:
    """The control plane's programs; what is neither given nor cached is built, which takes minutes the first time.

    KUBERNETES in the environment chooses the version. `report` gets one line for each program taken, and one for each
    that was passed over. Raises BinaryError.
    """
    etcd, apiserver, scheduler = _find(parts.control_plane(chosen(environ)), report, environ)
    return Binaries(etcd, apiserver, scheduler)


def find_tools(report: Report = to_stderr, environ: Mapping[str, str] = os.environ) -> Tools:
    """helm and kubectl, in the same way; only the tests of the chart need them."""
    helm, kubectl = _find(parts.tools(chosen(environ)), report, environ)
    return Tools(helm, kubectl)


def find_kubelet(report: Report = to_stderr, environ: Mapping[str, str] = os.environ) -> Binary:
    """kubelet, in the same way; only real nodes need it."""
    (kubelet,) = _find([parts.kubelet(chosen(environ))], report, environ)
    return kubelet


def kubectl(environ: Mapping[str, str] = os.environ) -> Path:
    """One that is there, however old; else where it will be once it is built."""
    _, part = parts.tools(chosen(environ))
    offered = next((path for _, path in _offers(part, environ)), None)
    return offered or cache_dir(environ) / "bin" / folder(part) / part.name


def _find(wanted: Sequence[Part], report: Report, environ: Mapping[str, str]) -> list[Binary]:
    cache = cache_dir(environ) / "bin"
    found = {part.name: _given(part, report, environ) or _cached(part, cache, report) for part in wanted}
    missing = [part for part in wanted if found[part.name] is None]
    if missing:
        build.build(missing, cache, report, environ)
    return [found[part.name] or _built(part, cache, report) for part in wanted]


def _given(part: Part, report: Report, environ: Mapping[str, str]) -> Binary | None:
    """The first program that the user offers and whose version fits."""
    for source, path in _offers(part, environ):
        version = version_of(part, path)
        if version is not None and part.fits(version):
            return _taken(Binary(part.name, path, version, source), report)
        says = f"is version {version}" if version else "does not tell its version"
        report(f"{part.name}: passed over {path} ({source}): it {says}, needed is {part.wanted}")
    return None


def _offers(part: Part, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets and os.access(Path(assets) / part.name, os.X_OK):
        yield "KUBEBUILDER_ASSETS", Path(assets) / part.name
    on_path = shutil.which(part.name, path=environ.get("PATH", os.defpath))
    if on_path:
        yield "PATH", Path(on_path).absolute()


def _cached(part: Part, cache: Path, report: Report) -> Binary | None:
    path = cache / folder(part) / part.name
    return _taken(Binary(part.name, path, part.version, "cache"), report) if os.access(path, os.X_OK) else None


def _built(part: Part, cache: Path, report: Report) -> Binary:
    return _taken(Binary(part.name, cache / folder(part) / part.name, part.version, "built now"), report)


def _taken(binary: Binary, report: Report) -> Binary:
    report(f"{binary.name}: {binary.path} ({binary.version}, {binary.source})")
    return binary
