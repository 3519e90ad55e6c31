"""Sessions as the recorders' journals would hold them: the same ones for the same seed."""

from datetime import UTC, datetime, timedelta
from math import pi, sin
from random import Random

from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import Reason

NOW = datetime(2026, 11, 24, 15, 40, tzinfo=UTC)

_NAMESPACES = ("research", "support-bots", "checkout", "data-science", "team-atlas", "playground", "ci", "evaluations")
_REASONS = {
    Reason.NO_ROOM: 40,
    Reason.EXPIRED: 25,
    Reason.OUTSCORED: 9,
    Reason.NODE_GONE: 8,
    Reason.NOT_OFFERED: 7,
    Reason.NODE_CORDONED: 5,
    Reason.NODE_NOT_READY: 3,
    Reason.UNKNOWN: 2,
    Reason.UNAWARE: 1,
}
# Median start-up in seconds: with the image on the node, and without.
_SECONDS = {Outcome.REUSED: 3.0, Outcome.OLDER: 3.5, Outcome.MOVED: 14.0, Outcome.GROUP: 8.0, Outcome.FIRST: 17.0}


def sessions(count: int, *, seed: int = 7, hours: float = 72, nodes: int = 60) -> list[SessionRecord]:
    """Sessions of the hours before ``NOW``: more by day than by night, a few busy nodes and workloads, and one hour, a
    day ago, in which nodes were drained and hardly a session came back.
    """
    random = Random(seed)
    last_nodes: dict[str, str] = {}
    return [_session(random, i, moment, nodes, last_nodes) for i, moment in enumerate(_moments(random, count, hours))]


def _moments(random: Random, count: int, hours: float) -> list[datetime]:
    moments: list[datetime] = []
    while len(moments) < count:
        when = NOW - timedelta(seconds=round(random.uniform(0, hours * 3600)))
        if random.random() < 0.55 + 0.45 * sin(2 * pi * (when.hour - 9) / 24):
            moments.append(when)
    return sorted(moments)


def _session(random: Random, i: int, ready: datetime, nodes: int, last_nodes: dict[str, str]) -> SessionRecord:
    workload = f"agent-{min(899, int(random.expovariate(1 / 180))):03}"
    last = last_nodes.get(workload, "")
    drained = timedelta(hours=23) < NOW - ready < timedelta(hours=24, minutes=30)
    outcome = Outcome.GROUP if random.random() < 0.3 else Outcome.FIRST
    if last:
        chance = random.random() / (0.3 if drained else 1)
        outcome = Outcome.REUSED if chance < 0.74 else Outcome.OLDER if chance < 0.84 else Outcome.MOVED
    node = last if outcome is Outcome.REUSED else _other(random, nodes, last)
    last_nodes[workload] = node
    took = timedelta(seconds=round(_SECONDS[outcome] * random.lognormvariate(0, 0.7)))
    return SessionRecord(
        namespace=_NAMESPACES[int(workload[-3:]) % len(_NAMESPACES)],
        pod=f"{workload}-{i}",
        pod_uid=f"uid-{i}",
        workload=workload,
        kind="CodeInterpreter" if int(workload[-3:]) % 3 == 0 else "AgentRuntime",
        node=node,
        outcome=outcome,
        reason=_reason(random, drained) if outcome is Outcome.MOVED else None,
        last_node=last,
        asked="extender" if last else "",
        created_at=ready - took,
        scheduled_at=ready - took,
        ready_at=ready,
    )


def _reason(random: Random, drained: bool) -> Reason:
    if drained and random.random() < 0.8:
        return Reason.NODE_CORDONED
    return random.choices(list(_REASONS), list(_REASONS.values()))[0]


def _other(random: Random, nodes: int, last: str) -> str:
    """A node other than the last one, the first ones of the pool more often than the others."""
    while True:
        node = f"pool-a-{min(nodes - 1, int(random.expovariate(4 / nodes))):02}.eu-central.example.internal"
        if node != last or nodes == 1:
            return node
