"""The lease that says which replica writes: its form on the wire, and what to do with what one sees. Pure.

The rules are those of client-go's leaderelection: never trust another machine's clock, so a lease counts as held for
its duration after *we* last saw it change.
"""

from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, NamedTuple

import msgspec

from lastnode.kube.wire import decode


class Timing(NamedTuple):
    """Seconds. ``duration``: how long a silent holder keeps the lease. ``deadline``: a holder that could not renew for
    this long stops writing; it must be below ``duration``, and the difference is what clocks may drift apart.
    ``renew``: between a holder's renewals. ``retry``: between looks at another's lease, so a released one is taken
    within it.
    """

    duration: float = 15.0
    deadline: float = 10.0
    renew: float = 2.0
    retry: float = 1.0

    @classmethod
    def of(cls, duration: float) -> "Timing":
        """The usual proportions (15, 10, 2, 1) for another duration; renewed twice a minute however long it is, so that
        an elector that does not move is told from one that waits."""
        return cls(duration, duration * 2 / 3, min(30.0, duration * 2 / 15), min(1.0, duration / 15))


class Step(Enum):
    """What a replica does after a look at the lease."""

    CREATE = "create"  # there is none
    TAKE = "take"  # it is free, or its holder was silent for too long
    RENEW = "renew"  # it is ours
    WAIT = "wait"  # it is another's


class _Meta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Spec(msgspec.Struct, rename="camel"):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(msgspec.Struct):
    """A coordination.k8s.io/v1 Lease as far as it matters here."""

    metadata: _Meta
    spec: _Spec = msgspec.field(default_factory=_Spec)

    @property
    def holder(self) -> str:
        """Who holds it; empty when it was released."""
        return self.spec.holder_identity or ""


def read(data: bytes) -> Lease:
    """:raises Undecodable: the bytes are no Lease."""
    return decode(_LEASE, data, "the lease")


def next_step(lease: Lease | None, seen_for: float, identity: str, timing: Timing) -> Step:
    """``seen_for``: seconds since this replica first saw the lease in just this version."""
    if lease is None:
        return Step.CREATE
    if lease.holder == identity:
        return Step.RENEW
    duration = lease.spec.lease_duration_seconds or timing.duration
    return Step.TAKE if not lease.holder or seen_for >= duration else Step.WAIT


def held(
    name: str, namespace: str, lease: Lease | None, identity: str, now: datetime, timing: Timing
) -> dict[str, Any]:
    """The object that makes ``identity`` the holder, or renews it; only onto the version that was seen."""
    ours = lease is not None and lease.holder == identity
    before = lease.spec if lease is not None else _Spec()
    stamp = _micro_time(now)
    spec = {
        "holderIdentity": identity,
        "leaseDurationSeconds": max(1, round(timing.duration)),
        "acquireTime": before.acquire_time if ours else stamp,
        "renewTime": stamp,
        "leaseTransitions": (before.lease_transitions or 0) + (lease is not None and not ours),
    }
    metadata = {"name": name, "namespace": namespace}
    if lease is not None:
        metadata["resourceVersion"] = lease.metadata.resource_version
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def released(name: str, namespace: str, lease: Lease, now: datetime) -> dict[str, Any]:
    """The object that lets the next replica take over at once."""
    ours = held(name, namespace, lease, lease.holder, now, Timing(duration=1))
    return ours | {"spec": ours["spec"] | {"holderIdentity": ""}}


def _micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


_LEASE: Final = msgspec.json.Decoder(Lease)
