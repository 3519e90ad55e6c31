"""What is remembered of workloads, as list and show tell it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from kubectl_lastnode.options import Options
from kubectl_lastnode.output import short
from lastnode.memory import Entry, Validity, choose, parse_text, validity
from lastnode.objects import Node, Workload


class Placement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of the memory. ``status``: a :class:`Validity`. ``expires_at``: None where it never does."""

    node: str
    hostname: str
    node_uid: str = msgspec.field(name="nodeUID")
    pod_uid: str = msgspec.field(name="podUID")
    ready_at: datetime | None
    expires_at: datetime | None
    status: Validity


class Remembered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One workload. ``last_node``: its newest entry's; ``preferred``: where its next session would be sent,
    if anywhere; ``reason``: why the *newest* entry is or is not that."""

    namespace: str
    kind: str
    name: str
    resource: str
    uid: str
    sticky: bool
    last_node: str | None
    preferred: str | None
    reason: Validity
    memory: list[Placement]


def remembered(workload: Workload, nodes: Mapping[str, Node] | None, ttl: float, now: datetime) -> Remembered:
    """``nodes``: every node by name, None where they are not known; ``ttl`` in seconds, 0 for ever. Pure."""
    entries = parse_text(workload.last_node, workload.recent_nodes)
    chosen, reason = choose(entries, now=now, ttl=ttl, nodes=nodes)
    newest = validity(entries[0], now=now, ttl=ttl, nodes=nodes) if entries else reason
    return Remembered(
        namespace=workload.namespace,
        kind=workload.kind,
        name=workload.name,
        resource=workload.resource,
        uid=workload.uid,
        sticky=workload.sticky,
        last_node=entries[0].node if entries else None,
        preferred=chosen.node if chosen and workload.sticky else None,
        reason=newest,
        memory=[_placement(entry, nodes, ttl, now) for entry in entries],
    )


def look_up(options: Options, workloads: Sequence[Workload]) -> list[Remembered]:
    """With the nodes as they are now, in the order of names."""
    nodes = options.cluster.nodes() if workloads else {}
    made = [remembered(workload, nodes, options.memory_ttl, options.now) for workload in workloads]
    return sorted(made, key=lambda one: (one.namespace, one.kind, one.name))


def expiry(entry: Placement | None, now: datetime) -> str:
    """When an entry stops counting: ``-`` where it has, or where there is none."""
    if entry is None or entry.status is Validity.EXPIRED:
        return "-"
    return "never" if entry.expires_at is None else short((entry.expires_at - now).total_seconds())


def _placement(entry: Entry, nodes: Mapping[str, Node] | None, ttl: float, now: datetime) -> Placement:
    return Placement(
        node=entry.node,
        hostname=entry.hostname,
        node_uid=entry.node_uid,
        pod_uid=entry.pod_uid,
        ready_at=entry.ready_at,
        expires_at=entry.ready_at + timedelta(seconds=ttl) if ttl and entry.ready_at else None,
        status=validity(entry, now=now, ttl=ttl, nodes=nodes),
    )
