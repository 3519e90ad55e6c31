"""All checks in their order: what must be there first comes first."""

from collections.abc import Iterator
from typing import Final

from kubectl_lastnode.doctor import extenders, installation, recorders, rights, scheduling, together, webhook
from kubectl_lastnode.doctor.finding import Finding, guarded, warn
from kubectl_lastnode.doctor.look import Look


def _journals(look: Look) -> Iterator[Finding]:
    """What of the sessions' history was missing for the checks before."""
    for line in look.journals.trouble:
        yield warn("journals", line, "Without it report and explain know less.")


_CHECKS: Final = (
    ("my-rights", rights.own),
    ("workload-crds", installation.definitions),
    ("sandbox-crd", installation.sandboxes),
    ("opted-in", installation.opted_in),
    ("accounts", rights.accounts),
    ("recorder", recorders.replicas),
    ("leader", recorders.leader),
    ("lease", recorders.lease),
    ("writes", recorders.writes),
    ("extender", extenders.replicas),
    ("called", extenders.called),
    ("asked", extenders.not_asked),
    ("webhook", webhook.registered),
    ("webhook-called", webhook.reached),
    ("scheduler", scheduling.configured),
    ("sampling", scheduling.sampling),
    ("hidden", scheduling.hidden),
    ("journals", _journals),
    ("versions", together.versions),
    ("clocks", together.clocks),
)


def examine(look: Look) -> Iterator[Finding]:
    """Every finding. :raises Unreachable: there is no API server to ask anything."""
    look.cluster.api.get("/version")
    for name, check in _CHECKS:
        yield from guarded(name, lambda check=check: check(look))  # type: ignore[misc]
