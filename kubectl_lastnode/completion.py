"""Shell completion: click's own for the program itself, and the protocol by which kubectl asks a plug-in.

kubectl runs an executable ``kubectl_complete-lastnode`` on PATH with the words so far, the last one being completed. It
prints one candidate a line, with a description after a tab, and a colon with Cobra's directive as its last line
(kubectl's cmd/plugin_completion.go).
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from kubectl_lastnode.call import PROG, Call, shared
from kubectl_lastnode.cluster import Cluster
from recorder.errors import LastnodeError

SHELLS: Final = ("bash", "zsh", "fish")
# By it the shell's script asks this program.
VARIABLE: Final = "_KUBECTL_LASTNODE_COMPLETE"
_NO_FILES: Final = 4  # Cobra's ShellCompDirectiveNoFileComp
_FILES: Final = 0  # ShellCompDirectiveDefault
_HELP = """Print a script that completes `kubectl-lastnode` in your shell.

For `kubectl lastnode` itself nothing is needed but kubectl's own completion: kubectl finds kubectl_complete-lastnode,
which is installed beside this program.

\b
Examples:
  source <(kubectl completion bash)             # kubectl lastnode sh<TAB>
  source <(kubectl lastnode completion bash)    # kubectl-lastnode sh<TAB>
  kubectl lastnode completion fish > ~/.config/fish/completions/kubectl-lastnode.fish
"""


@click.command("completion", help=_HELP, short_help="A script that completes commands in a shell.")
@shared
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "kubectl-lastnode", VARIABLE).source())


def candidates(program: click.Command, words: Sequence[str]) -> str:
    """The answer to kubectl: ``words`` as it passes them, the last one being completed."""
    *before, incomplete = words or [""]
    items = ShellComplete(program, {}, PROG, "").get_completions([*before], incomplete)
    plain = [item for item in items if item.type == "plain"]
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in plain]
    return "\n".join([*lines, f":{_NO_FILES if len(plain) == len(items) else _FILES}"])


def main() -> None:
    """``kubectl_complete-lastnode``. Says nothing where nothing can be known: the person is still typing."""
    from kubectl_lastnode.program import cli  # its commands take their completion from here

    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        answer = candidates(cli, sys.argv[1:])
    print(answer)


def workloads(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names, or KIND/NAME once there is a slash."""

    def names(cluster: Cluster, namespace: str) -> Iterable[str]:
        for workload in cluster.workloads(namespace):
            yield f"{workload.kind.lower()}/{workload.name}" if "/" in incomplete else workload.name

    return _asked(ctx, incomplete, names)


def pods(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of sessions' pods."""
    return _asked(ctx, incomplete, lambda cluster, namespace: cluster.session_pods(namespace))


def nodes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of nodes."""
    return _asked(ctx, incomplete, lambda cluster, _: cluster.nodes() or ())


def _asked(ctx: click.Context, incomplete: str, names: Callable[[Cluster, str], Iterable[str]]) -> list[CompletionItem]:
    call = ctx.find_object(Call) or Call()
    with contextlib.suppress(LastnodeError):
        found = sorted(set(names(call.cluster, call.current_namespace)))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]
    return []
