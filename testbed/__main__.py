"""python -m testbed: leaves a cluster running, tells about it, stops it. See testbed/README.md."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from . import detached
from .api import answers
from .binaries import find, find_tools, to_stderr
from .detached import Cluster
from .errors import LocalError
from .nodes import programs
from .paths import state_dir

_NODES = click.option(
    "--nodes", type=click.IntRange(min=0), default=10, show_default=True, help="How many simulated nodes."
)
_DIRECTORY = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep data and logs here, also after the end; default: a temporary directory.",
)
# What somebody who installs lastnode on it would wait for in vain, or take for a fault of lastnode's.
_WITHOUT = (
    "no Deployment controller runs: Deployments stay at 0 pods; `make demo KEEP=1` runs lastnode's programs\n"
    "all nodes are empty: many sessions come back by chance, without lastnode too; `make demo` compares"
)


class _Group(click.Group):
    """Errors of ours are told as text without a traceback, exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LocalError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A real Kubernetes control plane on this machine, without Docker or root."""


@main.command()
@_NODES
@_DIRECTORY
def up(nodes: int, directory: Path | None) -> None:
    """Start a cluster and leave it running; prints the shell line that points kubectl at it."""
    cluster = detached.up(nodes, directory, state_dir(), to_stderr)
    to_stderr(_WITHOUT)
    _tell(cluster)


@main.command()
def down() -> None:
    """Stop the cluster that `up` left running."""
    stopped = detached.down(state_dir())
    to_stderr("the cluster is stopped" if stopped else "no cluster is running")


@main.command()
def status() -> None:
    """Tell whether a cluster is running, and where; exit code 3 when none is."""
    cluster = detached.running(state_dir())
    if cluster is None:
        to_stderr("no cluster is running")
        sys.exit(3)
    to_stderr(f"keeper {cluster.pid}, {cluster.nodes} nodes, data and logs in {cluster.directory}")
    ca_file = Path(cluster.directory) / "certs" / "apiserver.crt"
    to_stderr(f"{cluster.url} {'is ready' if answers(f'{cluster.url}/readyz', ca_file) else 'is NOT ready'}")
    _tell(cluster)


@main.command()
@click.option("--real-nodes", is_flag=True, help="Also what real nodes run, where they can.")
def binaries(real_nodes: bool) -> None:
    """Find the programs, or build them, and print their paths: the control plane's, then helm and kubectl."""
    found, tools = find(), find_tools()
    for binary in (found.etcd, found.apiserver, found.scheduler, tools.helm, tools.kubectl):
        click.echo(binary.path)
    if real_nodes:
        try:
            click.echo(programs.find().kubelet)
        except LocalError as error:  # everything else goes without them
            to_stderr(f"no real nodes: {error}")


@main.command(hidden=True)
@_NODES
@_DIRECTORY
def keep(nodes: int, directory: Path | None) -> None:
    """What `up` starts in the background."""
    detached.keep(nodes, directory, state_dir())


def _tell(cluster: Cluster) -> None:
    """The one line on stdout, so that a shell can eval it."""
    click.echo(f"export KUBECONFIG={shlex.quote(cluster.kubeconfig)}")


if __name__ == "__main__":
    main(prog_name="python -m testbed")
