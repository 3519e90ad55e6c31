"""kubectl lastnode show: everything that one workload remembers, and whether it counts now."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import click
import msgspec

from kubectl_lastnode.explanation import Ranked
from kubectl_lastnode.options import Options, output, workload_names
from kubectl_lastnode.output import age, document, short, table, visible
from lastnode.memory import Memory, parse_text
from lastnode.objects import Node, Workload
from lastnode.ranking import Preference, Standing, validity
from lastnode.reasons import Reason


class Placement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of the memory. ``status``: a :class:`Reason`. ``expires_at``: None where it never does. ``weight``:
    what its node weighs for the next session, 0 where it is not preferred."""

    node: str
    hostname: str
    node_uid: str = msgspec.field(name="nodeUID")
    pod_uid: str = msgspec.field(name="podUID")
    ready_at: datetime | None
    expires_at: datetime | None
    status: Reason
    weight: int


class Remembered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One workload. ``last_node``: its newest entry's; ``preferred``: where its next session would be sent,
    if anywhere; ``reason``: why the *newest* entry is or is not that; ``ranked``: all nodes that it would like;
    ``ignored``: what its annotations say and nobody heeds."""

    namespace: str
    kind: str
    name: str
    resource: str
    uid: str
    sticky: bool
    last_node: str | None
    preferred: str | None
    reason: Reason
    memory: list[Placement]
    ranked: list[Ranked]
    ignored: list[str] = []


@click.command(short_help="What is remembered of one workload, and until when.")
@click.argument("workload", shell_complete=workload_names)
@output("json", "yaml")
@click.pass_obj
def show(options: Options, workload: str, form: str | None) -> None:
    """Everything remembered of one workload, newest first, and when it expires.

    WORKLOAD is a NAME, of whatever kind, or KIND/NAME.

    \b
    Examples:
      kubectl lastnode show agent-1
      kubectl lastnode show agentruntime/agent-1 -n team-a -o yaml
    """
    found, now = look_up(options, options.existing(workload)), options.now
    if form:
        click.echo(document(found[0] if len(found) == 1 else {"kind": "List", "items": found}, form))
        return
    for one in found:
        whose = visible(f"{one.kind} {one.namespace}/{one.name}")
        click.echo(f"{whose}: {'sticky' if one.sticky else 'not sticky'}")
        rows = [
            [
                f"  {past.node}",
                past.hostname or "<unknown>",
                age(past.ready_at, now),
                expiry(past, now),
                str(past.weight),
                past.status,
            ]
            for past in one.memory
        ]
        rows += [
            [f"  {each.node}", "<unknown>", "-", "-", str(each.weight), each.standing]
            for each in one.ranked
            if each.standing is Standing.GROUP
        ]
        heads = ["  NODE", "HOSTNAME", "AGE", "EXPIRES-IN", "WEIGHT", "STATUS"]
        click.echo(table([heads, *rows]) if rows else "  Nothing is remembered.")
        for line in one.ignored:
            click.echo(f"  Not heeded: {visible(line)}.")


def remembered(
    workload: Workload, preference: Preference, nodes: Mapping[str, Node] | None, ttl: float, now: datetime
) -> Remembered:
    """``nodes``: every node by name, None where they are not known; ``ttl`` in seconds, 0 for ever. Pure."""
    ranked = [Ranked.of(one) for one in preference.nodes if workload.sticky]
    weights = {one.node: one.weight for one in ranked if one.standing is not Standing.GROUP}
    memory = [
        Placement(
            **msgspec.structs.asdict(entry), status=validity(entry, now=now, ttl=ttl, nodes=nodes),
            weight=weights.get(entry.node, 0),
            expires_at=entry.ready_at + timedelta(seconds=ttl) if ttl and entry.ready_at else None,
        )
        for entry in _memory(workload)
    ]  # fmt: skip
    return Remembered(
        namespace=workload.namespace, kind=workload.kind, name=workload.name, resource=workload.resource,
        uid=workload.uid, sticky=workload.sticky, memory=memory, last_node=memory[0].node if memory else None,
        preferred=ranked[0].node if ranked else None, ranked=ranked,
        reason=memory[0].status if memory else Reason.NOTHING_REMEMBERED,
    )  # fmt: skip


def _memory(workload: Workload) -> Memory:
    return parse_text(workload.last_node, workload.recent_nodes)


def look_up(options: Options, workloads: Sequence[Workload]) -> list[Remembered]:
    """With the nodes as they are now, in the order of names."""
    nodes = options.cluster.nodes() if workloads else {}
    made = [
        msgspec.structs.replace(
            remembered(one, options.preference(one, _memory(one), nodes), nodes, options.memory_ttl, options.now),
            ignored=[*options.cluster.ignored(one)],
        )
        for one in workloads
    ]
    return sorted(made, key=lambda one: (one.namespace, one.kind, one.name))


def expiry(entry: Placement | None, now: datetime) -> str:
    """When an entry stops counting: ``-`` where it does not count, or where there is none."""
    if entry is None or entry.status in (Reason.EXPIRED, Reason.AHEAD):
        return "-"
    return "never" if entry.expires_at is None else short((entry.expires_at - now).total_seconds())
