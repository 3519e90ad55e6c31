"""The preference "this pod would like these nodes" as others read it: terms in a pod's spec, and an extender's scores.
Pure.

As terms: one a weight, for all its nodes with a hostname label, and one for each node without, since kube-apiserver
allows a requirement about a field one value (ValidateNodeFieldSelectorRequirement, pkg/apis/core/validation). A node
matches one of them. There are at most 64 nodes, so no more terms, and no more values in all of them.

kube-scheduler's NodeAffinity plugin divides by the largest sum of weights that any feasible node reached, so the
strongest term that is feasible gives its node the full 100, whatever its weight, times the plugin's default weight 2.
As an extender's answer: score x weight x (MaxNodeScore 100 / MaxExtenderPriority 10), that is 10 x 2 x 10. Both are 200
points. Sources, in Kubernetes 1.37.2: pkg/scheduler/schedule_one.go, pkg/scheduler/apis/config/v1/default_plugins.go
and pkg/scheduler/framework/plugins/nodeaffinity.
"""

import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from lastnode.contract import HOSTNAME_LABEL, MAX_LABEL_VALUE, MAX_NODE_NAME, is_hostname_value, is_node_name
from lastnode.ranking import LAST_NODE_WEIGHT, Preferred

# How the term names the node: by its label kubernetes.io/hostname, or by its very name (a field of the node).
Match = Literal["hostname", "name"]
Term = dict[str, Any]

WEIGHT: Final = LAST_NODE_WEIGHT
# What the extender answers for the preferred node: the most that an extender may give (MaxExtenderPriority).
EXTENDER_SCORE: Final = 10
# What the scheduler's configuration must give the extender, so that its answer weighs what the term weighs.
EXTENDER_WEIGHT: Final = 2
POINTS: Final = 200

# kube-scheduler finds and scores this many feasible nodes at least (minFeasibleNodesToFind, schedule_one.go): with no
# more nodes nothing is sampled out.
ALL_SCORED: Final = 100

PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
NODE_NAME_FIELD: Final = "metadata.name"

_NO_NODE_NAME: Final = (
    "{} is not a node name: lower-case letters, digits, '-' and '.', "
    f"at most {MAX_NODE_NAME} characters, each part beginning and ending with a letter or digit"
)
_NO_HOSTNAME: Final = (
    "hostname {} is not a label's value: letters, digits, '-', '_' and '.', "
    f"at most {MAX_LABEL_VALUE} characters, beginning and ending with a letter or digit"
)
_shown = reprlib.Repr()
_shown.maxstring = 80


def term(node: str, *, hostname: str | None = None, weight: int = WEIGHT, match: Match = "hostname") -> Term:
    """The PreferredSchedulingTerm for ``node``, as the API spells it. An empty ``hostname`` counts as none.

    Raises ValueError where the term could do harm: kube-scheduler never schedules a pod with a preferred
    label value that no label can have, and the API server refuses a pod with a field value that no name can
    have. TypeError for arguments of another type.
    """
    check(weight, match)
    _check_text("node", node, is_node_name, _NO_NODE_NAME)
    if hostname:
        _check_text("hostname", hostname, is_hostname_value, _NO_HOSTNAME)
    if match == "name":
        return {"weight": weight, "preference": _by_name([node])}
    if not hostname and not is_hostname_value(node):
        raise ValueError(
            f"node name {_shown.repr(node)} has {len(node)} characters and the label {HOSTNAME_LABEL} holds "
            f'at most {MAX_LABEL_VALUE}: pass the hostname that the label has, or match="name"'
        )
    return {"weight": weight, "preference": _by_hostname([hostname or node])}


def terms(preferred: Sequence[Preferred], match: Match = "hostname") -> list[Term]:
    """The terms for these nodes, strongest first.

    A node whose hostname label is not known, or is none that a label could be, is named by its name, whatever
    ``match`` says: kube-scheduler never schedules a pod with such a value. A hostname that two nodes have counts once.
    """
    hostnames: dict[str, int] = {}
    names: dict[str, int] = {}
    for one in preferred:
        labelled = match == "hostname" and is_hostname_value(one.hostname)
        (hostnames if labelled else names).setdefault(one.hostname if labelled else one.node, one.weight)
    made = []
    for weight in dict.fromkeys(one.weight for one in preferred):
        check(weight, match)
        values = [hostname for hostname, known in hostnames.items() if known == weight]
        made += [{"weight": weight, "preference": _by_hostname(values)}] if values else []
        made += [term(name, weight=weight, match="name") for name, known in names.items() if known == weight]
    return made


