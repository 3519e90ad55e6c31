"""Kinds of workloads by configuration: the rows under ``kinds`` of a program's settings, beside the built-in ones."""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, field_validator

from lastnode import contract
from lastnode.kinds import BUILT_IN, Kind, Way
from lastnode.kube.api import Api
from lastnode.kube.discovery import NotServed, find, split
from lastnode.kube.errors import ConfigError, KubeError
from lastnode.rights import unfit
from lastnode.selector import Selector, is_key

# Of each answer to a program that starts: whoever stops it again must not wait for an API server that is stuck.
_SECONDS: Final = 3.0


def resource(text: str) -> str:
    """``plural.group``.

    :raises ValueError: no such form, or no group.
    """
    try:
        group = split(text)[1]
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if not group:
        raise ValueError(f"{text!r} lacks its group: expected plural.group, like {BUILT_IN[0].resource}")
    return text


class Row(BaseModel):
    """``pods``: the selector of its sessions' pods. ``through``: what controls them, where the workload does not.
    ``named_by``: the label that names the workload (with ``through``, a label or an annotation of that)."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"), validate_by_name=True
    )

    resource: str
    pods: str
    through: str = ""
    named_by: str = ""

    @field_validator("resource", "through")
    @classmethod
    def _is_resource(cls, text: str) -> str:
        return resource(text) if text else text

    @field_validator("pods")
    @classmethod
    def _selects(cls, text: str) -> str:
        return str(Selector.parse(text))

    @field_validator("named_by")
    @classmethod
    def _is_key(cls, text: str) -> str:
        if text and not is_key(text):
            raise ValueError(f"{text!r} is no label's key")
        return text

    @property
    def kind(self) -> Kind:
        """Only the API server knows its name."""
        way = Way(Selector.parse(self.pods), self.through, self.named_by, pods_say=not self.through)
        return Kind(self.resource, "", contract.LASTNODE_PREFIX, way)

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self if value)

    __repr__ = __str__


def table(rows: Sequence[Row], resources: Sequence[str] = (), *, controllers_only: bool = False) -> tuple[Kind, ...]:
    """The built-in rows and these, or of both the ones for ``resources``, in that order.

    ``controllers_only``: what pods say themselves does not count.

    :raises ValueError: a row that cannot work, or is not there.
    """
    known = {kind.resource: kind for kind in BUILT_IN}
    for row in rows:
        if row.resource in known:
            raise ValueError(f"kinds: {row.resource} is there already")
        if row.through == row.resource:
            raise ValueError(f"kinds: {row.resource} leads through itself: leave 'through' away")
        if controllers_only and row.named_by and not row.through:
            raise ValueError(f"kinds: {row.resource} is named by the pods themselves, which controllers-only forbids")
        known[row.resource] = row.kind
    if unknown := [each for each in resources if each not in known]:
        built_in = ", ".join(kind.resource for kind in BUILT_IN)
        raise ValueError(f"workload_resources: no row for {', '.join(unknown)}: built in are {built_in}, further ones "
                         "come under 'kinds'")  # fmt: skip
    found = [known[each] for each in resources] or list(known.values())
    if controllers_only:
        found = [kind._replace(way=kind.way._replace(pods_say=False)) for kind in found]
    return tuple(found)


def refuse_unfit(api: Api, kinds: Sequence[Kind]) -> None:
    """Whether the configured rows can work, as far as the API server can say so now. What is not served is waited for.

    :raises ConfigError: one of them cannot.
    """
    rows = [kind for kind in kinds if not kind.name]
    for resource in dict.fromkeys(name for kind in rows for name in (kind.resource, kind.way.through) if name):
        try:
            wrong = unfit(resource, find(api, resource, _SECONDS), kinds)
        except NotServed:
            continue
        except KubeError:
            return  # the watches say it, again and again
        if wrong:
            raise ConfigError(f"kinds: {wrong}")
