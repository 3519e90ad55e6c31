"""Pins a release of Kubernetes that the testbed is to offer: ``python -m tools.pins 1.38.0``."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import click

from testbed.binaries import to_stderr
from testbed.paths import cache_dir
from testbed.toolchain import find_go
from testbed.versions import PINS, RELEASE, staging, staging_version

Module = dict[str, str]
_SECONDS: Final = 600.0


@click.command()
@click.argument("version")
def main(version: str) -> None:
    """Write testbed/go/kubernetes/VERSION.sum with what Go's checksum database says of the release."""
    go = find_go(cache_dir() / "go", to_stderr, os.environ)
    (release,) = fetch(go, [f"{RELEASE}@v{version}"])
    names = staging((Path(release["Dir"]) / "go.mod").read_text(encoding="utf-8"))
    modules = [release, *fetch(go, [f"{name}@{staging_version(version)}" for name in names])]
    (PINS / f"{version}.sum").write_text(pins(modules), encoding="utf-8")


def fetch(go: Path, wanted: list[str]) -> list[Module]:
    """What Go tells of each module once it has fetched it. Raises ClickException with what Go said."""
    with tempfile.TemporaryDirectory() as nowhere:
        argv: list[str | Path] = [go, "mod", "download", "-json", *wanted]
        done = subprocess.run(argv, cwd=nowhere, check=False, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode != 0:
        raise click.ClickException(done.stderr.strip() or done.stdout)
    objects = done.stdout.replace("}\n{", "},{")
    return list(json.loads(f"[{objects}]"))


def pins(modules: list[Module]) -> str:
    """In the words of a go.sum."""
    lines = (
        (f"{name} {version} {module['Sum']}\n", f"{name} {version}/go.mod {module['GoModSum']}\n")
        for module in modules
        for name, version in [(module["Path"], module["Version"])]
    )
    return "".join(sorted(line for both in lines for line in both))


if __name__ == "__main__":
    main(prog_name="python -m tools.pins")
