"""The preference "this pod would like these nodes" as others read it: terms in a pod's spec, and an extender's scores.
Pure.

kube-scheduler's NodeAffinity plugin divides by the largest sum of weights that any feasible node reached, so the
strongest term that is feasible gives its node the full 100, whatever its weight, times the plugin's default weight 2.
As an extender's answer: score x weight x (MaxNodeScore 100 / MaxExtenderPriority 10), that is 10 x 2 x 10. Both are 200
points. Sources, in Kubernetes 1.37.2: pkg/scheduler/schedule_one.go, pkg/scheduler/apis/config/v1/default_plugins.go
and pkg/scheduler/framework/plugins/nodeaffinity.
"""

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
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
        return {"weight": weight, "preference": _by_name(node)}
    if not hostname and not is_hostname_value(node):
        raise ValueError(
            f"node name {_shown.repr(node)} has {len(node)} characters and the label {HOSTNAME_LABEL} holds "
            f'at most {MAX_LABEL_VALUE}: pass the hostname that the label has, or match="name"'
        )
    return {"weight": weight, "preference": _by_hostname(hostname or node)}


def terms(preferred: Iterable[Preferred], match: Match = "hostname") -> list[Term]:
    """One term a node. A node whose hostname label is not known is named by its name, whatever ``match`` says: the name
    as a label's value might be one that no label can have."""
    return [
        term(one.node, hostname=one.hostname, weight=one.weight, match=match if one.hostname else "name")
        for one in preferred
    ]


def scores(offered: Sequence[Preferred]) -> dict[str, int]:
    """The extender's score of each of these nodes, all of which are offered; every other node has none.

    Relative to the strongest of them, rounded half up, as NodeAffinity makes of the terms.
    """
    strongest = max((one.weight for one in offered), default=0)
    return {one.node: (2 * EXTENDER_SCORE * one.weight + strongest) // (2 * strongest) for one in offered}


def carries(terms: object, node: str, hostname: str | None = None, *, weight: int = WEIGHT) -> bool:
    """Whether a pod already has this preference: one of its terms is ours for ``node``, in either rendering.

    ``terms``: the list at spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution of the
    pod, in builtins; None where it has none. ``hostname``: the label that leads to the node; empty where none
    does, so that only a term with the node's name counts; None where that is not known: then the name is taken
    for the label. Only a term of this weight with this one requirement counts. Never raises: what is no list of
    terms holds none of ours.
    """
    if not terms or not isinstance(terms, list | tuple):
        return False
    label = node if hostname is None else hostname
    ours = [_by_name(node), *([_by_hostname(label)] if label else [])]
    return any(is_same(found, {"weight": weight, "preference": one}) for found in terms for one in ours)


def is_same(found: object, ours: Term) -> bool:
    """Whether a pod's term is the one that ``term`` made; lists left empty or null count as left out."""
    if found == ours:
        return True
    if not isinstance(found, Mapping) or found.get("weight") != ours["weight"] or len(found) != len(ours):
        return False
    preference = found.get("preference")
    return isinstance(preference, Mapping) and _filled(preference) == ours["preference"]


def check(weight: int, match: str) -> None:
    """Refuses a weight that the API server would refuse, or an unknown match: ValueError, or TypeError."""
    if not isinstance(weight, int) or isinstance(weight, bool):
        raise TypeError(f"weight must be an int, not {type(weight).__name__}")
    if not 1 <= weight <= WEIGHT:
        raise ValueError(f"weight must be from 1 to {WEIGHT}, not {weight}")
    if match not in ("hostname", "name"):
        raise ValueError(f'match must be "hostname" or "name", not {_shown.repr(match)}')


def _check_text(what: str, text: str, is_valid: Callable[[str], bool], otherwise: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    if not is_valid(text):
        raise ValueError(otherwise.format(_shown.repr(text)))


def _by_hostname(hostname: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": HOSTNAME_LABEL, "operator": "In", "values": [hostname]}]}


def _by_name(node: str) -> dict[str, Any]:
    return {"matchFields": [{"key": NODE_NAME_FIELD, "operator": "In", "values": [node]}]}


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None and value != []}
