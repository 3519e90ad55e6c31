"""Puts the preference into a pod's spec, before the pod is created. Pure: data in, new data out.

A pod's own affinity is the user's: it is kept as it is, never edited, merged into or tidied up. Only the
objects on the way to the new term are copied; the result shares everything else with its input.
"""

import copy
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from lastnode.contract import DEFAULT_GROUP_WEIGHT, DEFAULT_MEMORY_TTL_SECONDS, DEFAULT_OLDER_WEIGHT
from lastnode.groups import newest_of
from lastnode.nodes import unmistakable
from lastnode.objects import Node
from lastnode.preference import PREFERRED, WEIGHT, Match, Term, check, is_same, term, terms
from lastnode.ranking import Weights, rank
from lastnode.workload import read

if TYPE_CHECKING:
    from kubernetes.client import V1PodSpec

PodSpec = TypeVar("PodSpec", bound="dict[str, Any] | V1PodSpec")

_Part = TypeVar("_Part")

_NODE_AFFINITY = "pod_spec.affinity.nodeAffinity"
_TYPED = "preferred_during_scheduling_ignored_during_execution"
_TYPED_PATH = f"pod_spec.affinity.node_affinity.{_TYPED}"


def prefer_node(
    pod_spec: PodSpec,
    node: str,
    *,
    hostname: str | None = None,
    weight: int = WEIGHT,
    match: Match = "hostname",
) -> PodSpec:
    """A pod spec like ``pod_spec`` that prefers ``node``; ``pod_spec`` itself is never changed.

    ``pod_spec``: a dict with the API's field names, or a ``kubernetes.client.V1PodSpec``; the same type comes
    back. ``hostname``: the node's kubernetes.io/hostname label, where it differs from the name. ``weight``: 1
    to 100. ``match``: "hostname" prefers by that label, "name" by the node's name (a matchFields term).

    The very same object comes back where there is nothing to do: nodeName is set, or the same term (this
    weight, this one requirement) is there already.

    Raises ValueError for a name that no node or a value that no label can have, for a weight out of range and
    for an unknown match; TypeError for wrong types, naming the path.
    """
    _check_pod_spec(pod_spec)
    return with_terms(pod_spec, [term(node, hostname=hostname, weight=weight, match=match)])


def prefer_last_node(
    pod_spec: PodSpec,
    workload: Mapping[str, Any],
    *,
    now: datetime | None = None,
    ttl: float = DEFAULT_MEMORY_TTL_SECONDS,
    nodes: Mapping[str, Node] | None = None,
    relatives: Iterable[Mapping[str, Any]] = (),
    weight: int = WEIGHT,
    older_weight: int = DEFAULT_OLDER_WEIGHT,
    group_weight: int = DEFAULT_GROUP_WEIGHT,
    match: Match = "hostname",
) -> PodSpec:
    """A pod spec like ``pod_spec`` that prefers the nodes where the workload's sessions ran, the last one most.

    ``workload``: an AgentRuntime, CodeInterpreter or other configured kind, as the API server returns it.
    ``now``: with a time zone; the current time by default. ``ttl``: for how long a placement counts, in
    seconds from its readyAt; 0 for ever. ``nodes``: every node of the cluster by name; without them age alone
    decides, and the node named may be gone, which does no harm. ``relatives``: workloads, of which those of the same
    cache group count. ``weight``: of the last node; ``older_weight``: of the others, unless the workload's own
    annotation says another; ``group_weight``: of those of its relatives. 0: not at all; never more than ``weight``.
    ``match``: as for ``prefer_node``, but a node whose hostname label is not known, or that another one has too, is
    always preferred by its name.

    The very same object comes back where there is no preference: the workload has not opted in, its pods come
    from a warm pool, it remembers no valid node, or for one of the reasons that ``prefer_node`` has.

    Raises what ``prefer_node`` raises, and TypeError or ValueError for a workload of wrong shape, naming it
    and the path.
    """
    _check_pod_spec(pod_spec)
    check(weight, match)
    check(older_weight, match, "older_weight", least=0)
    check(group_weight, match, "group_weight", least=0)
    _check_circumstances(now, ttl, nodes)
    told = read(workload)
    others = [each.memory for each in map(read, relatives) if told.group and each.group == told.group]
    weights = Weights(weight, older_weight, group_weight).of_a_workload(told.older_weight)
    preference = rank(
        told.memory, now=now or datetime.now(UTC), ttl=ttl, nodes=None if nodes is None else unmistakable(nodes),
        relatives=newest_of(others), weights=weights,
    )  # fmt: skip
    return with_terms(pod_spec, terms(preference.nodes, match))


