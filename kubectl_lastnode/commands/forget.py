"""kubectl lastnode forget: takes entries out of memories, after it said which and was told to."""

import sys
from typing import Final

import click

from kubectl_lastnode.cluster import Cluster, full_name
from kubectl_lastnode.options import Failure, Options, node_names, workload_names
from kubectl_lastnode.output import columns, plural, visible
from lastnode.kube.errors import Conflict, KubeError, NotFound
from lastnode.memory import parse_text, patch_body, render
from lastnode.objects import Workload

# A workload that others write this often in a row is not waited for.
_ATTEMPTS: Final = 5
# Whose name stands on what is written. Flux takes every manager that begins with "kubectl" for a person who changes its
# objects by hand, and undoes it.
_MANAGER: Final = "lastnode-forget"


@click.command(short_help="Take a workload's memory, or a node out of all memories.")
@click.argument("workload", required=False, shell_complete=workload_names)
@click.option("--node", metavar="NODE", help="Every entry that names this node.", shell_complete=node_names)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Let the server check everything and change nothing.")
@click.pass_obj
def forget(options: Options, workload: str | None, node: str | None, yes: bool, dry_run: bool) -> None:
    """Take nodes out of the memory, so that no session is sent back there.

    Either the whole memory of one WORKLOAD (NAME or KIND/NAME), or with --node every entry that names NODE, in all
    workloads of all namespaces, or of one with -n. Lists what it would do and asks first; where standard input is no
    terminal, --yes or --dry-run has to be given. Other annotations are left alone, and a workload that is written at
    the same time is read again first.

    The recorder writes a session down when it becomes Ready, and a running one again when it is started anew or takes
    over: forgetting lasts until then. To keep sessions off a node, cordon it.

    \b
    Examples:
      kubectl lastnode forget agent-1 --dry-run
      kubectl lastnode forget agentruntime/agent-1 -n team-a --yes
      kubectl lastnode forget --node node-7 --yes
    """
    if (workload is None) == (node is None):
        raise click.UsageError("either WORKLOAD or --node NODE")
    among = options.existing(workload) if workload else options.cluster.workloads(options.namespace or "")
    planned = [one for one in among if removal(options.cluster.kinds[one.resource].prefix, one, node)]
    if not planned:
        click.echo("Nothing to forget.", err=True)
        return
    rows = [[one.namespace, _name(one), node or _nodes(one)] for one in planned]
    click.echo("\n".join(columns([["NAMESPACE", "NAME", "FORGETS"], *rows])))
    if not (yes or dry_run or sys.stdin.isatty()):
        raise click.UsageError("nobody to ask: add --yes, or --dry-run")
    if not (yes or dry_run or click.confirm(f"Forget this in {plural(len(planned), 'workload')}?")):
        raise Failure("nothing was changed")
    forgotten = [_forget(options.cluster, one, node, dry_run) for one in planned]
    if not all(forgotten):
        raise Failure(f"{forgotten.count(False)} of {len(planned)} workloads could not be written")


def removal(prefix: str, workload: Workload, node: str | None) -> dict[str, str | None] | None:
    """A workload's annotations without its memory, or without what names ``node``; None where there is nothing. Pure.

    What cannot be read is no memory, and goes with the rest of it.
    """
    memory = parse_text(workload.last_node, workload.recent_nodes)
    if node is None:
        return render((), prefix) if workload.last_node is not None or workload.recent_nodes is not None else None
    rest = tuple(entry for entry in memory if entry.node != node)
    return render(rest, prefix) if rest != memory or workload.last_node == node else None


def _nodes(workload: Workload) -> str:
    memory = parse_text(workload.last_node, workload.recent_nodes)
    return ", ".join(entry.node for entry in memory) or "<unreadable>"


def _forget(cluster: Cluster, workload: Workload, node: str | None, dry_run: bool) -> bool:
    """Says what became of it; False where it could not be written."""
    told = visible(f"{_name(workload)} in {workload.namespace}")
    try:
        click.echo(f"{told}: {_write(cluster, workload, node, dry_run)}{' (server dry run)' if dry_run else ''}")
        return True
    except KubeError as error:
        click.echo(f"{told}: not forgotten: {visible(str(error))}", err=True)
        return False


def _write(cluster: Cluster, workload: Workload, node: str | None, dry_run: bool, attempts: int = _ATTEMPTS) -> str:
    """Onto this very object (UID) in the version that was seen; after a 409 again on what is there then.

    :raises ApiError, Unreachable: it was refused, or met other writers again and again.
    """
    annotations = removal(cluster.kinds[workload.resource].prefix, workload, node)
    if annotations is None:
        return "nothing to forget any more"
    path = cluster.path(workload.resource, workload.namespace, workload.name)
    try:
        query, form = {"fieldManager": _MANAGER}, "application/merge-patch+json"
        query |= {"dryRun": "All"} if dry_run else {}
        cluster.api.request("PATCH", path, query=query, body=patch_body(workload, annotations), content_type=form)
        return "forgotten"
    except NotFound:
        return "gone meanwhile"
    except Conflict:
        if attempts == 1:
            raise
    fresh = cluster.workload(workload.resource, workload.namespace, workload.name)
    if fresh is None or fresh.uid != workload.uid:
        return "replaced by another of its name meanwhile; left alone" if fresh else "gone meanwhile"
    return _write(cluster, fresh, node, dry_run, attempts - 1)


def _name(workload: Workload) -> str:
    return full_name(workload.kind, workload.resource, workload.name)
