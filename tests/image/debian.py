"""A base image without a registry: Debian's smallest system with Python, made by debootstrap and kept in the cache."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from testbed.paths import cache_dir

_OLDEST = 12  # bookworm, the first release whose Python is new enough (3.11)
_FORMAT = "$(RELEASE) $(COMPONENT) $(REPO_URI)"
# What a package manager leaves lying about, and no program needs.
_LEFTOVERS = ("./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*", "./usr/share/doc/*", "./usr/share/man/*")


def missing() -> str:
    """Why no base can be made here; empty when one can."""
    system = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if system.get("ID") != "debian" or int(system.get("VERSION_ID", "0")) < _OLDEST:
        return f"the base image is made of the machine's own Debian, {_OLDEST} or newer"
    return "" if shutil.which("debootstrap") else "debootstrap is not on PATH (apt install debootstrap)"


def base() -> Path:
    """The files of the system as a tar archive, made the first time: of the machine's release, from its mirror."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    archive = cache_dir() / "base" / f"{release}-{platform.machine()}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as directory:
            _make(Path(directory), release).replace(archive)
    return archive


def mirror(release: str) -> str:
    """Where apt gets the release's main packages from, as it is configured on this machine."""
    asked = ["apt-get", "indextargets", "--format", _FORMAT, "Created-By: Packages"]
    targets = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()
    return next(url for name, component, url in map(str.split, targets) if (name, component) == (release, "main"))


def _make(directory: Path, release: str) -> Path:
    """The new archive. What debootstrap mounts is gone when it ends, however it ends: the mounts are its own."""
    system, archive = directory / "system", directory / "base.tar"
    made = ["unshare", "--mount", "debootstrap", "--variant=minbase", "--include=python3-venv", release]
    done = subprocess.run([*made, system, mirror(release)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    without = [f"--exclude={pattern}" for pattern in _LEFTOVERS]
    subprocess.run(["tar", "-C", system, "--numeric-owner", *without, "-cf", archive, "."], check=True)
    return archive
