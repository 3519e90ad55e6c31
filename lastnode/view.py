"""The cluster as far as stickiness goes: one store a resource, and what watches them."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lastnode import contract, reading
from lastnode.kube.api import Api
from lastnode.kube.records import ObjectKey
from lastnode.kube.store import Store
from lastnode.kube.watch import PAGE_SIZE, ListWatch, Observer
from lastnode.objects import Node, Sandbox, Session, Workload


class NodesByName(Mapping[str, Node]):
    """The nodes' store by plain name, as the memory's rules want it."""

    def __init__(self, store: Store[Node]) -> None:
        self._store = store

    def __getitem__(self, name: str) -> Node:
        return self._store[ObjectKey("", name)]

    def get(self, name: str, default: Any = None) -> Any:
        return self._store.get(ObjectKey("", name), default)

    def __iter__(self) -> Iterator[str]:
        return (key.name for key in self._store)

    def __len__(self) -> int:
        return len(self._store)


class View:
    """``workloads``: resource ("plural.group") -> store. Empty until the watches that :meth:`watches` makes run."""

    def __init__(self, workload_resources: Sequence[str] = contract.WORKLOAD_RESOURCES) -> None:
        self.nodes: Store[Node] = Store()
        self.sandboxes: Store[Sandbox] = Store()
        self.sessions: Store[Session] = Store()
        self.workloads: dict[str, Store[Workload]] = {resource: Store() for resource in workload_resources}
        self.nodes_by_name = NodesByName(self.nodes)

    def watches(
        self,
        api: Api,
        *,
        sessions: bool,
        sandbox_resource: str = contract.SANDBOX_RESOURCE,
        page_size: int = PAGE_SIZE,
        observer: Observer | None = None,
    ) -> list[ListWatch[Any]]:
        """What keeps this view, one list-watch a resource, in the order in which objects refer to each other.

        ``sessions``: the pods too (only the recorder needs them). Selectors leave on the server what nobody needs:
        sandboxes of no workload, pods of no session, pods that are not bound yet; and of Sandboxes all but metadata.
        """
        watch = functools.partial(ListWatch[Any], api, page_size=page_size, observer=observer)
        made = [watch("nodes", reading.node, self.nodes)]
        made += [watch(name, _workload_reader(name), store) for name, store in self.workloads.items()]
        claiming = {"labelSelector": contract.WORKLOAD_NAME_LABEL}
        made.append(watch(sandbox_resource, reading.sandbox, self.sandboxes, selectors=claiming, metadata_only=True))
        if sessions:
            bound = {"labelSelector": contract.SESSION_LABEL, "fieldSelector": "spec.nodeName!="}
            made.append(watch("pods", reading.session, self.sessions, selectors=bound))
        return made


def _workload_reader(resource: str) -> Callable[[Any], Workload]:
    return functools.partial(reading.workload, resource)
