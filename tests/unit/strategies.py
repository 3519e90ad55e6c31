"""Generated inputs: names, memories, and pod specs that hold all that users write into an affinity.

Every pod spec made here is one that the API server accepts, so that tests can create the pods as well.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from lastnode.contract import HOSTNAME_LABEL
from lastnode.memory import Entry
from lastnode.preference import PREFERRED
from lastnode.status import EARLIEST

NODE = "node-1"
OTHER_NODE = "node-2"

_LABEL_KEYS = [HOSTNAME_LABEL, "topology.kubernetes.io/zone", "example.com/pool", "disk"]

_dns_labels = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)


@st.composite
def node_names(draw: st.DrawFn, min_size: int = 1, max_size: int = 253) -> str:
    """Names that a node may have, of ``min_size`` to ``max_size`` characters."""
    size = draw(st.integers(min_size, max_size))
    text = ".".join(draw(st.lists(_dns_labels, min_size=1, max_size=24)))
    # Cut or filled up to its size; a cut may have left a separator at the end.
    return text[: size - 1].ljust(size - 1, "x") + "z" if size > 1 else "z"


@st.composite
def requirements(draw: st.DrawFn) -> dict[str, Any]:
    """One of the requirements a user writes about a node's labels."""
    operator = draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]))
    requirement: dict[str, Any] = {"key": draw(st.sampled_from(_LABEL_KEYS)), "operator": operator}
    if operator in ("In", "NotIn"):
        values = st.sampled_from([NODE, OTHER_NODE]) | label_values
        requirement["values"] = draw(st.lists(values, min_size=1, max_size=3))
    elif operator in ("Gt", "Lt"):
        requirement["values"] = [str(draw(st.integers(0, 1000)))]
    return requirement


field_requirements = st.builds(
    lambda operator, name: {"key": "metadata.name", "operator": operator, "values": [name]},
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from([NODE, OTHER_NODE]),
)

selector_terms = st.builds(
    lambda labels, fields: {
        **({"matchExpressions": labels} if labels else {}),
        **({"matchFields": fields} if fields else {}),
    },
    st.lists(requirements(), max_size=3),
    st.lists(field_requirements, max_size=1),
)

weights = st.sampled_from([1, 50, 99, 100]) | st.integers(1, 100)


# The preference for NODE in its two renderings.
OURS: list[dict[str, Any]] = [
    {
        "weight": 100,
        "preference": {"matchExpressions": [{"key": HOSTNAME_LABEL, "operator": "In", "values": [NODE]}]},
    },
    {
        "weight": 100,
        "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [NODE]}]},
    },
]

_LABELLED = OURS[0]["preference"]["matchExpressions"][0]

# Terms of the user's own that look like ours and are not.
NEAR_MISSES: list[dict[str, Any]] = [
    {"weight": 99, "preference": {"matchExpressions": [_LABELLED]}},
    {"weight": 100, "preference": {"matchExpressions": [_LABELLED, {"key": "disk", "operator": "Exists"}]}},
    {"weight": 100, "preference": {"matchExpressions": [_LABELLED, _LABELLED]}},
    {"weight": 100, "preference": {"matchExpressions": [{**_LABELLED, "values": [NODE, OTHER_NODE]}]}},
    {"weight": 100, "preference": {"matchExpressions": [{**_LABELLED, "values": [OTHER_NODE]}]}},
    {"weight": 100, "preference": {"matchExpressions": [{**_LABELLED, "operator": "NotIn"}]}},
    {"weight": 100, "preference": {"matchExpressions": [{**_LABELLED, "key": "disk"}]}},
    {"weight": 100, "preference": {**OURS[0]["preference"], **OURS[1]["preference"]}},
]

preferred_terms = st.sampled_from(NEAR_MISSES) | st.builds(
    lambda weight, preference: {"weight": weight, "preference": preference}, weights, selector_terms
).filter(lambda made: made not in OURS)

required_node_terms = st.builds(
    lambda terms: {"nodeSelectorTerms": terms}, st.lists(selector_terms, min_size=1, max_size=3)
)

_pod_terms = st.builds(
    lambda value, key: {"labelSelector": {"matchLabels": {"app": value}}, "topologyKey": key},
    label_values,
    st.sampled_from(_LABEL_KEYS),
)

_pod_affinities = st.fixed_dictionaries(
    {},
    optional={
        "requiredDuringSchedulingIgnoredDuringExecution": st.lists(_pod_terms, max_size=2),
        PREFERRED: st.lists(
            st.builds(lambda weight, pod: {"weight": weight, "podAffinityTerm": pod}, weights, _pod_terms),
            max_size=2,
        ),
    },
)


def _optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    # Null is a way to leave a field out: clients that write every field of theirs do it.
    return st.none() | strategy


def node_affinities(terms: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A nodeAffinity whose preferred terms are drawn from ``terms``."""
    return st.fixed_dictionaries(
        {},
        optional={
            "requiredDuringSchedulingIgnoredDuringExecution": _optional(required_node_terms),
            PREFERRED: _optional(st.lists(terms, max_size=4)),
        },
    )


def pod_specs(
    terms: st.SearchStrategy[dict[str, Any]] = preferred_terms,
) -> st.SearchStrategy[dict[str, Any]]:
    """Specs of pods not bound yet, in the API's spelling; preferred node terms are drawn from ``terms``.

    None of the default terms is the preference for NODE: ``st.sampled_from(OURS)`` makes those that have it.
    """
    affinities = st.fixed_dictionaries(
        {},
        optional={
            "nodeAffinity": _optional(node_affinities(terms)),
            "podAffinity": _optional(_pod_affinities),
            "podAntiAffinity": _optional(_pod_affinities),
        },
    )
    containers = st.lists(st.sampled_from(["runtime", "proxy", "logs"]), min_size=1, max_size=3, unique=True).map(
        lambda names: [{"name": name, "image": f"registry.example/{name}:1"} for name in names]
    )
    return st.fixed_dictionaries(
        {"containers": containers},
        optional={
            "affinity": _optional(affinities),
            "nodeName": st.sampled_from([None, ""]),
            "nodeSelector": _optional(st.dictionaries(st.sampled_from(_LABEL_KEYS), label_values, max_size=2)),
            "tolerations": _optional(st.just([{"key": "sandbox", "operator": "Exists", "effect": "NoSchedule"}])),
            "terminationGracePeriodSeconds": st.integers(0, 60),
            "schedulerName": st.sampled_from(["default-scheduler", "sticky"]),
        },
    )


# Few of each, so that entries meet: of the same node, the same instant, or the same session.
_INSTANTS = [
    EARLIEST,
    *(datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=second) for second in range(8)),
]

entries = st.builds(
    Entry,
    node=st.sampled_from([f"node-{number}" for number in range(8)]),
    hostname=st.sampled_from(["", "host-a", "host-b"]),
    node_uid=st.sampled_from(["", "uid-1", "uid-2"]),
    ready_at=st.none() | st.sampled_from(_INSTANTS),
    pod_uid=st.sampled_from(["", "pod-1", "pod-2"]),
)
