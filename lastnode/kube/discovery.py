"""Where a resource is served: asked from the API server, never assumed.

agent-sandbox serves Sandbox as v1alpha1 in some releases and as v1beta1 in others; whoever assumes one of them
watches nothing on half of the clusters.
"""

from typing import Final

import msgspec

from lastnode.kube.api import Api
from lastnode.kube.errors import ConfigError, NotFound
from lastnode.kube.wire import decode

_CORE: Final = "/api/v1"


class _Version(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct, rename="camel"):
    preferred_version: _Version
    versions: list[_Version] = []


class _Served(msgspec.Struct):
    name: str


class _ServedList(msgspec.Struct):
    resources: list[_Served] = []


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


def collection_path(api: Api, resource: str) -> str:
    """The path under which all objects of ``"plural.group"`` are listed, in the group's preferred version if served.

    :raises NotServed: the cluster does not have it.
    :raises ApiError, Unreachable: it could not be asked.
    """
    plural, group = split(resource)
    if not group:
        return f"{_CORE}/{plural}"
    try:
        found = decode(_GROUP, api.get(f"/apis/{group}"), _WHAT)
        for version in dict.fromkeys(each.group_version for each in (found.preferred_version, *found.versions)):
            served = decode(_SERVED, api.get(f"/apis/{version}"), _WHAT).resources
            if plural in {each.name for each in served}:
                return f"/apis/{version}/{plural}"
    except NotFound as error:
        raise NotServed(resource) from error
    raise NotServed(resource)


def object_path(collection: str, namespace: str, name: str) -> str:
    """The path of one object of a collection: ``/apis/g/v/things`` → ``/apis/g/v/namespaces/ns/things/name``."""
    return f"{namespaced(collection, namespace)}/{name}"


def namespaced(collection: str, namespace: str) -> str:
    """The same collection in one namespace; unchanged for cluster-scoped objects, whose ``namespace`` is empty."""
    base, _, plural = collection.rpartition("/")
    return f"{base}/namespaces/{namespace}/{plural}" if namespace else collection


_WHAT: Final = "discovery"
_GROUP: Final = msgspec.json.Decoder(_Group)
_SERVED: Final = msgspec.json.Decoder(_ServedList)
