"""kubectl lastnode list: the sticky workloads, one a line."""

from datetime import datetime

import click

from kubectl_lastnode.cluster import full_name
from kubectl_lastnode.commands.show import Remembered, expiry, look_up
from kubectl_lastnode.options import Options, output, warn
from kubectl_lastnode.output import age, document, some, table

# Only with -o wide.
_WIDE = {"HOSTNAME", "EXPIRES-IN", "ENTRIES"}


@click.command("list", short_help="Workloads, their last node, and whether it counts.")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Every namespace.")
@output("wide", "json", "yaml", "name")
@click.option("--no-headers", is_flag=True, help="Leave the headings out.")
@click.pass_obj
def list_command(options: Options, everywhere: bool, form: str | None, no_headers: bool) -> None:
    """Every sticky workload with its last node, and whether that would be used now.

    STATUS is "valid", or the reason why the newest entry does not count (docs/reference.md#reasons), or which older
    node steps in.

    \b
    Examples:
      kubectl lastnode list                     # of the current namespace
      kubectl lastnode list -A -o wide          # of all, with hostname and expiry
      kubectl lastnode list -A -o json | jq -r '.items[] | select(.reason == "node_gone") | .name'
    """
    namespace = "" if everywhere else options.current_namespace
    everybody = options.cluster.workloads(namespace)
    found = look_up(options, [each for each in everybody if each.sticky])
    passed_over = [each for each in everybody if not each.sticky and options.cluster.ignored(each)]
    if missed := [f"{each.namespace}/{each.name}" for each in passed_over]:
        warn(f"not sticky, though annotated (see show): {some(missed)}")
    if form in ("json", "yaml"):
        click.echo(document({"kind": "List", "items": found}, form))
    elif not found:
        click.echo(f"No resources found{f' in {namespace} namespace' if namespace else ''}.", err=True)
    elif form == "name":
        click.echo("\n".join(full_name(one.kind, one.resource, one.name) for one in found))
    else:
        left_out = ({"NAMESPACE"} if namespace else set()) | (set() if form == "wide" else _WIDE)
        rows = [cells(one, options.now) for one in found]
        heads = [head for head in rows[0] if head not in left_out]
        lines = [[row[head] for head in heads] for row in rows]
        click.echo(table([heads, *lines], headers=not no_headers))


def cells(one: Remembered, now: datetime) -> dict[str, str]:
    """The cells by their headings."""
    newest = one.memory[0] if one.memory else None
    stands_in = newest is not None and one.preferred not in (None, one.last_node)
    return {
        "NAMESPACE": one.namespace,
        "KIND": one.kind,
        "NAME": one.name,
        "LAST-NODE": one.last_node or "<none>",
        "AGE": age(newest.ready_at, now) if newest else "<none>",
        "HOSTNAME": newest.hostname if newest and newest.hostname else "<none>",
        "EXPIRES-IN": expiry(newest, now),
        "ENTRIES": str(len(one.memory)),
        "STATUS": f"{one.preferred} steps in" if stands_in else str(one.reason),
    }