def scores(offered: Iterable[Preferred], carried: Collection[str] = ()) -> dict[str, int]:
    """The extender's score of each of these nodes that has one, all of which are offered; every other node has none.

    Relative to the strongest of them, rounded half up, which is what NodeAffinity makes of the terms, as far as the
    steps of an extender's score can say it (20 points). ``offered``: the strongest first, gone through only until one
    is too weak for any score. ``carried``: those that the pod's own terms give their points.
    """
    scored: dict[str, int] = {}
    strongest = 0
    for one in offered:
        strongest = strongest or one.weight
        score = (2 * EXTENDER_SCORE * one.weight + strongest) // (2 * strongest)
        if not score:
            break
        if one.node not in carried:
            scored[one.node] = score
    return scored


def carried(terms: object, preferred: Sequence[Preferred]) -> list[str]:
    """Which of these nodes a pod's terms ask for already, in the order of the terms; in either rendering.

    ``terms``: the list at spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution of the pod, in
    builtins; None where it has none. A term is ours if it has one requirement, a weight that one of these nodes has,
    and none but these nodes: which of the weights was whose may have changed since it was made. Never raises: what is
    no list of terms holds none of ours.
    """
    if not preferred or not terms or not isinstance(terms, list | tuple):
        return []
    known = {
        HOSTNAME_LABEL: {one.hostname: one.node for one in reversed(preferred) if one.hostname},
        NODE_NAME_FIELD: {one.node: one.node for one in preferred},
    }
    weights = {one.weight for one in preferred}
    asked = [asked for found in terms if (asked := _asked(found, weights))]
    nodes = [[known[key].get(value, "") for value in values] for key, values in asked]
    return [*dict.fromkeys(node for term in nodes if all(term) for node in term)]


def carries(terms: object, node: str, hostname: str | None = None, *, weight: int = WEIGHT) -> bool:
    """Whether a pod already asks, with this weight, for this one node; see :func:`carried`.

    ``hostname``: the label that leads to the node; empty where none does, so that only a term with the node's name
    counts; None where that is not known: then the name is taken for the label.
    """
    return bool(carried(terms, [Preferred(node, node if hostname is None else hostname, "", weight)]))


def _asked(found: object, weights: Iterable[int]) -> tuple[str, list[str]] | None:
    """The key and the values of a term with one of these weights and the one requirement "key In values", the key being
    the hostname label or the name's field; None for any other."""
    values = _values_of(found)
    for weight in weights:
        for key, preference in ((HOSTNAME_LABEL, _by_hostname(values)), (NODE_NAME_FIELD, _by_name(values))):
            if values and is_same(found, {"weight": weight, "preference": preference}):
                return key, values
    return None


def _values_of(found: object) -> list[str]:
    """The values of a term's only requirement; empty where it has another shape."""
    preference = found.get("preference") if isinstance(found, Mapping) else None
    parts = _filled(preference).values() if isinstance(preference, Mapping) else ()
    requirements = [each for part in parts if isinstance(part, list) for each in part]
    values = requirements[0].get("values") if len(requirements) == 1 and isinstance(requirements[0], Mapping) else None
    return values if isinstance(values, list) and all(isinstance(value, str) for value in values) else []


def is_same(found: object, ours: Term) -> bool:
    """Whether a pod's term is the one that ``term`` made; lists left empty or null count as left out."""
    if found == ours:
        return True
    if not isinstance(found, Mapping) or found.get("weight") != ours["weight"] or len(found) != len(ours):
        return False
    preference = found.get("preference")
    return isinstance(preference, Mapping) and _filled(preference) == ours["preference"]


def check(weight: int, match: str, what: str = "weight", least: int = 1) -> None:
    """Refuses a weight that the API server would refuse, or an unknown match: ValueError, or TypeError."""
    if not isinstance(weight, int) or isinstance(weight, bool):
        raise TypeError(f"{what} must be an int, not {type(weight).__name__}")
    if not least <= weight <= WEIGHT:
        raise ValueError(f"{what} must be from {least} to {WEIGHT}, not {weight}")
    if match not in ("hostname", "name"):
        raise ValueError(f'match must be "hostname" or "name", not {_shown.repr(match)}')


def _check_text(what: str, text: str, is_valid: Callable[[str], bool], otherwise: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    if not is_valid(text):
        raise ValueError(otherwise.format(_shown.repr(text)))


def _by_hostname(hostnames: list[str]) -> dict[str, Any]:
    return {"matchExpressions": [{"key": HOSTNAME_LABEL, "operator": "In", "values": hostnames}]}


def _by_name(nodes: list[str]) -> dict[str, Any]:
    return {"matchFields": [{"key": NODE_NAME_FIELD, "operator": "In", "values": nodes}]}


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value != []}
