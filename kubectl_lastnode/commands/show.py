"""kubectl lastnode show: everything that one workload remembers."""

import click

from kubectl_lastnode import completion
from kubectl_lastnode.options import Options, output, shared
from kubectl_lastnode.output import age, document, table
from kubectl_lastnode.remembered import Remembered, expiry, look_up

_HELP = """Everything remembered of one workload, newest first, and when it expires.

WORKLOAD is a NAME, of whatever kind, or KIND/NAME.

\b
Examples:
  kubectl lastnode show agent-1
  kubectl lastnode show agentruntime/agent-1 -n team-a -o yaml
"""


@click.command(help=_HELP, short_help="What is remembered of one workload, and until when.")
@shared
@click.argument("workload", shell_complete=completion.workloads)
@output("json", "yaml")
@click.pass_obj
def show(options: Options, workload: str, form: str | None) -> None:
    found = look_up(options, options.existing(workload))
    if form:
        click.echo(document(found[0] if len(found) == 1 else {"kind": "List", "items": found}, form))
        return
    for one in found:
        _print(one, options)


def _print(one: Remembered, options: Options) -> None:
    click.echo(f"{one.kind} {one.namespace}/{one.name}: {'sticky' if one.sticky else 'not sticky'}")
    if not one.memory:
        click.echo("  Nothing is remembered.")
        return
    now = options.now
    rows = [
        [f"  {entry.node}", entry.hostname or "<unknown>", age(entry.ready_at, now), expiry(entry, now), entry.status]
        for entry in one.memory
    ]
    table([["  NODE", "HOSTNAME", "AGE", "EXPIRES-IN", "STATUS"], *rows])
