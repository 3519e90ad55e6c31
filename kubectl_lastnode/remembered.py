"""What is remembered of a workload, as list and show tell it. Pure: records to a struct, and that to cells."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from kubectl_lastnode.output import age, short
from lastnode.memory import Entry, Validity, choose, parse_text, validity
from lastnode.objects import Node, Workload

HEADINGS = ("NAMESPACE", "KIND", "NAME", "LAST-NODE", "AGE", "STATUS")
WIDE = ("HOSTNAME", "EXPIRES-IN", "ENTRIES")


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

    @property
    def title(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def full_name(self) -> str:
        """As ``kubectl get -o name`` prints it."""
        return full_name(self.kind, self.resource, self.name)


def full_name(kind: str, resource: str, name: str) -> str:
    """``agentruntime.runtime.agentcube.volcano.sh/NAME``."""
    return f"{kind.lower()}.{resource.partition('.')[2]}/{name}"


def remembered(workload: Workload, nodes: Mapping[str, Node] | None, ttl: float, now: datetime) -> Remembered:
    """``nodes``: every node by name, None where they are not known; ``ttl`` in seconds, 0 for ever."""
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


def row(one: Remembered, now: datetime, *, namespace: bool, wide: bool) -> list[str]:
    """The cells under :func:`headings`."""
    newest = one.memory[0] if one.memory else None
    cells = [one.kind, one.name, one.last_node or "<none>", age(newest.ready_at, now) if newest else "<none>"]
    more = [newest.hostname if newest and newest.hostname else "<none>", expiry(newest, now), str(len(one.memory))]
    return [*([one.namespace] if namespace else []), *cells, *(more if wide else []), _status(one)]


def headings(*, namespace: bool, wide: bool) -> list[str]:
    *first, status = HEADINGS if namespace else HEADINGS[1:]
    return [*first, *(WIDE if wide else ()), status]


def entry_row(entry: Placement, now: datetime) -> list[str]:
    """NODE, HOSTNAME, AGE, EXPIRES-IN, STATUS."""
    return [entry.node, entry.hostname or "<unknown>", age(entry.ready_at, now), expiry(entry, now), str(entry.status)]


def expiry(entry: Placement | None, now: datetime) -> str:
    """When an entry stops counting: ``-`` where it has, or where there is none."""
    if entry is None or entry.status is Validity.EXPIRED:
        return "-"
    return "never" if entry.expires_at is None else short((entry.expires_at - now).total_seconds())


def _status(one: Remembered) -> str:
    stands_in = one.preferred not in (None, one.last_node)
    return f"{one.preferred} steps in" if stands_in else str(one.reason)


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
