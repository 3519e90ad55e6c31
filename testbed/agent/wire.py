"""From the API server's bytes to the few fields that the stand-in looks at."""

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from lastnode.contract import SANDBOX_GROUP, SANDBOX_KIND, WARM_POOL_LABEL
from lastnode.kube.store import Record
from lastnode.kube.wire import decode
from testbed.agent import names


class SeenNode(Record, frozen=True, gc=False, kw_only=True):
    """``ready`` is None where no kubelet has said anything yet. ``taints`` as they are in the spec."""

    served: bool
    ready: bool | None
    address: str
    taints: list[dict[str, Any]]
    images: list[tuple[str, int]]


class SeenPod(Record, frozen=True, gc=False, kw_only=True):
    """``containers``: (name, image), init containers not among them. ``images``: those of all containers.

    ``owner``/``owner_uid``: the Sandbox that controls the pod. ``annotations``: only those of the stand-in.
    ``kept``: conditions of others (the scheduler's), to be written back as they are. ``start_up``: the message of
    :data:`names.START_UP`. ``extension``: labels that it has from the controllers of pools and claims.
    """

    node: str
    phase: str
    ready_at: datetime | None
    started_at: str | None
    deleting: bool
    owner: str
    owner_uid: str
    containers: list[tuple[str, str]]
    images: list[str]
    annotations: dict[str, str]
    kept: list[dict[str, Any]]
    start_up: str
    extension: dict[str, str]

    @property
    def over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")


class Said(NamedTuple):
    """What a Sandbox's status says; ``node``: its pod's, empty without one."""

    ready: bool
    node: str
    suspended: bool


class SeenSandbox(Record, frozen=True, gc=False, kw_only=True):
    """``template``: spec.podTemplate as JSON. ``wanted``: it should have a pod now. ``suspended``: its spec says so.
    ``said``: its status. ``extension``: labels for its pod, from the controllers of pools and claims."""

    api_version: str
    generation: int
    template: bytes
    wanted: bool
    suspended: bool
    said: Said
    extension: dict[str, str]


class _Part(msgspec.Struct, gc=False, rename="camel"):
    pass


class _Owner(_Part):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(_Part):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Address(_Part):
    type: str
    address: str


class _HeldImage(_Part):
    names: list[str] | None = None
    size_bytes: int = 0


class _NodeStatus(_Part):
    conditions: list[dict[str, Any]] | None = None
    addresses: list[_Address] | None = None
    images: list[_HeldImage] | None = None


class _NodeSpec(_Part):
    taints: list[dict[str, Any]] | None = None


class _Node(_Part):
    metadata: _Metadata
    spec: _NodeSpec = msgspec.field(default_factory=_NodeSpec)
    status: _NodeStatus = msgspec.field(default_factory=_NodeStatus)


class _Container(_Part):
    name: str
    image: str = ""


class _PodSpec(_Part):
    node_name: str | None = None
    containers: list[_Container] = []
    init_containers: list[_Container] | None = None


class _PodStatus(_Part):
    phase: str = ""
    start_time: str | None = None
    conditions: list[dict[str, Any]] | None = None


class _Pod(_Part):
    metadata: _Metadata
    spec: _PodSpec
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _SandboxSpec(_Part):
    pod_template: msgspec.Raw = msgspec.Raw(b"{}")
    replicas: int | None = None
    operating_mode: str | None = None


class _SandboxStatus(_Part):
    node_name: str = ""
    conditions: list[dict[str, Any]] | None = None


class _Sandbox(_Part):
    api_version: str
    metadata: _Metadata
    spec: _SandboxSpec = msgspec.field(default_factory=_SandboxSpec)
    status: _SandboxStatus = msgspec.field(default_factory=_SandboxStatus)


def node(data: bytes | msgspec.Raw) -> SeenNode:
    """A v1 Node. Like all readers here it raises :class:`Undecodable` for an object of another shape."""
    part = decode(_NODE, data)
    ready = _condition(part.status.conditions, "Ready")
    addresses = {address.type: address.address for address in part.status.addresses or ()}
    return SeenNode(
        **_identity(part.metadata),
        served=(part.metadata.labels or {}).get(names.KUBELET_LABEL) == names.KUBELET_SIMULATED,
        ready=None if ready is None else ready.get("status") == "True",
        address=addresses.get("InternalIP", ""),
        taints=part.spec.taints or [],
        images=[(image.names[0], image.size_bytes) for image in part.status.images or () if image.names],
    )


