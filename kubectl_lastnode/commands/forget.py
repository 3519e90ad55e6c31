"""The command forget: takes entries out of memories, after it said which and was told to."""

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

import click

from kubectl_lastnode import completion
from kubectl_lastnode.cluster import Cluster
from kubectl_lastnode.commands.list import existing
from kubectl_lastnode.options import Call, Failure, shared
from kubectl_lastnode.output import columns, counted
from kubectl_lastnode.remembered import full_name
from lastnode.kube.errors import Conflict, KubeError, NotFound
from lastnode.memory import parse_text, render
from lastnode.objects import Workload
from recorder.decision import patch_body

# A workload that others write this often in a row is not waited for.
_ATTEMPTS: Final = 5
_HELP = """Take nodes out of the memory, so that no session is sent back there.

Either the whole memory of one WORKLOAD (NAME or KIND/NAME), or with --node every entry that names NODE, in all
workloads of all namespaces, or of one with -n. Lists what it would do and asks first; where standard input is no
terminal, --yes or --dry-run has to be given. Other annotations are left alone, and a workload that is written at the
same time is read again first.

The recorder writes a session down when it becomes Ready, and a running one again when it is started anew or takes
over: forgetting lasts until then. To keep sessions off a node, cordon it.

\b
Examples:
  kubectl lastnode forget agent-1 --dry-run
  kubectl lastnode forget agentruntime/agent-1 -n team-a --yes
  kubectl lastnode forget --node node-7 --yes
"""


class Result(StrEnum):
    """What became of one workload."""

    FORGOTTEN = "forgotten"
    NOTHING_LEFT = "nothing to forget any more"
    GONE = "gone meanwhile"
    REPLACED = "replaced by another of its name meanwhile; left alone"


class Removal(NamedTuple):
    """What to do to a workload: its annotations afterwards, None for one to remove, and which nodes that forgets."""

    annotations: dict[str, str | None]
    nodes: list[str]


def removal(workload: Workload, node: str | None) -> Removal | None:
    """Of a workload's memory everything, or what names ``node``; None where there is nothing. Pure.

    What cannot be read is no memory, and goes with the rest of it.
    """
    memory = parse_text(workload.last_node, workload.recent_nodes)
    if node is None:
        there = workload.last_node is not None or workload.recent_nodes is not None
        return Removal(render(()), [entry.node for entry in memory]) if there else None
    rest = tuple(entry for entry in memory if entry.node != node)
    return Removal(render(rest), [node]) if rest != memory or workload.last_node == node else None


def forget_one(cluster: Cluster, workload: Workload, node: str | None, *, dry_run: bool) -> Result:
    """Write it, onto this very object (UID) in the version that was seen; after a 409 again on what is there then.

    :raises ApiError, Unreachable: it was refused, or met other writers again and again.
    """
    seen = workload
    for _ in range(_ATTEMPTS - 1):
        try:
            return _write(cluster, seen, node, dry_run)
        except Conflict:
            fresh = cluster.workload(workload.resource, workload.namespace, workload.name)
            if fresh is None or fresh.uid != workload.uid:
                return Result.REPLACED if fresh else Result.GONE
            seen = fresh
    return _write(cluster, seen, node, dry_run)


def _write(cluster: Cluster, workload: Workload, node: str | None, dry_run: bool) -> Result:
    planned = removal(workload, node)
    if planned is None:
        return Result.NOTHING_LEFT
    try:
        path = cluster.path(workload.resource, workload.namespace, workload.name)
        cluster.merge_patch(path, patch_body(workload, planned.annotations), dry_run=dry_run)
    except NotFound:
        return Result.GONE
    return Result.FORGOTTEN


@click.command(help=_HELP, short_help="Take a workload's memory, or a node out of all memories.")
@shared
@click.argument("workload", required=False, shell_complete=completion.workloads)
@click.option("--node", metavar="NODE", help="Every entry that names this node.", shell_complete=completion.nodes)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Let the server check everything and change nothing.")
@click.pass_obj
def forget(call: Call, workload: str | None, node: str | None, yes: bool, dry_run: bool) -> None:
    if (workload is None) == (node is None):
        raise click.UsageError("either WORKLOAD or --node NODE")
    among = existing(call, workload) if workload else call.cluster.workloads(call.namespace or "")
    planned = [(one, plan) for one in among if (plan := removal(one, node))]
    if not planned:
        click.echo("Nothing to forget.", err=True)
        return
    for line in columns([["NAMESPACE", "NAME", "FORGETS"], *(_plan_row(one, plan) for one, plan in planned)]):
        click.echo(line)
    if not (yes or dry_run):
        _ask(len(planned))
    _forget_all([one for one, _ in planned], lambda one: forget_one(call.cluster, one, node, dry_run=dry_run), dry_run)


def _ask(workloads: int) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody to ask: add --yes, or --dry-run")
    if not click.confirm(f"Forget this in {counted(workloads, 'workload')}?"):
        raise Failure("nothing was changed")


def _forget_all(workloads: list[Workload], forget: Callable[[Workload], Result], dry_run: bool) -> None:
    failed = 0
    for one in workloads:
        name = f"{full_name(one.kind, one.resource, one.name)} in {one.namespace}"
        try:
            click.echo(f"{name}: {forget(one)}{' (server dry run)' if dry_run else ''}")
        except KubeError as error:
            failed += 1
            click.echo(f"{name}: not forgotten: {error}", err=True)
    if failed:
        raise Failure(f"{failed} of {len(workloads)} workloads could not be written")


def _plan_row(workload: Workload, plan: Removal) -> list[str]:
    name = full_name(workload.kind, workload.resource, workload.name)
    return [workload.namespace, name, ", ".join(plan.nodes) or "<unreadable>"]
