"""What is to be written to the API server, as data: the deciding modules make these, ``writers`` sends them."""

from dataclasses import dataclass
from typing import Any, Final

MERGE_PATCH: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """``key``: requests of one key are sent in order. ``origin``: told to whoever hears of a refusal."""

    key: str
    method: str
    path: str
    body: dict[str, Any]
    content_type: str = "application/json"
    origin: object = None


def node_path(name: str) -> str:
    return f"/api/v1/nodes/{name}"


def pod_path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def create(collection: str, body: dict[str, Any], key: str, origin: object = None) -> Request:
    return Request(key, "POST", collection, body, origin=origin)


def patch(path: str, uid: str, body: dict[str, Any]) -> Request:
    """A merge patch of that very object: with another UID under the same name the server answers 409."""
    return Request(uid, "PATCH", path, {**body, "metadata": {"uid": uid, **body.get("metadata", {})}}, MERGE_PATCH)


def delete_pod(namespace: str, name: str, uid: str, *, at_once: bool) -> Request:
    """``at_once``: its kubelet is done with it, or will never be; otherwise it gets its own grace period."""
    body: dict[str, Any] = {"preconditions": {"uid": uid}}
    if at_once:
        body["gracePeriodSeconds"] = 0
    return Request(uid, "DELETE", pod_path(namespace, name), body)
