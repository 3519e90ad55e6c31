"""The commands list and show."""

from typing import Any

import click

from kubectl_lastnode import completion
from kubectl_lastnode.cluster import Reference
from kubectl_lastnode.options import Call, Failure, everywhere, output, shared
from kubectl_lastnode.output import document, table
from kubectl_lastnode.remembered import Remembered, entry_row, headings, remembered, row
from lastnode.objects import Workload

_LIST_HELP = """Every sticky workload with its last node, and whether that would be used now.

STATUS is "valid", or the reason why the newest entry is not (expired, node_gone, node_replaced, node_not_ready,
node_cordoned), or which older node steps in.

\b
Examples:
  kubectl lastnode list                     # of the current namespace
  kubectl lastnode list -A -o wide          # of all, with hostname and expiry
  kubectl lastnode list -A -o json | jq -r '.items[] | select(.reason == "node_gone") | .name'
"""
_SHOW_HELP = """Everything remembered of one workload, newest first, and when it expires.

WORKLOAD is a NAME, of whatever kind, or KIND/NAME.

\b
Examples:
  kubectl lastnode show agent-1
  kubectl lastnode show agentruntime/agent-1 -n team-a -o yaml
"""


@click.command("list", help=_LIST_HELP, short_help="Workloads, their last node, and whether it counts.")
@shared
@everywhere
@output("wide", "json", "yaml", "name")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.pass_obj
def list_command(call: Call, everywhere: bool, form: str | None, no_headers: bool) -> None:
    namespace = call.scope(everywhere)
    found = _remembered(call, [each for each in call.cluster.workloads(namespace) if each.sticky])
    if form in ("json", "yaml"):
        click.echo(document({"kind": "List", "items": found}, form))
    elif not found:
        where = f" in {namespace} namespace" if namespace else ""
        click.echo(f"No resources found{where}.", err=True)
    elif form == "name":
        click.echo("\n".join(one.full_name for one in found))
    else:
        how = {"namespace": everywhere, "wide": form == "wide"}
        now = call.now
        table([headings(**how), *(row(one, now, **how) for one in found)], headers=not no_headers)


@click.command(help=_SHOW_HELP, short_help="What is remembered of one workload, and until when.")
@shared
@click.argument("workload", shell_complete=completion.workloads)
@output("json", "yaml")
@click.pass_obj
def show(call: Call, workload: str, form: str | None) -> None:
    found = _remembered(call, existing(call, workload))
    if form:
        click.echo(document(found[0] if len(found) == 1 else {"kind": "List", "items": found}, form))
        return
    for one in found:
        _show(one, call)


def existing(call: Call, text: str) -> list[Workload]:
    """The workloads that a person means. :raises Failure: there is none."""
    namespace = call.current_namespace
    found = call.cluster.find(Reference.parse(text), namespace)
    if not found:
        raise Failure(f"no workload {text} in namespace {namespace}")
    return found


def _show(one: Remembered, call: Call) -> None:
    click.echo(f"{one.title}: {'sticky' if one.sticky else 'not sticky'}")
    if not one.memory:
        click.echo("  Nothing is remembered.")
        return
    now = call.now
    heading = ["  NODE", "HOSTNAME", "AGE", "EXPIRES-IN", "STATUS"]
    table([heading, *([f"  {node}", *rest] for node, *rest in (entry_row(entry, now) for entry in one.memory))])


def _remembered(call: Call, workloads: list[Workload]) -> list[Remembered]:
    nodes: Any = call.cluster.nodes() if workloads else {}
    made = [remembered(workload, nodes, call.memory_ttl, call.now) for workload in workloads]
    return sorted(made, key=lambda one: (one.namespace, one.kind, one.name))
