"""Shell completion: for kubectl (its plug-ins' protocol), for this program alone (click's own script), and of names."""

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from kubectl_lastnode.cluster import Cluster
from kubectl_lastnode.options import PROG, Options, shared
from lastnode.kube.errors import KubeError

# By it the shell's script asks this program.
VARIABLE: Final = "_KUBECTL_LASTNODE_COMPLETE"
_HELP = """Print a script that completes `kubectl-lastnode` in your shell.

For `kubectl lastnode` itself nothing is needed but kubectl's own completion: kubectl finds kubectl_complete-lastnode,
which is installed beside this program.

\b
Examples:
  source <(kubectl completion bash)             # kubectl lastnode sh<TAB>
  source <(kubectl lastnode completion bash)    # kubectl-lastnode sh<TAB>
  kubectl lastnode completion fish > ~/.config/fish/completions/kubectl-lastnode.fish
"""
# Cobra's ShellCompDirectives.
_FILES, _NO_FILES = 0, 4

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


@click.command("completion", help=_HELP, short_help="A script that completes commands in a shell.")
@shared
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "kubectl-lastnode", VARIABLE).source())


def answer(program: click.Command, words: Sequence[str]) -> None:
    """To kubectl (cmd/plugin_completion.go), whose last word is being completed: candidates, each with its description
    after a tab, then a directive. Says nothing where nothing can be known: the person is still typing."""
    *before, incomplete = words or [""]
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        items = ShellComplete(program, {}, PROG, "").get_completions([*before], incomplete)
    plain = [item for item in items if item.type == "plain"]
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in plain]
    print("\n".join([*lines, f":{_NO_FILES if len(plain) == len(items) else _FILES}"]))


def _names(found: Callable[[Cluster, str, str], Iterable[str]]) -> Complete:
    """Completes what ``found`` knows: from the cluster, of a namespace, for the word so far."""

    def complete(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
        options = ctx.find_object(Options) or Options()
        with contextlib.suppress(KubeError):
            names = sorted(set(found(options.cluster, options.current_namespace, word)))
            return [CompletionItem(name) for name in names if name.startswith(word)]
        return []

    return complete


pods = _names(lambda cluster, namespace, word: (pod["metadata"]["name"] for pod in cluster.session_pods(namespace)))
nodes = _names(lambda cluster, namespace, word: cluster.nodes() or ())
# Names, or KIND/NAME once there is a slash.
workloads = _names(lambda cluster, namespace, word: (
    f"{workload.kind.lower()}/{workload.name}" if "/" in word else workload.name
    for workload in cluster.workloads(namespace)
))  # fmt: skip