def pod(data: bytes | msgspec.Raw) -> SeenPod:
    """A v1 Pod."""
    part = decode(_POD, data)
    owner = next((owner for owner in part.metadata.owner_references or () if _is_sandbox(owner)), None)
    annotations = part.metadata.annotations or {}
    return SeenPod(
        **_identity(part.metadata),
        node=part.spec.node_name or "",
        phase=part.status.phase,
        ready_at=_since(_condition(part.status.conditions, "Ready")),
        started_at=part.status.start_time,
        deleting=part.metadata.deletion_timestamp is not None,
        owner=owner.name if owner else "",
        owner_uid=owner.uid if owner else "",
        containers=[(container.name, container.image) for container in part.spec.containers],
        images=[c.image for c in [*(part.spec.init_containers or ()), *part.spec.containers]],
        annotations={key: value for key, value in annotations.items() if key.startswith(names.PREFIX)},
        kept=[c for c in part.status.conditions or () if c.get("type") not in _KUBELETS_OWN],
        start_up=(_condition(part.status.conditions, names.START_UP) or {}).get("message", ""),
        extension=_extension(part.metadata),
    )


def sandbox(data: bytes | msgspec.Raw) -> SeenSandbox:
    """A Sandbox of any served version."""
    part = decode(_SANDBOX, data)
    conditions = part.status.conditions
    mode = part.spec.operating_mode or ("Suspended" if part.spec.replicas == 0 else "Running")
    controller = next((owner for owner in part.metadata.owner_references or () if owner.controller), _Owner())
    extension = _extension(part.metadata) if controller.api_version.startswith(f"{_EXTENSIONS}/") else {}
    if controller.kind != "SandboxWarmPool":
        extension.pop(WARM_POOL_LABEL, None)
    return SeenSandbox(
        **_identity(part.metadata),
        api_version=part.api_version,
        generation=part.metadata.generation,
        template=bytes(part.spec.pod_template),
        wanted=mode == "Running" and part.metadata.deletion_timestamp is None,
        suspended=mode == "Suspended",
        said=Said(_is_true(conditions, "Ready"), part.status.node_name, _is_true(conditions, "Suspended")),
        extension=extension,
    )


def _is_sandbox(owner: _Owner) -> bool:
    group = owner.api_version.partition("/")[0]
    return bool(owner.controller) and owner.kind == SANDBOX_KIND and group == SANDBOX_GROUP


def _condition(conditions: list[dict[str, Any]] | None, kind: str) -> dict[str, Any] | None:
    return next((condition for condition in conditions or () if condition.get("type") == kind), None)


def _is_true(conditions: list[dict[str, Any]] | None, kind: str) -> bool:
    return (_condition(conditions, kind) or {}).get("status") == "True"


def _extension(metadata: _Metadata) -> dict[str, str]:
    labels = metadata.labels or {}
    return {key: labels[key] for key in (WARM_POOL_LABEL, names.TEMPLATE_HASH) if labels.get(key)}


def _since(condition: dict[str, Any] | None) -> datetime | None:
    """Since when a condition is True, None where it is not."""
    if condition is None or condition.get("status") != "True":
        return None
    return datetime.fromisoformat(condition.get("lastTransitionTime") or "1970-01-01T00:00:00Z").astimezone(UTC)


def _identity(metadata: _Metadata) -> dict[str, str]:
    return {
        "namespace": metadata.namespace,
        "name": metadata.name,
        "uid": metadata.uid,
        "resource_version": metadata.resource_version,
    }


_EXTENSIONS: Final = f"extensions.{SANDBOX_GROUP}"
_KUBELETS_OWN: Final = {"Initialized", "ContainersReady", "Ready", names.START_UP}
_NODE: Final = msgspec.json.Decoder(_Node)
_POD: Final = msgspec.json.Decoder(_Pod)
_SANDBOX: Final = msgspec.json.Decoder(_Sandbox)
