"""Nodes and pods as far as one decides whether it takes the other: the parts that are read of the API's objects."""

from datetime import datetime
from typing import Final

import msgspec

from lastnode.kube.wire import decode
from lastnode.reading import Part, Status, scheduled_since


class _Metadata(Part):
    name: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: datetime | None = None


class Taint(Part):
    key: str = ""
    value: str = ""
    effect: str = ""


class _NodeSpec(Part):
    taints: list[Taint] | None = None


class _NodeStatus(Part):
    allocatable: dict[str, str] | None = None


class NodeOffer(Part):
    """A node: its labels, taints and allocatable resources."""

    metadata: _Metadata
    spec: _NodeSpec | None = None
    status: _NodeStatus | None = None

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}


class Toleration(Part):
    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class _Resources(Part):
    requests: dict[str, str] | None = None


class Container(Part):
    resources: _Resources | None = None
    restart_policy: str = ""


class Requirement(Part):
    key: str
    operator: str
    values: list[str] | None = None


class Term(Part):
    match_expressions: list[Requirement] | None = None
    match_fields: list[Requirement] | None = None


class _Required(Part):
    node_selector_terms: list[Term] | None = None


class _Preferred(Part):
    preference: Term | None = None


class _NodeAffinity(
    Part,
    rename={
        "required": "requiredDuringSchedulingIgnoredDuringExecution",
        "preferred": "preferredDuringSchedulingIgnoredDuringExecution",
    },
):
    required: _Required | None = None
    preferred: list[_Preferred] | None = None


class _Affinity(Part):
    node_affinity: _NodeAffinity | None = None


class _PodSpec(Part):
    node_selector: dict[str, str] | None = None
    affinity: _Affinity | None = None
    tolerations: list[Toleration] | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    overhead: dict[str, str] | None = None


class PodNeeds(Part):
    """A pod: what it asks of a node, and since when it is on one."""

    metadata: _Metadata
    spec: _PodSpec
    status: Status | None = None

    @property
    def scheduled_at(self) -> datetime | None:
        return scheduled_since(self.status)

    @property
    def node_affinity(self) -> _NodeAffinity:
        return (self.spec.affinity and self.spec.affinity.node_affinity) or _NodeAffinity()


def node_offer(data: bytes | msgspec.Raw) -> NodeOffer:
    """A v1 Node. Like :func:`pod_needs` it raises Undecodable for one of another shape."""
    return decode(_NODE, data)


def pod_needs(data: bytes | msgspec.Raw) -> PodNeeds:
    """A v1 Pod."""
    return decode(_POD, data)


_NODE: Final = msgspec.json.Decoder(NodeOffer)
_POD: Final = msgspec.json.Decoder(PodNeeds)
