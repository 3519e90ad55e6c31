"""What a workload's annotations say and nobody heeds: the programs pass it over, people should be told. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from lastnode.contract import (
    CACHE_GROUP,
    LAST_NODE,
    MAX_RECENT_NODES_BYTES,
    MOST_WEIGHT,
    OLDER_WEIGHT,
    RECENT_NODES,
    STICKINESS,
    STICKINESS_ENABLED,
    group_name,
    is_node_name,
    weight_of,
)
from lastnode.kinds import Kind
from lastnode.memory import parse_text

# Who writes these means what happens: nothing.
_OFF: Final = ("", "disabled", "false", "off", "no")
_SHOWN: Final = 40


def ignored(kind: Kind, annotations: Mapping[str, str | None], *, sticky: bool) -> tuple[str, ...]:
    """A sentence for each such annotation of a workload; ``sticky``: whether it has opted in. What is empty says
    nothing."""
    said = {name: annotations.get(kind.annotation(name)) or "" for name in (STICKINESS, *_WRONG)}
    if not sticky:
        found = _opt_in(said[STICKINESS])
        return (f"{kind.annotation(STICKINESS)} is {found}",) if found else ()
    return tuple(f"{kind.annotation(name)} is {text}" for name, text in _texts(said))


def _opt_in(text: str) -> str:
    if text == STICKINESS_ENABLED or text.lower() in _OFF:
        return ""
    return f"{_cut(text)}; only {STICKINESS_ENABLED!r} counts"


def _texts(said: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, (fits, wanted) in _WRONG.items():
        if said[name] and not fits(said[name]):
            yield name, f"{_cut(said[name])}; {wanted}"


def _is_memory(text: str) -> bool:
    return "".join(text.split()) == "[]" or bool(parse_text(None, text))


def _cut(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


# By name: what fits, and what is said of all else.
_WRONG: Final = {
    LAST_NODE: (is_node_name, "no node is called so"),
    RECENT_NODES: (
        _is_memory,
        f"no list of placements of at most {MAX_RECENT_NODES_BYTES} bytes: the next session replaces it",
    ),
    OLDER_WEIGHT: (lambda text: weight_of(text) is not None, f"a whole number from 0 to {MOST_WEIGHT} would count"),
    CACHE_GROUP: (lambda text: group_name(text) is not None, "only what a label's value can be counts"),
}
