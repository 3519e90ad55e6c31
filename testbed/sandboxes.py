"""What users of agent-sandbox write, and what its controllers of templates, pools and claims make of it. Pure.

Shapes and labels are those of agent-sandbox 0.5.6 and 1.0. No controller of pools and claims runs here, so nobody has
to make a pool or a claim: what they own only names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lastnode import contract

from .agent import names
from .agent.sandboxes import name_hash
from .workloads import DEFAULT_IMAGE, SANDBOX_VERSION, Object, container_of

OPT_IN: Final = f"{contract.LASTNODE_PREFIX}/{contract.STICKINESS}"
EXTENSIONS_VERSION: Final = f"extensions.{contract.SANDBOX_GROUP}/v1beta1"


def sandbox(
    name: str,
    *,
    namespace: str = "default",
    image: str = DEFAULT_IMAGE,
    sticky: bool = False,
    cpu: str = "400m",
    memory: str = "512Mi",
    pod_annotations: Mapping[str, str] | None = None,
    suspended: bool = False,
    version: str = SANDBOX_VERSION,
) -> Object:
    """A Sandbox that somebody made himself, with whether it has opted in.

    ``pod_annotations``: see testbed.agent.names for those of the stand-in. ``suspended``: it has no pod yet."""
    made = _object(version, contract.SANDBOX_KIND, namespace, name, _pod_template(image, cpu, memory, pod_annotations))
    made["metadata"]["annotations"] = _opted(sticky)
    made["spec"] |= operated(version, running=False)["spec"] if suspended else {}
    return made


def operated(version: str, running: bool) -> Object:
    """The change that suspends or resumes a Sandbox of that apiVersion."""
    if version == SANDBOX_VERSION:
        return {"spec": {"operatingMode": "Running" if running else "Suspended"}}
    return {"spec": {"replicas": int(running)}}


def template(name: str, *, namespace: str = "default", image: str = DEFAULT_IMAGE, sticky: bool = False) -> Object:
    """A SandboxTemplate; its definition is testbed/crds/sandbox-templates.yaml."""
    made = _object(EXTENSIONS_VERSION, "SandboxTemplate", namespace, name, _pod_template(image, "400m", "512Mi"))
    made["metadata"]["annotations"] = _opted(sticky)
    return made


def from_template(template: Mapping[str, Any], name: str, *, pool: str = "") -> Object:
    """The Sandbox that a claim of that ``name`` is given where nothing is pooled; with ``pool``, one that this
    SandboxWarmPool keeps ready."""
    namespace, origin = template["metadata"]["namespace"], template["metadata"]["name"]
    made = _object(SANDBOX_VERSION, contract.SANDBOX_KIND, namespace, name, template["spec"]["podTemplate"])
    pooled = {contract.WARM_POOL_LABEL: name_hash(pool)} if pool else {}
    made["metadata"] |= {
        "labels": {names.TEMPLATE_HASH: name_hash(origin), **pooled},
        "annotations": {names.TEMPLATE: origin},
        "ownerReferences": [_controller("SandboxWarmPool", pool) if pool else _controller("SandboxClaim", name)],
    }
    return made


def adopted(claim: str) -> Object:
    """The change by which a claim takes a Sandbox from its pool: pod and UID stay."""
    owners = [_controller("SandboxClaim", claim)]
    return {"metadata": {"labels": {contract.WARM_POOL_LABEL: None}, "ownerReferences": owners}}


def _object(version: str, kind: str, namespace: str, name: str, pod_template: Object) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": {"podTemplate": pod_template}}


def _controller(kind: str, name: str) -> Object:
    return {"apiVersion": EXTENSIONS_VERSION, "kind": kind, "name": name, "uid": f"{kind}-{name}", "controller": True}


def _opted(sticky: bool) -> dict[str, str]:
    return {OPT_IN: contract.STICKINESS_ENABLED} if sticky else {}


def _pod_template(image: str, cpu: str, memory: str, annotations: Mapping[str, str] | None = None) -> Object:
    spec = {"containers": [container_of("agent", image, cpu, memory)]}
    return {"metadata": {"annotations": dict(annotations or {})}, "spec": spec}
