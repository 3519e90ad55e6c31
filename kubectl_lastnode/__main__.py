"""The program, put together: ``kubectl-lastnode``, which kubectl finds by its name on PATH."""

import sys

import click

from kubectl_lastnode import completion
from kubectl_lastnode.commands.doctor import doctor
from kubectl_lastnode.commands.explain import explain
from kubectl_lastnode.commands.forget import forget
from kubectl_lastnode.commands.list import list_command
from kubectl_lastnode.commands.report import report
from kubectl_lastnode.commands.show import show
from kubectl_lastnode.options import PROG, Options, shared_by_all
from kubectl_lastnode.output import wants_colour
from lastnode.kube.errors import ConfigError, KubeError

_HELP = """Where did each workload's last session run, would the next one come back there, and does it?

A workload that opted in (spec.nodeStickiness.enabled: true) remembers the nodes of its last sessions. This shows what
it remembers, why a session ran elsewhere, how often sessions come back, and what is wrong with the installation.

\b
Begin with:
  kubectl lastnode doctor              # does everything fit together?
  kubectl lastnode report              # how often do sessions come back, and why not?
  kubectl lastnode explain POD         # why did this one run where it ran?

Only `forget` writes. Exit codes: 0 all right; 1 the cluster could not answer, nothing of that name was found, or
doctor found a failure; 2 a wrong call.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="lastnode", prog_name=PROG)
@shared_by_all
@click.pass_context
def cli(ctx: click.Context) -> None:
    ctx.ensure_object(Options)
    ctx.color = wants_colour()


for command in (list_command, show, explain, report, doctor, forget, completion.completion):
    cli.add_command(command)


def main() -> None:
    """Exit codes: 0; 1 where the cluster could not answer or nothing was found; 2 for a wrong call."""
    try:
        cli(prog_name=PROG, complete_var=completion.VARIABLE)
    except KubeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def complete() -> None:
    """``kubectl_complete-lastnode``, which kubectl runs to complete a plug-in's words."""
    completion.answer(cli, sys.argv[1:])


if __name__ == "__main__":
    main()
