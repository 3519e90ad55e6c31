"""``make image``: the container image of all programs, by whichever builder the machine has.

The same commit on the same base gives the same image: files get the commit's time, and packages are pinned by hash.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from testbed.errors import BinaryError, LocalError
from testbed.paths import REPOSITORY

# In the order of preference; the first two need no daemon.
BUILDERS: Final = ("buildah", "podman", "docker")
# The first moment that a wheel, which is a zip archive, can hold: where there is no git to ask.
EARLIEST: Final = 315532800
# What of this machine's pip configuration means anything inside a build. Folders, say, are not there.
_PIP_OPTIONS: Final = ("index-url", "extra-index-url", "trusted-host", "proxy", "default-timeout", "timeout", "retries")
_CERTIFICATES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


def builder(which: str = "", path: str | None = None) -> str:
    """Path of the builder called ``which``, or of the first that is installed. Raises BinaryError without one."""
    wanted = (which,) if which else BUILDERS
    for name in wanted:
        if found := shutil.which(name, path=path):
            return found
    raise BinaryError(f"no {' or '.join(wanted)} on PATH: the image needs one to build it")


@dataclass(frozen=True)
class Order:
    """What to build.

    tag:     name of the image, with its tag
    base:    image to build on; empty: the Dockerfile's own
    when:    Unix time that all files get; docker knows no such option
    context: the checkout
    """

    tag: str
    when: int
    base: str = ""
    context: Path = REPOSITORY


def command(tool: str, order: Order, secrets: Mapping[str, Path]) -> list[str]:
    """The builder's command line. ``secrets``: files that the build may read, and that are not in the image."""
    dated = [] if Path(tool).name == "docker" else ["--timestamp", str(order.when)]
    based = ["--build-arg", f"BASE={order.base}"] if order.base else []
    known = [f"--secret=id={name},src={path}" for name, path in secrets.items()]
    return [tool, "build", "--tag", order.tag, *dated, *based, *known, str(order.context)]


def commit_time(environ: Mapping[str, str] = os.environ) -> int:
    """Unix time of the checked-out commit, or SOURCE_DATE_EPOCH; EARLIEST where neither is known."""
    if told := environ.get("SOURCE_DATE_EPOCH"):
        return int(told)
    asked = ["git", "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return EARLIEST
    return int(done.stdout or EARLIEST)


def pip_options(listed: str) -> dict[str, str]:
    """Option -> value from what ``pip config list`` prints. Variables of the environment win over files."""
    lines = [line.partition("=") for line in listed.splitlines() if "=" in line]
    ordered = sorted(lines, key=lambda line: line[0].startswith(":env:"))
    return {name.rpartition(".")[2]: str(ast.literal_eval(value)) for name, _, value in ordered}


def certificates(options: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> str:
    """The file of CAs that pip trusts on this machine; empty: its own."""
    return options.get("cert") or next(filter(None, map(environ.get, _CERTIFICATES)), "")


@contextmanager
def pip_secrets() -> Iterator[dict[str, Path]]:
    """This machine's way to packages, as files for the Dockerfile's secrets: they may hold a password."""
    asked = [sys.executable, "-m", "pip", "config", "list"]
    options = pip_options(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    with tempfile.TemporaryDirectory(prefix="lastnode-image-") as directory:
        lines = [f"{name} = {_continued(options[name].split())}" for name in _PIP_OPTIONS if name in options]
        found: dict[str, Path] = {}
        if authorities := certificates(options):
            lines.append("cert = /etc/pip.pem")
            found["pip.pem"] = Path(authorities)
        if lines:
            found["pip.conf"] = Path(directory, "pip.conf")
            found["pip.conf"].write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
        yield found


def _continued(words: Iterable[str]) -> str:
    """Several values of one option, each on a line of its own."""
    return "\n    ".join(words)


def build(order: Order, tool: str, environ: Mapping[str, str] = os.environ) -> None:
    """Build it. ``environ``: the builder's. Raises LocalError when it failed; it has said why on stderr by then."""
    with pip_secrets() as secrets:
        if subprocess.run(command(tool, order, secrets), check=False, env=environ).returncode != 0:
            hint = "" if order.base else "; where it could not pull the base image, BASE=IMAGE names another"
            raise LocalError(f"{Path(tool).name} did not build {order.tag}{hint}")


@click.command()
@click.option("--tag", default=f"lastnode:{version('lastnode')}", show_default=True, help="Name and tag of the image.")
@click.option("--base", default="", help="Image to build on, best with its digest.  [default: the Dockerfile's]")
@click.option("--builder", "which", type=click.Choice(BUILDERS), help="Builder.  [default: the first that there is]")
def main(tag: str, base: str, which: str | None) -> None:
    """Build the container image."""
    try:
        build(Order(tag, commit_time(), base), builder(which or ""))
    except LocalError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"built {tag}")


if __name__ == "__main__":
    main(prog_name="python -m tools.image")
