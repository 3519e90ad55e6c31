"""Applies manifests to the API server without kubectl: server-side apply, CustomResourceDefinitions first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from .api import Api
from .errors import ApiError, LocalError

Document = Mapping[str, Any]
_MANAGER = "lastnode-local"
_POLL_SECONDS = 0.05
# What others are put into or are instances of goes first.
_FIRST = ("CustomResourceDefinition", "Namespace")


class HasApi(Protocol):
    def api(self) -> Api: ...


def apply(server: HasApi | Api, what: Path | str | Document | Iterable[Document], seconds: float = 30.0) -> None:
    """Create or change the objects of a YAML file, of every *.yaml of a folder, or given as documents.

    Definitions and namespaces are applied first, and `seconds` are given for the kinds they define to be served.
    Without a namespace of its own a namespaced object goes to "default". Raises ApiError when an object is
    refused, LocalError when a file is not YAML or a kind is not served in time.
    """
    api = server if isinstance(server, Api) else server.api()
    deadline = time.monotonic() + seconds
    for document in sorted(_documents(what), key=lambda d: d.get("kind") not in _FIRST):
        _apply_one(api, document, deadline)


def _apply_one(api: Api, document: Document, deadline: float) -> None:
    path = _path(api, document, deadline)
    api.patch(f"{path}?fieldManager={_MANAGER}&force=true", document, "application/apply-patch+yaml")
    if document["kind"] == "CustomResourceDefinition":
        _wait_established(api, path, deadline)


def _path(api: Api, document: Document, deadline: float) -> str:
    try:
        version, kind, metadata = document["apiVersion"], document["kind"], document["metadata"]
        name = metadata["name"]
    except (KeyError, TypeError) as error:
        raise LocalError(f"a manifest lacks apiVersion, kind or metadata.name: {error}") from error
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    resource = _resource(api, base, kind, deadline)
    place = f"namespaces/{metadata.get('namespace', 'default')}/" if resource["namespaced"] else ""
    return f"{base}/{place}{resource['name']}/{name}"


def _resource(api: Api, base: str, kind: str, deadline: float) -> dict[str, Any]:
    """The served resource of a kind; discovery follows a new definition after a moment."""
    while True:
        for resource in _served(api, base):
            if resource["kind"] == kind and "/" not in resource["name"]:
                return resource
        if time.monotonic() >= deadline:
            raise LocalError(f"the API server does not serve {base.split('/', 2)[2]} {kind}")
        time.sleep(_POLL_SECONDS)


def _served(api: Api, base: str) -> list[dict[str, Any]]:
    try:
        resources: list[dict[str, Any]] = api.get(base)["resources"]
    except ApiError as error:
        if error.status != 404:
            raise
        return []
    return resources


def _wait_established(api: Api, path: str, deadline: float) -> None:
    while not _established(api.get(path)):
        if time.monotonic() >= deadline:
            raise LocalError(f"{path.rpartition('/')[2]} was not established in time")
        time.sleep(_POLL_SECONDS)


def _established(definition: Document) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []  # null until the controller has looked
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _documents(what: Path | str | Document | Iterable[Document]) -> Iterator[Document]:
    if isinstance(what, Mapping):
        yield what
    elif isinstance(what, (str, Path)):
        path = Path(what)
        for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
            yield from _parsed(file)
    else:
        yield from what


def _parsed(file: Path) -> list[Document]:
    try:
        documents = [document for document in yaml.safe_load_all(file.read_text(encoding="utf-8")) if document]
    except (OSError, yaml.YAMLError) as error:
        raise LocalError(f"cannot read {file}: {error}") from error
    if not all(isinstance(document, dict) for document in documents):
        raise LocalError(f"{file} holds something that is not a Kubernetes object")
    return documents
