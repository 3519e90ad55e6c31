"""kubectl-lastnode as one file for each platform, and the manifest by which krew installs it.

A Python archive cannot load compiled modules from inside, so the file unpacks itself once into the user's cache.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from testbed.paths import REPOSITORY

LOCK: Final = REPOSITORY / "requirements" / "run.txt"
# Platform, as krew calls it -> pip's names of it, the newer first.
PLATFORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "linux-amd64": ("manylinux_2_28_x86_64", "manylinux2014_x86_64"),
    "linux-arm64": ("manylinux_2_28_aarch64", "manylinux2014_aarch64"),
    "darwin-amd64": ("macosx_11_0_x86_64", "macosx_10_12_x86_64"),
    "darwin-arm64": ("macosx_11_0_arm64",),
}
PYTHONS: Final = ("3.11", "3.12", "3.13")
# Kubernetes' asynchronous client, which no program of ours imports, is a third of all.
_LEFT_OUT: Final = ("kubernetes/aio/", "bin/")
_MAIN: Final = """\
import os, sys, tempfile, zipfile
if sys.version_info < (3, 11):
    sys.exit("kubectl lastnode needs Python 3.11 or newer")
cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lastnode", "kubectl")
there = os.path.join(cache, "{id}")
if not os.path.isdir(there):
    os.makedirs(cache, mode=0o700, exist_ok=True)
    # All at once: another one may be starting too.
    with tempfile.TemporaryDirectory(dir=cache) as half:
        with zipfile.ZipFile(sys.path[0]) as archive:
            archive.extractall(os.path.join(half, "it"))
        try:
            os.rename(os.path.join(half, "it"), there)
        except OSError:
            if not os.path.isdir(there):
                raise
sys.path[0] = there
try:
    from kubectl_lastnode.__main__ import main
except ImportError as error:
    sys.exit("kubectl lastnode has no parts for Python %d.%d here: %s" % (*sys.version_info[:2], error))
main()
"""


def fetch(wheel: Path, platform: str, into: Path) -> list[Path]:
    """Folders with the wheel and all that it is locked to, one for each of PYTHONS. Raises CalledProcessError."""
    tags = [f"--platform={tag}" for tag in (*PLATFORMS[platform], "any")]
    folders = [into / platform / python for python in PYTHONS]
    for python, folder in zip(PYTHONS, folders, strict=True):
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile"]
        pip += ["--no-deps", "--only-binary=:all:", f"--target={folder}", f"--python-version={python}", *tags]
        subprocess.run([*pip, "--require-hashes", "--requirement", LOCK], check=True)
        with zipfile.ZipFile(wheel) as ours:  # plain Python: unpacked is installed
            ours.extractall(folder)
    return folders


def pack(folders: Iterable[Path], when: int) -> bytes:
    """One file that runs with each Python of the folders. Their plain modules are the same, their compiled ones have
    the Python in their names. ``when``: Unix time of its members.
    """
    files: dict[str, bytes] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and path.suffix != ".pyc" and not name.startswith(_LEFT_OUT):
                files.setdefault(name, path.read_bytes())
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name} {len(content)} ".encode() + content)
    files["__main__.py"] = _MAIN.replace("{id}", digest.hexdigest()[:16]).encode()
    packed = BytesIO(b"#!/usr/bin/env python3\n")
    packed.seek(0, 2)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, time.gmtime(when)[:6]), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def bundle(file: bytes, licence: bytes, when: int) -> bytes:
    """The plug-in and its licence in an archive of a form that krew reads."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content, mode in (("LICENSE", licence, 0o644), ("kubectl-lastnode", file, 0o755)):
            member = zipfile.ZipInfo(name, time.gmtime(when)[:6])
            member.external_attr = (0o100000 | mode) << 16
            archive.writestr(member, content)
    return packed.getvalue()


def krew(version: str, url: str, sums: Mapping[str, str]) -> dict[str, Any]:
    """krew's manifest. ``url``: the folder where the archives are published; ``sums``: file -> its SHA-256."""
    return {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "lastnode"},
        "spec": {
            "version": f"v{version}",
            "homepage": url,
            "shortDescription": "Show where sessions ran, and why not where they should",
            "description": "Reads what lastnode remembers of the workloads of a cluster, and checks the installation.",
            "caveats": f"It needs Python, one of {', '.join(PYTHONS)}, as python3 on PATH.",
            "platforms": [_platform(name, f"{url.rstrip('/')}/{name}", content) for name, content in sums.items()],
        },
    }


def named(platform: str) -> str:
    """The archive's name."""
    return f"kubectl-lastnode-{platform}.zip"


def _platform(name: str, uri: str, digest: str) -> dict[str, Any]:
    os, arch = name.removesuffix(".zip").rsplit("-", 2)[1:]
    return {
        "selector": {"matchLabels": {"os": os, "arch": arch}},
        "uri": uri,
        "sha256": digest,
        "bin": "kubectl-lastnode",
    }
