"""The program, put together: ``kubectl-lastnode``, which kubectl finds by its name on PATH; and its completion in a
shell: for kubectl (its plug-ins' protocol), and for this program alone (click's own script).
"""

import contextlib
import os
import sys
from typing import Final

import click
from click.shell_completion import ShellComplete, get_completion_class

from kubectl_lastnode.commands.doctor import doctor
from kubectl_lastnode.commands.explain import explain
from kubectl_lastnode.commands.forget import forget
from kubectl_lastnode.commands.list import list_command
from kubectl_lastnode.commands.report import report
from kubectl_lastnode.commands.show import show
from kubectl_lastnode.options import PROG, Options, share
from kubectl_lastnode.output import visible
from lastnode.kube.errors import ConfigError, KubeError

# By it the shell's script asks this program.
_VARIABLE: Final = "_KUBECTL_LASTNODE_COMPLETE"
# Cobra's ShellCompDirectives.
_FILES, _NO_FILES = 0, 4


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="lastnode", prog_name=PROG)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Where did each workload's last session run, would the next one come back there, and does it?

    A workload that opted in (spec.nodeStickiness.enabled: true) remembers the nodes of its last sessions. This shows
    what it remembers, why a session ran elsewhere, how often sessions come back, and what is wrong with the
    installation.

    \b
    Begin with:
      kubectl lastnode doctor              # does everything fit together?
      kubectl lastnode report              # how often do sessions come back, and why not?
      kubectl lastnode explain POD         # why did this one run where it ran?

    Only `forget` writes. Exit codes: 0 all right; 1 the cluster could not answer, nothing of that name was found, or
    doctor found a failure; 2 a wrong call.
    """
    ctx.ensure_object(Options)
    ctx.color = False if os.environ.get("NO_COLOR") else None  # no-color.org; else as the terminal is


@click.command("completion", short_help="A script that completes commands in a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes `kubectl-lastnode` in your shell.

    For `kubectl lastnode` itself nothing is needed but kubectl's own completion: kubectl finds
    kubectl_complete-lastnode, which is installed beside this program.

    \b
    Examples:
      source <(kubectl completion bash)             # kubectl lastnode sh<TAB>
      source <(kubectl lastnode completion bash)    # kubectl-lastnode sh<TAB>
      kubectl lastnode completion fish > ~/.config/fish/completions/kubectl-lastnode.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "kubectl-lastnode", _VARIABLE).source())


for command in (list_command, show, explain, report, doctor, forget, completion):
    cli.add_command(command)
share(cli)


def main() -> None:
    """Exit codes: 0; 1 where the cluster could not answer or nothing was found; 2 for a wrong call."""
    try:
        cli(prog_name=PROG, complete_var=_VARIABLE)
    except KubeError as error:
        click.echo(f"error: {visible(str(error))}", err=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def complete() -> None:
    """``kubectl_complete-lastnode``, which kubectl runs (cmd/plugin_completion.go) with the words before the cursor:
    prints candidates, each with its description after a tab, then a directive. Says nothing where nothing can be known:
    the person is still typing.
    """
    *before, incomplete = sys.argv[1:] or [""]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        items = ShellComplete(cli, {}, PROG, "").get_completions(before, incomplete)
    plain = [item for item in items if item.type == "plain"]
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in plain]
    print("\n".join([*lines, f":{_NO_FILES if len(plain) == len(items) else _FILES}"]))


if __name__ == "__main__":
    main()
