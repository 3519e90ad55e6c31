"""Which kinds of workloads there are: one row each, and everything that differs between kinds stands in its row.

Reading, attribution, the view, the injector, the rights and ``doctor`` all go by these rows. A further kind is a
further row: built in here, or by configuration (``rows``).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from lastnode import contract
from lastnode.selector import Requirement, Selector, disjoint


class Way(NamedTuple):
    """Which pods are sessions, and how such a pod leads to its workload.

    ``pods``: what the API server selects them by. ``named_by``: the label that names the workload; empty: what controls
    the pod is the workload. ``through``: the resource ("plural.group") of what controls the pod and leads on, by the
    same label or an annotation, or because its own controller is the workload; empty: nothing stands between.
    ``kind_by``: the label that says the workload's kind, where somebody sets it. ``pods_say``: whether what stands on
    the pod itself counts; whoever may create a pod may write it there.
    """

    pods: Selector
    through: str = ""
    named_by: str = ""
    kind_by: str = ""
    pods_say: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """What names a workload."""
        return tuple(key for key in (self.named_by, self.kind_by) if key)


class Kind(NamedTuple):
    """One kind of workload. ``resource``: "plural.group". ``name``: as its objects spell their kind; empty until the
    API server has said it. ``prefix``: of opt-in and memory. ``field``: whether spec.nodeStickiness can opt in too.
    ``pooled``: void where spec.warmPoolSize is above 0, because the pods of a pool are placed before any session claims
    them."""

    resource: str
    name: str
    prefix: str
    way: Way
    field: bool = False
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
        if stickiness is None or not self.field:
            return annotation == contract.STICKINESS_ENABLED
        return stickiness


AGENTCUBE: Final = Way(
    pods=Selector((Requirement(contract.SESSION_LABEL),)),
    through=contract.SANDBOX_RESOURCE,
    named_by=contract.WORKLOAD_NAME_LABEL,
    kind_by=contract.WORKLOAD_KIND_LABEL,
)
_AGENTCUBE_GROUP: Final = "runtime.agentcube.volcano.sh"


def _agentcube(plural: str, name: str, *, pooled: bool = False) -> Kind:
    return Kind(f"{plural}.{_AGENTCUBE_GROUP}", name, contract.AGENTCUBE_PREFIX, AGENTCUBE, field=True, pooled=pooled)


AGENT_RUNTIME: Final = _agentcube("agentruntimes", "AgentRuntime")
CODE_INTERPRETER: Final = _agentcube("codeinterpreters", "CodeInterpreter", pooled=True)
SANDBOX: Final = Kind(
    contract.SANDBOX_RESOURCE,
    contract.SANDBOX_KIND,
    contract.LASTNODE_PREFIX,
    Way(Selector((Requirement(contract.SANDBOX_HASH_LABEL), Requirement(contract.WARM_POOL_LABEL, negated=True)))),
)
# Of those that a pod leads to, the first that has opted in is its workload.
BUILT_IN: Final = (AGENT_RUNTIME, CODE_INTERPRETER, SANDBOX)
DEFAULT_RESOURCES: Final = tuple(kind.resource for kind in BUILT_IN)


def kind_named(name: str) -> Kind:
    """The row of an object that says this kind; of one that is not built in, all that its object must be read by."""
    nobody = Way(Selector(()))
    return next((kind for kind in BUILT_IN if kind.name == name), Kind("", name, contract.LASTNODE_PREFIX, nobody))


class Ways:
    """The different ways in which these kinds' pods lead to them, each once, in their order."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        kinds = tuple(kinds)
        self.all: Final = tuple(dict.fromkeys(kind.way for kind in kinds))
        self.selectors: Final = disjoint([way.pods for way in self.all])
        self.through: Final = tuple(dict.fromkeys(way.through for way in self.all if way.through))
        # What may name a workload on a pod.
        self.keys: Final = tuple(dict.fromkeys(key for way in self.all if way.pods_say for key in way.keys))
        self._keys_of = {each: tuple(dict.fromkeys(self._keys_through(each))) for each in self.through}
        self._some: dict[int, tuple[Way, ...]] = {}

    def of(self, labels: Mapping[str, Any]) -> tuple[Way, ...]:
        """The ways that a pod with these labels leads to a workload; none: it is no session's pod.

        The very same tuple for all pods alike: there are tens of thousands of them.
        """
        taken = [way.pods.matches(labels) for way in self.all]
        which = sum(1 << index for index, taken_so in enumerate(taken) if taken_so)
        if which not in self._some:
            self._some[which] = tuple(way for way, taken_so in zip(self.all, taken, strict=True) if taken_so)
        return self._some[which]

    def keys_of(self, resource: str) -> tuple[str, ...]:
        """What may name a workload on an object of a resource that pods lead through; nothing on others."""
        return self._keys_of.get(resource, ())

    def _keys_through(self, resource: str) -> Iterable[str]:
        return (key for way in self.all if way.through == resource for key in way.keys)


def marks(ways: Sequence[Way]) -> str:
    """The labels by which sessions' pods are known, for people."""
    return " or ".join(dict.fromkeys(str(way.pods.mark) for way in ways))
