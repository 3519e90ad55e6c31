"""What is read from the API server, and from running recorders and extenders: at a URL, or through the API server's
proxy of their pods. Nothing here decides anything.
"""

import base64
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from kubectl_lastnode.ignored import ignored
from kubectl_lastnode.journals import SESSIONS, Replica
from lastnode.groups import Groups, group_of
from lastnode.kinds import Kind, Ways
from lastnode.kube import discovery, wire
from lastnode.kube.api import Api
from lastnode.kube.errors import ApiError, KubeError, NotFound, Refused, Undecodable
from lastnode.kube.fetch import fetch
from lastnode.kube.store import ObjectKey
from lastnode.memory import Memory
from lastnode.nodes import unmistakable
from lastnode.objects import Controller, Node, Workload
from lastnode.outcome import TOKEN_HEADER
from lastnode.reading import read_annotations, read_controller, read_node, read_workload

PAGE_SIZE: Final = 500
RECORDER: Final = "recorder"
EXTENDER: Final = "extender"
# As deploy/chart labels all pods of ours. The container is called after its program: an extender also runs in the
# second scheduler's pods.
PART_OF: Final = "app.kubernetes.io/part-of=lastnode"
OURS: Final = {"labelSelector": PART_OF}
# The volume of a recorder's pod, as deploy/chart calls it, and the key of the Secret that it names.
_TOKEN_VOLUME: Final = "sessions-token"
_TOKEN_KEY: Final = "token"
_SECONDS: Final = 5.0
_ANY: Final = msgspec.json.Decoder()


def full_name(kind: str, resource: str, name: str) -> str:
    """As ``kubectl get -o name`` prints it: ``agentruntime.runtime.agentcube.volcano.sh/NAME``."""
    return f"{kind.lower()}.{resource.partition('.')[2]}/{name}"


