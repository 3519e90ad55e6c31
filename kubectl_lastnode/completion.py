"""Shell completion: the command that prints click's own script, and what can stand in place of an argument."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from kubectl_lastnode.cluster import Cluster
from kubectl_lastnode.options import Call, shared
from lastnode.kube.errors import KubeError

SHELLS: Final = ("bash", "zsh", "fish")
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


@click.command("completion", help=_HELP, short_help="A script that completes commands in a shell.")
@shared
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "kubectl-lastnode", VARIABLE).source())


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
    with contextlib.suppress(KubeError):
        found = sorted(set(names(call.cluster, call.current_namespace)))
        return [CompletionItem(name) for name in found if name.startswith(incomplete)]
    return []
