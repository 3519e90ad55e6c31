"""Which kinds of workloads there are: one row each, and everything that differs between kinds stands in its row.

Reading, attribution, the view, the injector, the rights and ``doctor`` all go by these rows. A further kind is a
further row.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from lastnode import contract


class Sessions(NamedTuple):
    """Which pods are sessions, and how such a pod leads to its workload: by labels that name it.

    ``label``: what the API server selects the pods by. ``workload_name`` and ``workload_kind``: the labels that name
    the workload and, where somebody says so, its kind; they stand on the pod, else on its controller, which is a
    ``controller`` ("plural.group") whose owner references call it ``controller_kind`` of ``controller_group``.
    ``pods_say``: whether what stands on the pod counts at all; whoever may create a pod may write it there.
    """

    label: str
    workload_name: str
    workload_kind: str
    controller: str
    controller_kind: str
    controller_group: str
    pods_say: bool = True


class Kind(NamedTuple):
    """One kind of workload. ``resource``: "plural.group". ``name``: as its objects spell their kind; empty: as each
    object says itself. ``prefix``: of opt-in and memory. ``pooled``: void where spec.warmPoolSize is above 0, because
    the pods of a pool are placed before any session claims them."""

    resource: str
    name: str
    prefix: str
    sessions: Sessions
    pooled: bool = False

    def annotation(self, name: str) -> str:
        """``PREFIX/name``."""
        return f"{self.prefix}/{name}"

    def is_sticky(self, stickiness: bool | None, annotation: str | None, warm_pool_size: int | None) -> bool:
        """Whether a workload opted in and its opt-in can have an effect.

        ``stickiness``: spec.nodeStickiness.enabled, None where it is absent; present, it wins over the ``annotation``,
        of which only the exact value counts. ``warm_pool_size``: spec.warmPoolSize, None where it is absent.
        """
        if self.pooled and warm_pool_size is not None and warm_pool_size > 0:
            return False
        return annotation == contract.STICKINESS_ENABLED if stickiness is None else stickiness


AGENTCUBE: Final = Sessions(
    label=contract.SESSION_LABEL,
    workload_name=contract.WORKLOAD_NAME_LABEL,
    workload_kind=contract.WORKLOAD_KIND_LABEL,
    controller=contract.SANDBOX_RESOURCE,
    controller_kind=contract.SANDBOX_KIND,
    controller_group=contract.SANDBOX_GROUP,
)
_AGENTCUBE_GROUP: Final = "runtime.agentcube.volcano.sh"


def _agentcube(resource: str, name: str, *, pooled: bool = False) -> Kind:
    return Kind(resource, name, contract.AGENTCUBE_PREFIX, AGENTCUBE, pooled)


AGENT_RUNTIME: Final = _agentcube(f"agentruntimes.{_AGENTCUBE_GROUP}", "AgentRuntime")
CODE_INTERPRETER: Final = _agentcube(f"codeinterpreters.{_AGENTCUBE_GROUP}", "CodeInterpreter", pooled=True)
BUILT_IN: Final = (AGENT_RUNTIME, CODE_INTERPRETER)
DEFAULT_RESOURCES: Final = tuple(kind.resource for kind in BUILT_IN)


def kinds_of(resources: Sequence[str], *, controllers_only: bool = False) -> tuple[Kind, ...]:
    """A row for each resource: the built-in one, or for another kind one like agentcube's, named by the same labels.

    ``controllers_only``: what pods say themselves does not count.
    """
    built_in = {kind.resource: kind for kind in BUILT_IN}
    found = (built_in.get(resource) or _agentcube(resource, "") for resource in resources)
    return tuple(kind._replace(sessions=kind.sessions._replace(pods_say=not controllers_only)) for kind in found)


def kind_named(name: str) -> Kind:
    """The row of an object that says this kind; one like agentcube's where there is none."""
    return next((kind for kind in BUILT_IN if kind.name == name), _agentcube("", name))


def ways(kinds: Sequence[Kind]) -> tuple[Sessions, ...]:
    """The different ways in which these kinds' pods lead to them, each once."""
    return tuple(dict.fromkeys(kind.sessions for kind in kinds))


def way_of(labels: Mapping[str, Any], known: Sequence[Sessions]) -> Sessions | None:
    """The way that a pod with these labels leads to its workload; None: it is no session's pod."""
    return next((way for way in known if labels.get(way.label)), None)