class Cluster:
    """``release``: the namespace of our programs; nothing elsewhere is taken for one of them, whatever it calls itself.
    ``warn`` is told, in a line each, what is left out."""

    def __init__(self, api: Api, kinds: Sequence[Kind], release: str, warn: Callable[[str], None]) -> None:
        self.api = api
        self.release = release
        self.rows = tuple(kinds)
        self.kinds = {kind.resource: kind for kind in kinds}
        self.ways = Ways(kinds)
        self._ignored: dict[str, tuple[str, ...]] = {}  # by UID of what was read
        self._served: dict[str, discovery.Served] = {}
        self._warn = functools.cache(warn)  # each line once
        self._groups: dict[str, Groups] = {}  # by namespace, once asked for

    def relatives(self, workload: Workload) -> Memory:
        """Where the workloads of its cache group ran lately."""
        if group_of(workload, self.kinds) is None:
            return ()
        if workload.namespace not in self._groups:
            made = self._groups[workload.namespace] = Groups(self.kinds)
            for each in self.workloads(workload.namespace):
                made.changed(None, each)
        return self._groups[workload.namespace].newest(workload)

    def workloads(self, namespace: str = "") -> list[Workload]:
        """Of all kinds that are served and may be read; empty ``namespace``: everywhere.

        :raises ApiError, Unreachable: as all methods here, where the server does not answer with what was asked.
        """
        return self._from(self.kinds, lambda resource: self._of(resource, namespace))

    def find(self, wanted: str, namespace: str) -> list[Workload]:
        """The workloads that a person means, at most one of each kind. ``wanted``: NAME or KIND/NAME; KIND is the
        name of the kind or of the resource, each with or without its group."""
        kind, _, name = wanted.rpartition("/")
        return self._from(self.meant(kind), lambda resource: filter(None, [self.workload(resource, namespace, name)]))

    def meant(self, kind: str) -> list[str]:
        """The resources that a person calls so; all for the empty text."""
        return [resource for resource in self.kinds if not kind or kind.lower() in self._kind_names(resource)]

    def workload(self, resource: str, namespace: str, name: str) -> Workload | None:
        """One workload as it is now; None where it is not there."""
        try:
            path = self.path(resource, namespace, name)
            return self._read(resource, self.api.get(path))
        except NotFound:
            return None

    def ignored(self, workload: Workload) -> tuple[str, ...]:
        """What its annotations say and nobody heeds, a sentence each."""
        return self._ignored.get(workload.uid, ())

    def controller(self, resource: str, key: ObjectKey) -> Controller | None:
        """What sessions' pods lead through; None where it is not there."""
        try:
            return read_controller(self.ways.keys_of(resource), self.api.get(self.path(resource, *key)))
        except NotFound:
            return None

    def path(self, resource: str, namespace: str, name: str) -> str:
        """Of one object. :raises NotServed: the server has no such resource."""
        return discovery.object_path(self._find(resource).path, namespace, name)

    def nodes(self) -> Mapping[str, Node] | None:
        """Every node by name; None, with a warning, where they may not be listed: then age alone decides."""
        try:
            return unmistakable({node.name: node for node in map(read_node, self.items("/api/v1/nodes"))})
        except Refused as error:
            self._warn(f"whether nodes are there and Ready is not looked at: {error}")
            return None

    def session_pods(self, namespace: str = "", *, unbound: bool = False) -> Iterator[Any]:
        """The sessions' pods, of all namespaces where none is named. ``unbound``: only those without a node."""
        path = discovery.namespaced("/api/v1/pods", namespace)
        fields = {"fieldSelector": "spec.nodeName="} if unbound else {}
        for selector in self.ways.selectors:
            for pod in self.objects(path, {"labelSelector": str(selector), **fields}):
                if self.ways.of(pod["metadata"].get("labels") or {}):
                    yield pod

    def replicas(self, program: str, urls: str = "", ca: str | None = None) -> list[Replica]:
        """Those at the URLs (by commas; ``ca``: PEM file for https, else the system's), or the release's own pods."""
        if urls:
            return [_by_url(url, ca) for url in map(str.strip, urls.split(",")) if url]
        return [
            self._by_proxy(pod, container)
            for pod in self.ours("/api/v1", "pods")
            if pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
            for container in pod["spec"]["containers"]
            if container["name"] == program
        ]

    def ours(self, group: str, plural: str) -> Iterator[Any]:
        """The release's objects, of a resource in a group ("/api/v1", "/apis/apps/v1"), in builtins."""
        return self.objects(f"{group}/namespaces/{self.release}/{plural}", OURS)

    def objects(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """A collection's objects in builtins."""
        return map(_builtins, self.items(path, query))

    def read(self, path: str) -> Any:
        """One object in builtins. :raises NotFound: it is not there."""
        return _builtins(self.api.get(path))

    def post(self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> Any:
        """The answer to a POST, in builtins."""
        return _builtins(self.api.request("POST", path, query=query, body=body))

    def items(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[msgspec.Raw]:
        """A collection's objects, page by page."""
        asked = {**(query or {}), "limit": str(PAGE_SIZE)}
        while True:
            page = wire.page(self.api.get(path, asked))
            yield from page.items or ()
            if not page.token:
                return
            asked["continue"] = page.token

    def _from(self, resources: Iterable[str], read: Callable[[str], Iterable[Workload]]) -> list[Workload]:
        """Of all these kinds. One that this person may not read is left out, while there are others."""
        found: list[Workload] = []
        refused: list[Refused] = []
        served = [resource for resource in resources if self._kind_names(resource)]
        for resource in served:
            try:
                found += read(resource)
            except Refused as error:
                refused.append(error)
        if refused and len(refused) == len(served):
            raise refused[0]
        for each in refused:
            self._warn(f"a kind is left out: {each}")
        return found

    def _of(self, resource: str, namespace: str) -> Iterator[Workload]:
        for item in self.items(discovery.namespaced(self._find(resource).path, namespace)):
            try:
                yield self._read(resource, item)
            except Undecodable as error:
                self._warn(f"one of {resource} is left out: {error}")

    def _find(self, resource: str) -> discovery.Served:
        """Asked once: one command is no long time. Its kind's name is known from then on."""
        if resource not in self._served:
            found = self._served[resource] = discovery.find(self.api, resource)
            if kind := self.kinds.get(resource):
                self.kinds[resource] = kind._replace(name=kind.name or found.kind)
        return self._served[resource]

    def _kind_names(self, resource: str) -> tuple[str, ...]:
        """What people call the kind; nothing where it is not served."""
        try:
            kind = self._find(resource).kind.lower()
        except discovery.NotServed:
            return ()
        plural, _, group = resource.partition(".")
        return kind, plural, resource, f"{kind}.{group}"

    def _read(self, resource: str, data: bytes | msgspec.Raw) -> Workload:
        kind = self.kinds[resource]
        found = read_workload(kind, data, self.ways.keys_of(resource), whole=True)
        self._ignored[found.uid] = ignored(kind, read_annotations(data), sticky=found.sticky)
        return found

    def _by_proxy(self, pod: Any, container: Any) -> Replica:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        port = next(iter(container.get("ports") or [{}]))
        scheme = "https:" if port.get("name") == "https" else ""
        base = f"/api/v1/namespaces/{namespace}/pods/{scheme}{name}:{port.get('containerPort', 80)}/proxy"
        secret = _token_secret(pod)

        def get(path: str) -> bytes:
            # The API server takes Authorization away and passes on all other headers.
            headers = {TOKEN_HEADER: self._token(secret)} if secret and path == SESSIONS else {}
            return self.api.request("GET", base + path, seconds=_SECONDS, headers=headers)

        return Replica(f"{namespace}/{name}", get)

    def token_secret(self) -> str:
        """Which Secret opens all sessions, as a recorder's pod says; empty where none does."""
        return next(filter(None, map(_token_secret, self.ours("/api/v1", "pods"))), "")

    def _token(self, secret: str) -> str:
        """:raises KubeError: it cannot be read, and what that means."""
        try:
            found = self.read(f"/api/v1/namespaces/{self.release}/secrets/{secret}")
            return base64.b64decode(found["data"][_TOKEN_KEY]).decode().strip()
        except (ApiError, KeyError, ValueError) as error:
            told = error if isinstance(error, ApiError) else f"it has no {_TOKEN_KEY}"
            raise KubeError(f"all sessions are for who may read Secret {self.release}/{secret}: {told}") from error


def _builtins(data: bytes | msgspec.Raw) -> Any:
    return wire.decode(_ANY, data)


def _token_secret(pod: Any) -> str:
    volumes = (each for each in pod["spec"].get("volumes") or () if each["name"] == _TOKEN_VOLUME)
    return next((str(each.get("secret", {}).get("secretName", "")) for each in volumes), "")


def _by_url(url: str, ca: str | None) -> Replica:
    return Replica(url, lambda path: fetch(url.rstrip("/") + path, seconds=_SECONDS, ca=ca))
