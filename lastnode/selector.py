"""Label selectors: what the API server is asked for, and the same rule for labels at hand. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

_KEY: Final = r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT: Final = re.compile(rf"(!?)\s*({_KEY})\s*|({_KEY})\s*(==?|!=)\s*({_VALUE})\s*")
_IS_KEY: Final = re.compile(_KEY)


def is_key(text: str) -> bool:
    """Whether a label or annotation may be called so."""
    return _IS_KEY.fullmatch(text) is not None


class Requirement(NamedTuple):
    """``key`` is there, and has ``value`` unless that is None; ``negated``: the opposite."""

    key: str
    value: str | None = None
    negated: bool = False

    def __str__(self) -> str:
        if self.value is None:
            return f"!{self.key}" if self.negated else self.key
        return f"{self.key}{'!=' if self.negated else '='}{self.value}"

    def matches(self, labels: Mapping[str, Any]) -> bool:
        """Whether an object with these labels is meant."""
        holds = self.key in labels if self.value is None else labels.get(self.key) == self.value
        return holds is not self.negated


class Selector(NamedTuple):
    """All of these requirements. At least one of them is no negation."""

    requirements: tuple[Requirement, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """``key``, ``!key``, ``key=value`` and ``key!=value``, with commas between them.

        :raises ValueError: anything else, and what would select nearly everything.
        """
        found = tuple(_parsed(part.strip()) for part in text.split(","))
        if all(requirement.negated for requirement in found):
            raise ValueError(f"{text!r} selects by nothing but what is absent")
        return cls(found)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))

    @property
    def mark(self) -> Requirement:
        """The first one that is no negation."""
        return next(requirement for requirement in self.requirements if not requirement.negated)

    def example(self, value: str) -> dict[str, str]:
        """Labels that it selects, with this value where it asks for none."""
        wanted = (requirement for requirement in self.requirements if not requirement.negated)
        return {each.key: value if each.value is None else each.value for each in wanted}

    def matches(self, labels: Mapping[str, Any]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def disjoint(selectors: Sequence[Selector]) -> list[Selector]:
    """Selectors that together select what these do, and no object twice.

    One a mark, each without the marks of those before. Only the last can leave the rest of its requirements to the
    server too: what it leaves out is nobody else's. By the others more may come, of which :meth:`Selector.matches`
    knows.
    """
    marks = list(dict.fromkeys(selector.mark for selector in selectors))
    made = []
    for index, mark in enumerate(marks):
        wanted = [selector for selector in selectors if selector.mark == mark]
        whole = wanted[0] if index == len(marks) - 1 and len(wanted) == 1 else Selector((mark,))
        made.append(Selector((*whole.requirements, *(each._replace(negated=True) for each in marks[:index]))))
    return made


def _parsed(text: str) -> Requirement:
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no requirement of a label: expected key, !key, key=value or key!=value")
    negation, alone, key, operator, value = match.groups()
    return Requirement(alone, None, bool(negation)) if alone else Requirement(key, value, operator == "!=")