def with_terms(pod_spec: PodSpec, wanted: Sequence[Term]) -> PodSpec:
    """The spec with these preferred terms appended; the very same object where it has them all, or is bound.

    Raises TypeError, naming the path, where the spec has another shape than a pod's.
    """
    if not wanted:
        return pod_spec
    if isinstance(pod_spec, dict):
        return cast("PodSpec", _to_dict(pod_spec, wanted))
    return cast("PodSpec", _to_typed(pod_spec, wanted))


def _to_dict(pod_spec: dict[str, Any], wanted: Sequence[Term]) -> dict[str, Any]:
    if pod_spec.get("nodeName"):
        return pod_spec
    affinity = _part(pod_spec.get("affinity"), dict, "pod_spec.affinity")
    node_affinity = _part(affinity.get("nodeAffinity"), dict, _NODE_AFFINITY)
    found = _part(node_affinity.get(PREFERRED), list, f"{_NODE_AFFINITY}.{PREFERRED}")
    for index, one in enumerate(found):
        _checked(one, dict, f"{_NODE_AFFINITY}.{PREFERRED}[{index}]")
    missing = _missing(wanted, found)
    if not missing:
        return pod_spec
    preferring, affinity, node_affinity = copy.copy(pod_spec), copy.copy(affinity), copy.copy(node_affinity)
    node_affinity[PREFERRED] = found + missing
    affinity["nodeAffinity"] = node_affinity
    preferring["affinity"] = affinity
    return preferring


def _to_typed(pod_spec: "V1PodSpec", wanted: Sequence[Term]) -> "V1PodSpec":
    # Not before: whoever uses dicts needs no Kubernetes client.
    from kubernetes.client import V1Affinity, V1NodeAffinity, V1PreferredSchedulingTerm

    if pod_spec.node_name:
        return pod_spec
    affinity = _part(pod_spec.affinity, V1Affinity, "pod_spec.affinity")
    node_affinity = _part(affinity.node_affinity, V1NodeAffinity, "pod_spec.affinity.node_affinity")
    found: list[Any] = _part(getattr(node_affinity, _TYPED), list, _TYPED_PATH)
    dicts = [
        _part(one, V1PreferredSchedulingTerm, f"{_TYPED_PATH}[{index}]").to_dict(serialize=True)
        for index, one in enumerate(found)
    ]
    missing = _missing(wanted, dicts)
    if not missing:
        return pod_spec
    new = [*found, *map(V1PreferredSchedulingTerm.from_dict, missing)]
    # model_copy copies one level and validates nothing: whatever the user's part holds stays as it is.
    node_affinity = node_affinity.model_copy(update={_TYPED: new})
    affinity = affinity.model_copy(update={"node_affinity": node_affinity})
    return pod_spec.model_copy(update={"affinity": affinity})


def _missing(wanted: Sequence[Term], found: Sequence[object]) -> list[Term]:
    return [each for each in wanted if not any(is_same(one, each) for one in found)]


def _part(value: object, kind: type[_Part], path: str) -> _Part:
    """A part of the spec; an empty one where it is absent or null."""
    return kind() if value is None else _checked(value, kind, path)


def _checked(value: object, kind: type[_Part], path: str) -> _Part:
    if not isinstance(value, kind):
        raise TypeError(f"{path} must be a {kind.__name__}, not a {type(value).__name__}")
    return value


def _check_pod_spec(pod_spec: object) -> None:
    if isinstance(pod_spec, dict):
        if "spec" in pod_spec:
            raise TypeError("pod_spec has a field spec: pass the pod's spec, not the object around it")
        return
    # A V1PodSpec can exist only where the client is imported already: so this never has to import it.
    client = sys.modules.get("kubernetes.client")
    if client is None or not isinstance(pod_spec, client.V1PodSpec):
        given = type(pod_spec)
        name = given.__qualname__ if given.__module__ == "builtins" else f"{given.__module__}.{given.__qualname__}"
        raise TypeError(f"pod_spec must be a dict or a kubernetes.client.V1PodSpec, not a {name}")


def _check_circumstances(now: datetime | None, ttl: float, nodes: object) -> None:
    if now is not None and not isinstance(now, datetime):
        raise TypeError(f"now must be a datetime, not a {type(now).__name__}")
    if now is not None and now.tzinfo is None:
        raise ValueError("now must have a time zone, as datetime.now(UTC) has")
    if not isinstance(ttl, int | float) or isinstance(ttl, bool):
        raise TypeError(f"ttl must be a number of seconds, not a {type(ttl).__name__}")
    if not ttl >= 0:
        raise ValueError(f"ttl must be 0 seconds or more, not {ttl}")
    if nodes is not None and not isinstance(nodes, Mapping):
        raise TypeError(f"nodes must be a mapping of names to nodes, not a {type(nodes).__name__}")
