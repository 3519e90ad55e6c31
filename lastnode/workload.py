"""Reads from a workload object, as the API server returns it, what the injector must know. Pure.

Users of the library hand these objects over: whatever has the wrong shape is named, and the workload it is
in.
"""

import reprlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

from lastnode.contract import CACHE_GROUP, OLDER_WEIGHT, STICKINESS, group_name, weight_of
from lastnode.groups import Group
from lastnode.kinds import kind_named
from lastnode.memory import Memory, parse

_Value = TypeVar("_Value")

# A field's type -> what a message calls it.
_CALLED: Final[Mapping[type[Any], str]] = {
    Mapping: "an object",
    str: "a string",
    bool: "true or false",
    int: "a whole number",
}

_shown = reprlib.Repr()
_shown.maxstring = 80


class Told(NamedTuple):
    """What a workload says of its next session: its ``memory``, how much its older nodes weigh, None: as usual, and its
    cache group, None where it has none."""

    memory: Memory = ()
    older_weight: int | None = None
    group: Group | None = None


def read(workload: Mapping[str, Any]) -> Told:
    """What a workload says; nothing where it has not opted in, or to no effect. Fields that are absent or null are
    off or empty.

    Raises TypeError for a field of the wrong type and ValueError for a missing kind, in one line: it begins
    with the workload ("AgentRuntime demo/a: ", or as much of that as is known) and names the path.
    """
    if not isinstance(workload, Mapping):
        raise TypeError(f"workload must be an object as the API server returns it, not {_described(workload)}")
    whole = _Part(_title(workload), "", workload)
    name = whole.field("kind", str)
    if not name:
        raise ValueError(f"{whole.title}: kind is missing")
    kind = kind_named(name)
    spec = whole.part("spec")
    enabled = spec.part("nodeStickiness").field("enabled", bool)
    # Only a kind with pools gives the field a meaning here: another kind may use the name as it likes.
    warm_pool_size = spec.field("warmPoolSize", int) if kind.pooled else None
    metadata = whole.part("metadata")
    annotations = _checked_annotations(metadata.part("annotations"))
    sticky = kind.is_sticky(enabled, annotations.get(kind.annotation(STICKINESS)), warm_pool_size)
    if not sticky:
        return Told()
    group = group_name(annotations.get(kind.annotation(CACHE_GROUP)))
    return Told(
        parse(annotations, kind.prefix),
        weight_of(annotations.get(kind.annotation(OLDER_WEIGHT))),
        Group(metadata.field("namespace", str) or "", kind.prefix, group) if group else None,
    )


class _Part(NamedTuple):
    """An object inside the workload, with the words to complain about it: whose it is and where it stands."""

    title: str
    path: str
    fields: Mapping[str, Any]

    def part(self, name: str) -> "_Part":
        # mypy wants no abstract class where a type is expected; isinstance, which it is for, does not mind.
        fields: Mapping[str, Any] | None = self.field(name, Mapping)  # type: ignore[type-abstract]
        return _Part(self.title, self._at(name), fields or {})

    def field(self, name: str, kind: type[_Value]) -> _Value | None:
        """A field; None where it is absent or null. A bool is not taken for a number."""
        value = self.fields.get(name)
        if value is None or (isinstance(value, kind) and isinstance(value, bool) == (kind is bool)):
            return value
        raise TypeError(f"{self.title}: {self._at(name)} must be {_CALLED[kind]}, not {_described(value)}")

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


def _checked_annotations(part: _Part) -> Mapping[str, str]:
    for key, value in part.fields.items():
        if not isinstance(key, str):
            raise TypeError(f"{part.title}: {part.path} has a key that is not a string: {_described(key)}")
        if not isinstance(value, str):
            at = f"{part.path}[{_shown.repr(key)}]"
            raise TypeError(f"{part.title}: {at} must be a string, not {_described(value)}")
    return part.fields


def _title(workload: Mapping[str, Any]) -> str:
    """'AgentRuntime demo/a', or as much of that as the object holds."""
    metadata, kind = workload.get("metadata"), workload.get("kind")
    place = [metadata.get("namespace"), metadata.get("name")] if isinstance(metadata, Mapping) else []
    where = "/".join(part for part in place if isinstance(part, str) and part)
    return f"{kind if isinstance(kind, str) and kind else 'workload'} {where}".rstrip()


def _described(value: object) -> str:
    """A value in a few words. Only plain ones are shown: an object's own text may run over many lines."""
    if value is None:
        return "null"
    if isinstance(value, str | int | float):
        return _shown.repr(value)
    return "an object" if isinstance(value, Mapping) else f"a {type(value).__name__}"
