"""Why a node could not take a pod, as far as their objects tell: the filters of kube-scheduler that can be read off.

Pure, but for the client library's reader of quantities. Only what moved sessions need: room, taints, node selector and
required node affinity. Ports, volumes, topology and other plugins are not looked at, so None means "as far as can be
seen it could".
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from kubernetes.utils.quantity import parse_quantity

from lastnode.contract import HOSTNAME_LABEL
from lastnode.kube.wire import decode
from lastnode.reasons import Reason
from lastnode.status import Part, Status, scheduled_since


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


_KEEPS_OUT: Final = ("NoSchedule", "NoExecute")
_NODE_NAME_FIELD: Final = "metadata.name"
_ONE: Final = Decimal(1)
_NONE: Final = Decimal(0)

# Resource -> amount, in its base unit (cores, bytes, pieces).
Amounts = dict[str, Decimal]


def obstacle(pod: PodNeeds, node: NodeOffer, others: Iterable[PodNeeds]) -> Reason | None:
    """What kept ``pod`` off ``node``; None where nothing is seen that did. ``others``: the pods on that node.

    :raises ValueError: a quantity that cannot be read.
    """
    if not _selects(pod, node):
        return Reason.PINNED
    if not _tolerates(pod, node):
        return Reason.TAINTED
    return None if _fits(pod, node, others) else Reason.NO_ROOM


def asks_for(pod: PodNeeds, node: str, hostname: str) -> bool:
    """Whether a preferred term of the pod names this node, by its hostname label or its name, whatever its weight."""
    terms = [each.preference for each in pod.node_affinity.preferred or () if each.preference]
    wanted = [(e.key, e.operator, e.values) for term in terms for e in term.match_expressions or ()]
    wanted += [(e.key, e.operator, e.values) for term in terms for e in term.match_fields or ()]
    return (HOSTNAME_LABEL, "In", [hostname or node]) in wanted or (_NODE_NAME_FIELD, "In", [node]) in wanted


def _selects(pod: PodNeeds, node: NodeOffer) -> bool:
    labels = node.labels
    if any(labels.get(key) != value for key, value in (pod.spec.node_selector or {}).items()):
        return False
    required = pod.node_affinity.required
    return required is None or any(_matches(term, node) for term in required.node_selector_terms or ())


def _matches(term: Term, node: NodeOffer) -> bool:
    """All requirements of a term; a term without any matches no node (component-helpers, nodeaffinity.go)."""
    expressions, fields = term.match_expressions or [], term.match_fields or []
    if not expressions and not fields:
        return False
    name = {_NODE_NAME_FIELD: node.metadata.name}
    return all(_meets(e, node.labels) for e in expressions) and all(_meets(f, name) for f in fields)


def _meets(requirement: Requirement, labels: dict[str, str]) -> bool:
    value, values = labels.get(requirement.key), requirement.values or []
    match requirement.operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(value, operator, values)
    return False


def _compares(value: str | None, operator: str, values: list[str]) -> bool:
    try:
        left, right = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return left > right if operator == "Gt" else left < right


def _tolerates(pod: PodNeeds, node: NodeOffer) -> bool:
    taints = [taint for taint in (node.spec and node.spec.taints) or () if taint.effect in _KEEPS_OUT]
    return all(any(_tolerated(taint, t) for t in pod.spec.tolerations or ()) for taint in taints)


def _tolerated(taint: Taint, by: Toleration) -> bool:
    if by.effect not in ("", taint.effect) or by.key not in ("", taint.key):
        return False
    # An empty key with Exists tolerates everything; with Equal it is no valid toleration.
    return by.operator == "Exists" or (bool(by.key) and by.value == taint.value)


def _fits(pod: PodNeeds, node: NodeOffer, others: Iterable[PodNeeds]) -> bool:
    """NodeResourcesFit: what is requested, ours included, against what is allocatable. Pods that were scheduled later
    than ours, and ours itself, had no part in it."""
    allocatable = _amounts((node.status and node.status.allocatable) or {})
    if not allocatable:
        return True  # nothing is known of its room
    before = [other for other in others if _was_before(other, pod)]
    needed = {name: amount for name, amount in requests(pod).items() if amount > 0} | {"pods": _ONE}
    taken = [requests(other) | {"pods": _ONE} for other in before]
    return all(
        sum((other.get(name, _NONE) for other in taken), amount) <= allocatable.get(name, _NONE)
        for name, amount in needed.items()
    )


def _was_before(other: PodNeeds, pod: PodNeeds) -> bool:
    if other.metadata.uid == pod.metadata.uid:
        return False
    return not (other.scheduled_at and pod.scheduled_at) or other.scheduled_at <= pod.scheduled_at


def requests(pod: PodNeeds) -> Amounts:
    """What the scheduler reserves for a pod: its containers and sidecars together, or the largest moment of its init
    containers where that is more, and the overhead (component-helpers, resource/helpers.go)."""
    running = _sum(pod.spec.containers or ())
    started: Amounts = {}  # sidecars that run beside the init containers that follow them
    peak: Amounts = {}
    for init in pod.spec.init_containers or ():
        own = _sum([init])
        if init.restart_policy == "Always":
            started = _plus(started, own)
            peak = _max(peak, started)
        else:
            peak = _max(peak, _plus(started, own))
    return _plus(_max(_plus(running, started), peak), _amounts(pod.spec.overhead or {}))


def _sum(containers: Iterable[Container]) -> Amounts:
    total: Amounts = {}
    for container in containers:
        total = _plus(total, _amounts((container.resources and container.resources.requests) or {}))
    return total


def _amounts(quantities: dict[str, str]) -> Amounts:
    return {name: parse_quantity(quantity) for name, quantity in quantities.items()}  # type: ignore[no-untyped-call]


def _plus(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, _NONE) + other.get(name, _NONE) for name in one.keys() | other.keys()}


def _max(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, _NONE), other.get(name, _NONE)) for name in one.keys() | other.keys()}
