"""The injector for the Kubernetes client's own objects. Imported only once such an object is given."""

from typing import Any, TypeVar

from kubernetes.client import V1Affinity, V1NodeAffinity, V1PodSpec, V1PreferredSchedulingTerm

from lastnode.preference import Term, is_same

_Part = TypeVar("_Part")

_NODE_AFFINITY = "pod_spec.affinity.node_affinity"
_TERMS = f"{_NODE_AFFINITY}.preferred_during_scheduling_ignored_during_execution"


def with_term(pod_spec: V1PodSpec, wanted: Term) -> V1PodSpec:
    """The spec with one more preferred term; the same object if it is bound already or has that very term."""
    if pod_spec.node_name:
        return pod_spec
    affinity = _part(pod_spec.affinity, V1Affinity, "pod_spec.affinity")
    node_affinity = _part(affinity.node_affinity, V1NodeAffinity, _NODE_AFFINITY)
    terms: list[Any] = _part(node_affinity.preferred_during_scheduling_ignored_during_execution, list, _TERMS)
    for index, found in enumerate(terms):
        if is_same(_part(found, V1PreferredSchedulingTerm, f"{_TERMS}[{index}]").to_dict(serialize=True), wanted):
            return pod_spec
    new = [*terms, V1PreferredSchedulingTerm.from_dict(wanted)]
    # model_copy copies one level and validates nothing: whatever the user's part holds stays as it is.
    node_affinity = node_affinity.model_copy(update={"preferred_during_scheduling_ignored_during_execution": new})
    affinity = affinity.model_copy(update={"node_affinity": node_affinity})
    return pod_spec.model_copy(update={"affinity": affinity})


def _part(value: object, kind: type[_Part], path: str) -> _Part:
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise TypeError(f"{path} must be a {kind.__name__}, not {type(value).__name__}")
    return value
