"""Why a node could not take a pod, as far as their objects tell: the filters of kube-scheduler that can be read off.

Pure, but for the client library's reader of quantities. Only what moved sessions need: room, taints, node selector and
required node affinity. Ports, volumes, topology and other plugins are not looked at, so None means "as far as can be
seen it could".
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from kubernetes.utils.quantity import parse_quantity

from lastnode.contract import HOSTNAME_LABEL
from lastnode.kube.wire import decode
from lastnode.preference import NODE_NAME_FIELD, PREFERRED
from lastnode.reasons import Reason
from lastnode.status import Part, Status, scheduled_since

# Resource -> amount: as objects spell it, and in its base unit (cores, bytes, pieces; Decimals in truth).
Quantities = dict[str, str]
Amounts = Counter[str]


class _Metadata(Part):
    name: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None


class Taint(Part):
    key: str = ""
    value: str = ""
    effect: str = ""


class Toleration(Taint):
    operator: str = "Equal"


class _Resources(Part):
    requests: Quantities | None = None


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
    Part, rename={"required": "requiredDuringSchedulingIgnoredDuringExecution", "preferred": PREFERRED}
):
    required: _Required | None = None
    preferred: list[_Preferred] | None = None


class _Affinity(Part):
    node_affinity: _NodeAffinity | None = None


class _Spec(Part):
    taints: list[Taint] | None = None
    node_selector: dict[str, str] | None = None
    affinity: _Affinity | None = None
    tolerations: list[Toleration] | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    overhead: Quantities | None = None


class _Status(Status):
    allocatable: Quantities | None = None


class Seen(Part):
    """A node: its labels, taints and room; or a pod: what it asks of a node, and since when it is on one."""

    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status | None = None

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def scheduled_at(self) -> datetime | None:
        return scheduled_since(self.status)

    @property
    def node_affinity(self) -> _NodeAffinity:
        return (self.spec.affinity and self.spec.affinity.node_affinity) or _NodeAffinity()


_SEEN: Final = msgspec.json.Decoder(Seen)


def read(data: bytes | msgspec.Raw) -> Seen:
    """A v1 Node or a v1 Pod.

    :raises Undecodable: it is of another shape.
    """
    return decode(_SEEN, data)


_KEEPS_OUT: Final = ("NoSchedule", "NoExecute")
_A_POD: Final = Amounts({"pods": 1})


def obstacle(pod: Seen, node: Seen, others: Iterable[Seen]) -> Reason | None:
    """What kept ``pod`` off ``node``; None where nothing is seen that did. ``others``: the pods on that node.

    :raises ValueError: a quantity that cannot be read.
    """
    if not _selects(pod, node):
        return Reason.PINNED
    if not _tolerates(pod, node):
        return Reason.TAINTED
    return None if _fits(pod, node, others) else Reason.NO_ROOM


def asks_for(pod: Seen, node: str, hostname: str) -> bool:
    """Whether a preferred term of the pod leads to this node, whatever its weight: by its name, or by the ``hostname``
    label that only this node has, empty where there is none."""
    terms = [each.preference for each in pod.node_affinity.preferred or () if each.preference]
    found = [each for term in terms for each in (*(term.match_expressions or ()), *(term.match_fields or ()))]
    asked = {(each.key, value) for each in found if each.operator == "In" for value in each.values or ()}
    return not asked.isdisjoint({(HOSTNAME_LABEL, hostname or None), (NODE_NAME_FIELD, node)})


def _selects(pod: Seen, node: Seen) -> bool:
    labels = node.labels
    if any(labels.get(key) != value for key, value in (pod.spec.node_selector or {}).items()):
        return False
    required = pod.node_affinity.required
    return required is None or any(_matches(term, node) for term in required.node_selector_terms or ())


def _matches(term: Term, node: Seen) -> bool:
    """All requirements of a term; a term without any matches no node (component-helpers, nodeaffinity.go)."""
    expressions, fields = term.match_expressions or [], term.match_fields or []
    if not expressions and not fields:
        return False
    name = {NODE_NAME_FIELD: node.metadata.name}
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


def _tolerates(pod: Seen, node: Seen) -> bool:
    taints = [taint for taint in node.spec.taints or () if taint.effect in _KEEPS_OUT]
    return all(any(_tolerated(taint, t) for t in pod.spec.tolerations or ()) for taint in taints)


def _tolerated(taint: Taint, by: Toleration) -> bool:
    if by.effect not in ("", taint.effect) or by.key not in ("", taint.key):
        return False
    # An empty key with Exists tolerates everything; with Equal it is no valid toleration.
    return by.operator == "Exists" or (bool(by.key) and by.value == taint.value)


def _fits(pod: Seen, node: Seen, others: Iterable[Seen]) -> bool:
    """NodeResourcesFit: what is requested, ours included, against what is allocatable. Pods that were scheduled later
    than ours, and ours itself, had no part in it."""
    allocatable = _amounts((node.status or _Status()).allocatable)
    if not allocatable:
        return True  # nothing is known of its room
    before = (other for other in others if _was_before(other, pod))
    taken = sum((requests(other) + _A_POD for other in before), Amounts())
    return all(taken[name] + amount <= allocatable[name] for name, amount in (requests(pod) + _A_POD).items())


def _was_before(other: Seen, pod: Seen) -> bool:
    if other.metadata.uid == pod.metadata.uid:
        return False
    return not (other.scheduled_at and pod.scheduled_at) or other.scheduled_at <= pod.scheduled_at


def requests(pod: Seen) -> Amounts:
    """What the scheduler reserves for a pod: its containers and sidecars together, or the largest moment of its init
    containers where that is more, and the overhead (component-helpers, resource/helpers.go)."""
    started = Amounts()  # sidecars that run beside the init containers that follow them
    peak = Amounts()
    for init in pod.spec.init_containers or ():
        if init.restart_policy == "Always":
            started += _sum([init])
            peak |= started
        else:
            peak |= started + _sum([init])
    return ((_sum(pod.spec.containers or ()) + started) | peak) + _amounts(pod.spec.overhead)


def _sum(containers: Iterable[Container]) -> Amounts:
    return sum((_amounts((each.resources or _Resources()).requests) for each in containers), Amounts())


def _amounts(quantities: Quantities | None) -> Amounts:
    return Amounts({name: parse_quantity(text) for name, text in (quantities or {}).items()})  # type: ignore[no-untyped-call]
