"""kubectl lastnode doctor: every check in its order, what must be there first comes first."""

from collections.abc import Iterator
from typing import Final

import click

from kubectl_lastnode.doctor import (
    Facts,
    Finding,
    Level,
    cluster,
    deployed,
    kinds,
    named,
    policies,
    programs,
    webhook,
)
from kubectl_lastnode.options import Options, output
from kubectl_lastnode.output import document, plural, tinted, visible

_CHECKS: Final = (
    ("my-rights", cluster.own_rights),
    ("kinds", kinds.kinds),
    ("controllers", kinds.controllers),
    ("field", kinds.fields),
    ("opted-in", kinds.opted_in),
    ("annotations", kinds.annotations),
    ("accounts", cluster.accounts),
    ("deployments", deployed.deployments),
    ("waiting", deployed.waiting),
    ("recorder", programs.recorders),
    ("leader", programs.leader),
    ("lease", programs.lease),
    ("writes", programs.writes),
    ("extender", programs.extenders),
    ("called", programs.called),
    ("asked", programs.not_asked),
    ("webhook", webhook.registered),
    ("webhook-asks", kinds.shown),
    ("webhook-called", webhook.called),
    ("policies", policies.policies),
    ("scheduler", cluster.configured),
    ("sampling", cluster.sampling),
    ("hidden", cluster.not_seen),
    ("journals", programs.journals),
    ("versions", programs.versions),
    ("clocks", cluster.clocks),
)


@click.command(short_help="Does everything fit together? What to do where it does not.")
@click.option(
    "--scheduler-config",
    type=click.Path(exists=True, dir_okay=False, readable=True),
    metavar="FILE",
    help="kube-scheduler's configuration; the second scheduler's is read from its ConfigMap.",
)
@output("json", "yaml")
@click.pass_context
def doctor(ctx: click.Context, scheduler_config: str | None, form: str | None) -> None:
    """Check whether everything fits together: one line a check, with what to do about it.

    OK: as it should be. WARN: it costs something, or cannot be known from here. FAIL: sessions do not come back, or
    others suffer. Exit code 1 where something is FAIL. Nothing is changed: to see whether the API server reaches the
    webhook, and takes pods with a preference, pods are created as dry runs in the current namespace and in those that
    have sessions.

    \b
    Examples:
      kubectl lastnode doctor
      kubectl lastnode doctor --scheduler-config /etc/kubernetes/lastnode/scheduler.yaml   # on a control plane node
      kubectl lastnode doctor -o json | jq '.[] | select(.level != "OK")'
    """
    found = []
    for finding in examine(Facts(ctx.ensure_object(Options), scheduler_config)):
        found.append(finding)
        if not form:
            click.echo(line(finding))
    failures, warnings = (sum(finding.level is level for finding in found) for level in (Level.FAIL, Level.WARN))
    bad = plural(failures, "failure") if failures else "No failure"
    click.echo(document(found, form) if form else f"\n{bad}, {plural(warnings, 'warning')}.")
    ctx.exit(int(failures > 0))


def examine(facts: Facts) -> Iterator[Finding]:
    """Every finding. :raises Unreachable: there is no API server to ask anything."""
    facts.cluster.api.get("/version")
    for name, check in _CHECKS:
        yield from named(name, check(facts))


def line(finding: Finding) -> str:
    """One finding as a line."""
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return f"{tinted(f'{finding.level:<5}')} {finding.check:<15} {visible(finding.text)}{visible(remedy)}"
