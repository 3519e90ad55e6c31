"""The command doctor."""

from collections.abc import Sequence

import click

from kubectl_lastnode.doctor.examine import examine
from kubectl_lastnode.doctor.finding import Finding, Level
from kubectl_lastnode.doctor.look import Look
from kubectl_lastnode.options import Call, output, shared
from kubectl_lastnode.output import counted, document, tinted

_HELP = """Check whether everything fits together: one line a check, with what to do about it.

OK: as it should be. WARN: it costs something, or cannot be known from here. FAIL: sessions do not come back, or others
suffer. Exit code 1 where something is FAIL. Nothing is changed: to see whether the API server reaches the webhook, a
session's pod is created as a dry run in the current namespace.

\b
Examples:
  kubectl lastnode doctor
  kubectl lastnode doctor --scheduler-config /etc/kubernetes/lastnode/scheduler.yaml   # on a control plane node
  kubectl lastnode doctor -o json | jq '.[] | select(.level != "OK")'
"""


@click.command(help=_HELP, short_help="Does everything fit together? What to do where it does not.")
@shared
@click.option(
    "--scheduler-config",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    metavar="FILE",
    help="kube-scheduler's configuration (default: the ConfigMap of the second scheduler).",
)
@output("json", "yaml")
@click.pass_context
def doctor(ctx: click.Context, scheduler_config: str | None, form: str | None) -> None:
    call = ctx.find_object(Call) or Call()
    found = []
    for finding in examine(Look(call, scheduler_config)):
        found.append(finding)
        if not form:
            click.echo(line(finding))
    click.echo(document(found, form) if form else f"\n{verdict(found)}")
    ctx.exit(int(any(finding.level is Level.FAIL for finding in found)))


def line(finding: Finding) -> str:
    """One finding as a line."""
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return f"{tinted(f'{finding.level:<5}')} {finding.check:<15} {finding.text}{remedy}"


def verdict(findings: Sequence[Finding]) -> str:
    """The last line."""
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    failures = counted(counts[Level.FAIL], "failure") if counts[Level.FAIL] else "No failure"
    return f"{failures}, {counted(counts[Level.WARN], 'warning')}."
