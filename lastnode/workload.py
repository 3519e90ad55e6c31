"""Reads from a workload object, as the API server returns it, what the injector must know. Pure.

Users of the library hand these objects over: whatever has the wrong shape is named, and the workload it is
in.
"""

import reprlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeVar

from lastnode.contract import STICKINESS_ANNOTATION, WARM_POOL_KIND
from lastnode.kinds import is_sticky

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


class Sought(NamedTuple):
    """``sticky``: opted in, and to some effect. ``annotations``: all of the workload, types checked."""

    sticky: bool
    annotations: Mapping[str, str]


def read_workload(workload: Mapping[str, Any]) -> Sought:
    """The opt-in and the annotations of a workload. Fields that are absent or null are off or empty.

    Raises TypeError for a field of the wrong type and ValueError for a missing kind, in one line: it begins
    with the workload ("AgentRuntime demo/a: ", or as much of that as is known) and names the path.
    """
    if not isinstance(workload, Mapping):
        raise TypeError(f"workload must be an object as the API server returns it, not {_described(workload)}")
    whole = _Part(_title(workload), "", workload)
    kind = whole.field("kind", str)
    if not kind:
        raise ValueError(f"{whole.title}: kind is missing")
    spec = whole.part("spec")
    enabled = spec.part("nodeStickiness").field("enabled", bool)
    # Only this kind gives the field a meaning here: another kind may use the name as it likes.
    warm_pool_size = spec.field("warmPoolSize", int) if kind == WARM_POOL_KIND else None
    annotations = _checked_annotations(whole.part("metadata").part("annotations"))
    sticky = is_sticky(kind, enabled, annotations.get(STICKINESS_ANNOTATION), warm_pool_size)
    return Sought(sticky, annotations)


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
