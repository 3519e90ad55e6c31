"""What users and the workload manager write: AgentRuntimes, CodeInterpreters, and the Sandbox of a session. Pure.

The shapes, labels and owners are those of agentcube of 2026-08: the Sandbox says which workload it belongs to, the
pod says which session it is, and nothing says of which kind the workload is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, Final, Literal

from lastnode import contract
from lastnode.contract import is_hostname_value, is_node_name

WORKLOAD_VERSION: Final = "runtime.agentcube.volcano.sh/v1alpha1"
SANDBOX_VERSION: Final = f"{contract.SANDBOX_GROUP}/v1beta1"
DEFAULT_IMAGE: Final = "registry.local/agent:1"

Object = dict[str, Any]
Via = Literal["field", "annotation"]


def agent_runtime(
    name: str,
    *,
    namespace: str = "default",
    image: str = DEFAULT_IMAGE,
    sticky: bool | None = None,
    via: Via = "field",
    cpu: str = "400m",
    memory: str = "512Mi",
    pod_annotations: Mapping[str, str] | None = None,
) -> Object:
    """An AgentRuntime. ``sticky`` None says nothing of stickiness; ``via`` is where it is said otherwise.

    ``pod_annotations`` go to the pods of its sessions: see testbed.agent.names for those of the stand-in.
    """
    template = {
        "labels": {"app": name},
        "annotations": dict(pod_annotations or {}),
        "spec": {"containers": [container_of("agent", image, cpu, memory)]},
    }
    return _opted(_workload("AgentRuntime", namespace, name, {"podTemplate": template}), sticky, via)


def code_interpreter(
    name: str,
    *,
    namespace: str = "default",
    image: str = DEFAULT_IMAGE,
    sticky: bool | None = None,
    via: Via = "field",
    cpu: str = "400m",
    memory: str = "512Mi",
    warm_pool_size: int = 0,
    pod_annotations: Mapping[str, str] | None = None,
) -> Object:
    """A CodeInterpreter; everything as in :func:`agent_runtime`."""
    container = container_of("code-interpreter", image, cpu, memory)
    template = {key: container[key] for key in ("image", "resources")}
    template |= {"labels": {"app": name}, "annotations": dict(pod_annotations or {})}
    spec: Object = {"template": template, "warmPoolSize": warm_pool_size}
    return _opted(_workload("CodeInterpreter", namespace, name, spec), sticky, via)


def sandbox_for(
    workload: Mapping[str, Any],
    session_id: str,
    *,
    transform: Callable[[Object], Object] | None = None,
    scheduler_name: str | None = None,
    kind_label: bool = False,
    version: str = SANDBOX_VERSION,
) -> Object:
    """The Sandbox of one session, named after workload and session.

    ``transform``: applied to the pod's spec, as a workload manager would apply the injector. ``kind_label``: name and
    kind of the workload are put on the pod too, as PR #412's agentcube could. ``version``: the Sandbox's apiVersion. A
    warm pool is not modelled: the session's Sandbox is made as if there were none.

    :raises ValueError: no AgentRuntime or CodeInterpreter, or a name that no pod or label can have.
    """
    metadata = workload["metadata"]
    name = f"{metadata['name']}-{session_id}"
    if not is_hostname_value(name) or not is_node_name(name):
        raise ValueError(f"{name!r} cannot be the name of a Sandbox: at most 63 characters of a-z, 0-9 and -")
    template = pod_template(workload)
    template["metadata"]["labels"] |= {contract.SESSION_LABEL: session_id, contract.SANDBOX_LABEL: name}
    labels = {
        contract.SESSION_LABEL: session_id,
        contract.WORKLOAD_NAME_LABEL: metadata["name"],
        "managed-by": "agentcube-workload-manager",
    }
    if kind_label:
        kind = {contract.WORKLOAD_KIND_LABEL: workload["kind"]}
        labels |= kind
        template["metadata"]["labels"] |= {contract.WORKLOAD_NAME_LABEL: metadata["name"]} | kind
    if scheduler_name:
        template["spec"]["schedulerName"] = scheduler_name
    if transform:
        template["spec"] = transform(template["spec"])
    return {
        "apiVersion": version,
        "kind": contract.SANDBOX_KIND,
        "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
        "spec": {"podTemplate": template},
    }


def pod_template(workload: Mapping[str, Any]) -> Object:
    """``{"metadata": {"labels", "annotations"}, "spec"}`` of a workload's sessions, a copy."""
    spec = workload["spec"]
    if workload["kind"] == "AgentRuntime":
        own = deepcopy(spec["podTemplate"])
        pod_spec = own.get("spec") or {}
    elif workload["kind"] == "CodeInterpreter":
        own = deepcopy(spec["template"])
        container = {key: own[key] for key in ("image", "resources", "command", "args") if key in own}
        pod_spec = {"containers": [{"name": "code-interpreter", **container}]}
    else:
        raise ValueError(f"{workload['kind']!r} is neither AgentRuntime nor CodeInterpreter")
    metadata = {"labels": own.get("labels") or {}, "annotations": own.get("annotations") or {}}
    return {"metadata": metadata, "spec": pod_spec}


def _workload(kind: str, namespace: str, name: str, spec: Object) -> Object:
    metadata: Object = {"name": name, "namespace": namespace}
    return {"apiVersion": WORKLOAD_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _opted(workload: Object, sticky: bool | None, via: Via) -> Object:
    if sticky is None:
        return workload
    if via == "field":
        workload["spec"]["nodeStickiness"] = {"enabled": sticky}
    else:
        value = contract.STICKINESS_ENABLED if sticky else "disabled"
        workload["metadata"]["annotations"] = {contract.STICKINESS_ANNOTATION: value}
    return workload


def container_of(name: str, image: str, cpu: str, memory: str) -> Object:
    """A container of a pod that asks for so much."""
    return {"name": name, "image": image, "resources": {"requests": {"cpu": cpu, "memory": memory}}}
