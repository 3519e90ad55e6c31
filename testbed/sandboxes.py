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

OPT_IN: Final = "lastnode.dev/node-stickiness"
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
    version: str = SANDBOX_VERSION,
) -> Object:
    """A Sandbox that somebody made himself, with whether it has opted in.

    ``pod_annotations``: see testbed.agent.names for those of the stand-in."""
    metadata = {"name": name, "namespace": namespace, "annotations": _opted(sticky)}
    template = _pod_template(image, cpu, memory, pod_annotations)
    return {
        "apiVersion": version,
        "kind": contract.SANDBOX_KIND,
        "metadata": metadata,
        "spec": {"podTemplate": template},
    }


def operated(version: str, running: bool) -> Object:
    """The change that suspends or resumes a Sandbox of that apiVersion."""
    if version == SANDBOX_VERSION:
        return {"spec": {"operatingMode": "Running" if running else "Suspended"}}
    return {"spec": {"replicas": int(running)}}


def template(name: str, *, namespace: str = "default", image: str = DEFAULT_IMAGE, sticky: bool = False) -> Object:
    """A SandboxTemplate; its definition is testbed/crds/sandbox-templates.yaml."""
    return {
        "apiVersion": EXTENSIONS_VERSION,
        "kind": "SandboxTemplate",
        "metadata": {"name": name, "namespace": namespace, "annotations": _opted(sticky)},
        "spec": {"podTemplate": _pod_template(image, "400m", "512Mi", None)},
    }


def from_template(template: Mapping[str, Any], name: str, *, pool: str = "") -> Object:
    """The Sandbox that a claim of that ``name`` is given where nothing is pooled; with ``pool``, one that this
    SandboxWarmPool keeps ready."""
    origin = template["metadata"]["name"]
    labels = {names.TEMPLATE_HASH: name_hash(origin)}
    if pool:
        labels[names.WARM_POOL] = name_hash(pool)
    return {
        "apiVersion": SANDBOX_VERSION,
        "kind": contract.SANDBOX_KIND,
        "metadata": {
            "name": name,
            "namespace": template["metadata"]["namespace"],
            "labels": labels,
            "annotations": {names.TEMPLATE: origin},
            "ownerReferences": [_controller("SandboxWarmPool", pool) if pool else _controller("SandboxClaim", name)],
        },
        "spec": {"podTemplate": template["spec"]["podTemplate"]},
    }


def adopted(claim: str) -> Object:
    """The change by which a claim takes a Sandbox from its pool: pod and UID stay."""
    return {"metadata": {"labels": {names.WARM_POOL: None}, "ownerReferences": [_controller("SandboxClaim", claim)]}}


def _controller(kind: str, name: str) -> Object:
    return {"apiVersion": EXTENSIONS_VERSION, "kind": kind, "name": name, "uid": f"{kind}-{name}", "controller": True}


def _opted(sticky: bool) -> dict[str, str]:
    return {OPT_IN: contract.STICKINESS_ENABLED} if sticky else {}


def _pod_template(image: str, cpu: str, memory: str, annotations: Mapping[str, str] | None) -> Object:
    return {
        "metadata": {"annotations": dict(annotations or {})},
        "spec": {"containers": [container_of("agent", image, cpu, memory)]},
    }
