"""Where a resource is served: asked from the API server, never assumed.

agent-sandbox serves Sandbox as v1alpha1 in some releases and as v1beta1 in others; whoever assumes one of them
watches nothing on half of the clusters.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from lastnode.kube.api import REQUEST_TIMEOUT, Api
from lastnode.kube.errors import ConfigError, NotFound
from lastnode.kube.wire import decode

_CORE: Final = "/api/v1"


class _Version(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct, rename="camel"):
    preferred_version: _Version
    versions: list[_Version] = []


class _Resource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool
    verbs: list[str] = []


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] = []


class Served(NamedTuple):
    """What the server says of a resource. ``path``: under which all of its objects are listed. ``version``: as their
    apiVersion has it. ``kind``: as it spells the kind of each; lists of built-in kinds leave it out of their items."""

    path: str
    version: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]


class NotServed(NotFound):
    """The resource's CRD is not installed (yet, or any more)."""

    def __init__(self, resource: str) -> None:
        super().__init__(404, f"{resource} is not served by this cluster")


def split(resource: str) -> tuple[str, str]:
    """``"plural.group"`` in its two parts; the group of a core resource (``"pods"``) is empty.

    :raises ConfigError: no such form.
    """
    plural, _, group = resource.partition(".")
    if not plural.isalnum() or plural != plural.lower() or resource.endswith("."):
        raise ConfigError(f"{resource!r} does not name a resource: expected plural.group, as sandboxes.agents.x-k8s.io")
    return plural, group


def find(api: Api, resource: str, seconds: float = REQUEST_TIMEOUT) -> Served:
    """``"plural.group"`` as it is served, in the group's preferred version if that has it. Each answer may take
    ``seconds``.

    :raises NotServed: the cluster does not have it.
    :raises ApiError, Unreachable: it could not be asked.
    """
    plural, group = split(resource)
    try:
        for version in _versions(api, group, seconds):
            path = f"/apis/{version}" if group else _CORE
            for each in decode(_RESOURCES, api.request("GET", path, seconds=seconds), _WHAT).resources:
                if each.name == plural:
                    return Served(f"{path}/{plural}", version, each.kind, each.namespaced, frozenset(each.verbs))
    except NotFound as error:
        raise NotServed(resource) from error
    raise NotServed(resource)


def _versions(api: Api, group: str, seconds: float) -> Iterable[str]:
    if not group:
        return ["v1"]
    found = decode(_GROUP, api.request("GET", f"/apis/{group}", seconds=seconds), _WHAT)
    return dict.fromkeys(each.group_version for each in (found.preferred_version, *found.versions))


def collection_path(api: Api, resource: str) -> str:
    """The path under which all objects of ``"plural.group"`` are listed. Raises as :func:`find` does.

    Core resources are where they are: nobody is asked.
    """
    plural, group = split(resource)
    return find(api, resource).path if group else f"{_CORE}/{plural}"


def object_path(collection: str, namespace: str, name: str) -> str:
    """The path of one object of a collection: ``/apis/g/v/things`` → ``/apis/g/v/namespaces/ns/things/name``."""
    return f"{namespaced(collection, namespace)}/{name}"


def namespaced(collection: str, namespace: str) -> str:
    """The same collection in one namespace; unchanged for cluster-scoped objects, whose ``namespace`` is empty."""
    base, _, plural = collection.rpartition("/")
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else collection


_WHAT: Final = "discovery"
_GROUP: Final = msgspec.json.Decoder(_Group)
_RESOURCES: Final = msgspec.json.Decoder(_ResourceList)
