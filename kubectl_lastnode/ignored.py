"""What a workload's annotations say and nobody heeds: the programs pass it over, people should be told. Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from lastnode import contract
from lastnode.kinds import Kind
from lastnode.memory import parse_text

_SHOWN: Final = 40
# By name: what counts, or means what happens all the same, and what is said of all else.
_HEEDED: Final[Mapping[str, tuple[Callable[[str], object], str]]] = {
    contract.STICKINESS: (
        lambda text: text == contract.STICKINESS_ENABLED or text.lower() in ("disabled", "false", "off", "no"),
        f"only {contract.STICKINESS_ENABLED!r} counts",
    ),
    contract.LAST_NODE: (contract.is_node_name, "no node is called so"),
    contract.RECENT_NODES: (
        lambda text: "".join(text.split()) == "[]" or parse_text(None, text),
        f"no list of placements of at most {contract.MAX_RECENT_NODES_BYTES} bytes: the next session replaces it",
    ),
    contract.OLDER_WEIGHT: (lambda text: contract.weight_of(text) is not None, "a whole number up to 100 would count"),
    contract.CACHE_GROUP: (contract.group_name, "only what a label's value can be counts"),
}


def ignored(kind: Kind, annotations: Mapping[str, str | None], *, sticky: bool) -> tuple[str, ...]:
    """A sentence for each such annotation of a workload; ``sticky``: whether it has opted in. What is empty says
    nothing."""
    names = {kind.annotation(name): how for name, how in _HEEDED.items() if (name == contract.STICKINESS) is not sticky}
    said = ((name, annotations.get(name), *how) for name, how in names.items())
    return tuple(f"{name} is {_cut(text)}; {told}" for name, text, counts, told in said if text and not counts(text))


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
