"""Where a golden request can be changed, for tests that change it."""

from __future__ import annotations

from typing import Any

from lastnode import contract

# The names that are looked at, so that what hangs below them is not only noise.
FIELDS = [
    "Pod", "Nodes", "NodeNames", "pod", "nodes", "nodenames", "nodeNames", "metadata", "spec", "status", "labels",
    "annotations", "ownerReferences", "creationTimestamp", "deletionTimestamp", "affinity", "nodeAffinity", "nodeName",
    "preferredDuringSchedulingIgnoredDuringExecution", "weight", "preference", "items", "name", "uid", "conditions",
    "phase", "controller", "kind", "apiVersion", contract.SESSION_LABEL, contract.WORKLOAD_NAME_LABEL,
    contract.WORKLOAD_KIND_LABEL,
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at for key, each in inner for at in ((*path, key), *places(each, (*path, key)))]


def parent(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value
