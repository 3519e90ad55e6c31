"""The oracle: what the annotations of a workload must hold, computed afresh from every session that it had."""

from __future__ import annotations

from datetime import timedelta

from lastnode import memory
from lastnode.contract import AGENTCUBE_PREFIX, LAST_NODE_ANNOTATION, RECENT_NODES_ANNOTATION
from lastnode.memory import Entry
from tests.recorder.space import START, Space


class History:
    """Runs sessions in a namespace and remembers them all."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.entries: dict[str, list[Entry]] = {}
        self._node_uids: dict[str, str] = {}

    def session(self, name: str, node: str, second: int, workload: str = "w") -> None:
        """A session that became Ready ``second`` seconds after START."""
        pod = self.space.session(name, node, second, workload=workload)
        if node not in self._node_uids:
            self._node_uids[node] = self.space.node_uid(node)
        at = START + timedelta(seconds=second)
        made = Entry(node, node, self._node_uids[node], at, pod["metadata"]["uid"])
        self.entries.setdefault(workload, []).append(made)

    def holds(self, within: float = 30.0, note: str = "") -> None:
        """Wait until every workload's annotations are what its whole history makes them."""
        for name, entries in self.entries.items():
            wanted = memory.render(memory.merge(entries), AGENTCUBE_PREFIX)
            self.space.stack.wait(lambda n=name, w=wanted: self._annotations(n) == w, f"{name}'s memory {note}", within)  # type: ignore[misc]

    def _annotations(self, name: str) -> dict[str, str | None]:
        annotations = self.space.read(name)["metadata"].get("annotations") or {}
        return {key: annotations.get(key) for key in (LAST_NODE_ANNOTATION, RECENT_NODES_ANNOTATION)}
