"""Which versions of Sandbox a cluster serves: one, both, and the move to the newer one while programs run.

As agent-sandbox's releases have it: 0.4 serves v1alpha1, 0.5 both and stores v1beta1, 1.0 only v1beta1, after its
migration has rewritten every object. What is missing here is 0.5's conversion webhook: a Sandbox is suspended in the
version that it was made in, until it is rewritten.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Collection
from typing import Any, Final

import yaml

from lastnode.contract import SANDBOX_GROUP, SANDBOX_RESOURCE

from .api import Api
from .apply import apply
from .errors import ApiError, LocalError
from .paths import CRDS

# The newest one last: where it is served, it is stored.
VERSIONS: Final = ("v1alpha1", "v1beta1")
DEFINITION: Final = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{SANDBOX_RESOURCE}"
# What the migration of agent-sandbox leaves behind.
MIGRATED: Final = f"{SANDBOX_GROUP}/storage-migrated-at"
_POLL_SECONDS: Final = 0.05


def definition(versions: Collection[str]) -> dict[str, Any]:
    """The CustomResourceDefinition of Sandbox that serves these versions."""
    document: dict[str, Any] = yaml.safe_load((CRDS / "sandbox.yaml").read_text(encoding="utf-8"))
    served = [copy.copy(each) for each in document["spec"]["versions"] if each["name"] in versions]
    for each in served:
        each["storage"] = each is served[-1]
    document["spec"]["versions"] = served
    return document


def serve(api: Api, *versions: str, seconds: float = 30.0) -> None:
    """Serve these versions and no other one, whatever was served before; as told when this returns.

    A version is given up as in life: the newer one is stored, every object is written anew, then the old one goes. No
    Sandbox is lost, and none changes its UID.

    :raises ApiError: refused, such as giving up the newer version while objects are stored in it.
    :raises LocalError: not within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    if set(_stored(api)) - set(versions):
        serve(api, *VERSIONS, seconds=seconds)
        _rewrite(api)
    apply(api, definition(versions), seconds)
    while any(_answers(api, version) != (version in versions) for version in VERSIONS):
        if time.monotonic() >= deadline:
            raise LocalError(f"Sandbox is not served as {' and '.join(versions)} alone after {seconds:g} s")
        time.sleep(_POLL_SECONDS)


def _rewrite(api: Api) -> None:
    """Every object in the newest version, as its conversion would read it; then nothing else counts as stored."""
    for item in api.get(_collection(VERSIONS[-1]))["items"]:
        metadata, spec = item["metadata"], item["spec"]
        mode = spec.get("operatingMode") or ("Suspended" if spec.get("replicas") == 0 else "Running")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        change = {"metadata": {"annotations": {MIGRATED: now}}, "spec": {"operatingMode": mode, "replicas": None}}
        api.patch(_collection(VERSIONS[-1], metadata["namespace"]) + f"/{metadata['name']}", change)
    api.patch(f"{DEFINITION}/status", {"status": {"storedVersions": [VERSIONS[-1]]}})


def _stored(api: Api) -> list[str]:
    try:
        stored: list[str] = api.get(DEFINITION).get("status", {}).get("storedVersions")
    except ApiError as error:
        if error.status != 404:
            raise
        return []
    return stored or []


def _answers(api: Api, version: str) -> bool:
    try:
        api.get(_collection(version) + "?limit=1")
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def _collection(version: str, namespace: str = "") -> str:
    within = f"namespaces/{namespace}/" if namespace else ""
    return f"/apis/{SANDBOX_GROUP}/{version}/{within}sandboxes"
