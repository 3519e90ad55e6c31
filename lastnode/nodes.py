"""Which node a hostname label leads to. Labels are anybody's: one that several nodes have leads to none of them."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from lastnode.kube.store import Record, Store
from lastnode.objects import Node

_SEVERAL: Final = 2


def unmistakable(nodes: Mapping[str, Node]) -> Mapping[str, Node]:
    """The same nodes, without the hostname labels that several of them have."""
    having = Counter(node.hostname for node in nodes.values())
    if len(having) == len(nodes):
        return nodes
    return {name: _as_led_to(node, having) for name, node in nodes.items()}


class Nodes(Store[Node]):
    """The nodes as last seen, each without its hostname label while another one has the same."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[str, Node] = {}  # by name, with their labels as they are
        self._having: Counter[str] = Counter()

    def upsert(self, obj: Node) -> None:
        with self._lock:
            before = self._read.get(obj.name)
            self._read[obj.name] = obj
            self._count(before, obj)
            super().upsert(_as_led_to(obj, self._having))

    def remove(self, obj: Record, among: Callable[[Node], bool] = lambda _: True) -> None:
        with self._lock:
            self._count(self._read.pop(obj.name, None), None)
            super().remove(obj, among)

    def _count(self, before: Node | None, after: Node | None) -> None:
        former, label = (one.hostname if one else "" for one in (before, after))
        if former == label:
            return
        for changed, by in ((former, -1), (label, 1)):
            had, has = self._having[changed], self._having[changed] + by
            if changed:
                self._having[changed] = has
            if not has:
                del self._having[changed]
            if (had < _SEVERAL) != (has < _SEVERAL):
                self._show(changed)

    def _show(self, label: str) -> None:
        """It leads to a node now, or to none any more: its nodes change by that."""
        for node in list(self._read.values()):
            if node.hostname == label:
                super().upsert(_as_led_to(node, self._having))


def _as_led_to(node: Node, having: Mapping[str, int]) -> Node:
    if not node.hostname or having[node.hostname] < _SEVERAL:
        return node
    return msgspec.structs.replace(node, hostname="")
