"""What is read from the API server, and nothing that decides anything."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from lastnode.kinds import kinds_of, ways
from lastnode.kube import discovery, wire
from lastnode.kube.api import Api
from lastnode.kube.errors import NotFound, Refused, Undecodable
from lastnode.objects import Node, Workload
from lastnode.reading import read_node, read_workload

PAGE_SIZE = 500


class Reference(NamedTuple):
    """``NAME`` or ``KIND/NAME`` as a person writes it; ``kind`` in lower case, empty where none was named."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> "Reference":
        kind, _, name = text.rpartition("/")
        return cls(kind.lower(), name)

    def means(self, workload: Workload) -> bool:
        """Whether the kind fits: the kind's or the resource's name, each with or without its group."""
        plural, _, group = workload.resource.partition(".")
        kind = workload.kind.lower()
        return self.kind in ("", kind, plural, workload.resource, f"{kind}.{group}")


def full_name(kind: str, resource: str, name: str) -> str:
    """As ``kubectl get -o name`` prints it: ``agentruntime.runtime.agentcube.volcano.sh/NAME``."""
    return f"{kind.lower()}.{resource.partition('.')[2]}/{name}"


class Cluster:
    """``warn`` is told, in a line each, what is left out."""

    def __init__(self, api: Api, resources: Sequence[str], warn: Callable[[str], None]) -> None:
        self.api = api
        self.kinds = {kind.resource: kind for kind in kinds_of(resources)}
        self.ways = ways([*self.kinds.values()])
        self._warn = warn

    def workloads(self, namespace: str = "") -> list[Workload]:
        """Of all kinds that are served; empty ``namespace``: everywhere.

        :raises ApiError, Unreachable: as all methods here, where the server does not answer with what was asked.
        """
        return [workload for resource in self.kinds for workload in self._of(resource, namespace)]

    def find(self, wanted: Reference, namespace: str) -> list[Workload]:
        """The workloads of that name, at most one of each kind."""
        found = (self.workload(resource, namespace, wanted.name) for resource in self.kinds)
        return [workload for workload in found if workload and wanted.means(workload)]

    def workload(self, resource: str, namespace: str, name: str) -> Workload | None:
        """One workload as it is now; None where it is not there."""
        try:
            return read_workload(self.kinds[resource], self.api.get(self.path(resource, namespace, name)))
        except NotFound:
            return None

    def path(self, resource: str, namespace: str, name: str) -> str:
        return discovery.object_path(discovery.collection_path(self.api, resource), namespace, name)

    def nodes(self) -> dict[str, Node] | None:
        """Every node by name; None, with a warning, where they may not be listed: then age alone decides."""
        try:
            return {node.name: node for node in map(read_node, self.items("/api/v1/nodes"))}
        except Refused as error:
            self._warn(f"whether nodes are there and Ready is not looked at: {error}")
            return None

    def session_pods(self, namespace: str = "") -> Iterator[Any]:
        """The sessions' pods, of all namespaces where none is named."""
        for way in self.ways:
            yield from self.objects(discovery.namespaced("/api/v1/pods", namespace), {"labelSelector": way.label})

    def objects(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """A collection's objects in builtins."""
        return map(msgspec.json.decode, self.items(path, query))

    def read(self, path: str) -> Any:
        """One object in builtins. :raises NotFound: it is not there."""
        return msgspec.json.decode(self.api.get(path))

    def post(self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Any:
        """The answer to a POST, in builtins."""
        return msgspec.json.decode(self.api.request("POST", path, query=query, body=body))

    def merge_patch(self, path: str, body: Mapping[str, Any], *, dry_run: bool) -> None:
        """``dry_run``: the server checks everything and stores nothing. :raises Conflict: another version is there."""
        query = {"dryRun": "All"} if dry_run else None
        self.api.request("PATCH", path, query=query, body=body, content_type="application/merge-patch+json")

    def items(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[msgspec.Raw]:
        """A collection's objects, page by page."""
        asked = {**(query or {}), "limit": str(PAGE_SIZE)}
        while True:
            page = wire.page(self.api.get(path, asked))
            yield from page.items or ()
            if not page.token:
                return
            asked["continue"] = page.token

    def _of(self, resource: str, namespace: str) -> Iterator[Workload]:
        try:
            path = discovery.namespaced(discovery.collection_path(self.api, resource), namespace)
        except discovery.NotServed:
            return
        for item in self.items(path):
            try:
                yield read_workload(self.kinds[resource], item)
            except Undecodable as error:
                self._warn(f"one of {resource} is left out: {error}")
