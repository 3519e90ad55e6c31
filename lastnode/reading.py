"""From the API server's bytes to records: only the fields that are named here are decoded, everything else is skipped.

Decoding this way costs 0.03 ms a pod of 9 KB; decoding it into the official client's models costs 1.8 ms. Which labels
and annotations count is the kind's business (``kinds``). Readers raise :class:`Undecodable` for an object of another
shape.
"""

import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec

from lastnode.contract import (
    CACHE_GROUP,
    HOSTNAME_LABEL,
    LAST_NODE,
    LEAVING_TAINTS,
    MAX_NODE_NAME,
    OLDER_WEIGHT,
    RECENT_NODES,
    STICKINESS,
    group_name,
    is_hostname_value,
    may_be_recent_nodes,
    weight_of,
)
from lastnode.kinds import Kind, Ways
from lastnode.kube.errors import Undecodable
from lastnode.kube.wire import decode, decode_deep
from lastnode.objects import Controller, Node, Session, Workload, pack
from lastnode.status import Date, Part, Status, crashed_at, ready_since, scheduled_since, utc

_Field = TypeVar("_Field")

# An absent field that is kept in bytes. (A null comes as b"null": msgspec takes "Raw | None" for null alone.)
NOTHING: Final = msgspec.Raw()


class _Owner(Part):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(Part):
    name: str = ""  # a pod on its way through admission may have only a generateName
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: Date = None
    deletion_timestamp: Date = None  # that there is one says enough
    labels: dict[str, str | None] | None = None
    owner_references: list[_Owner] | None = None


class _Annotated(_Metadata):
    annotations: dict[str, str | None] | None = None

    def says(self, key: str) -> str | None:
        """What its label of that key says, else its annotation."""
        return (self.labels or {}).get(key) or (self.annotations or {}).get(key)


class _NodeAffinity(Part, rename={"preferred": "preferredDuringSchedulingIgnoredDuringExecution"}):
    preferred: msgspec.Raw = NOTHING


class _Affinity(Part):
    node_affinity: _NodeAffinity | None = None


class _PodSpec(Part):
    node_name: str | None = None
    affinity: _Affinity | None = None


class Pod(Part):
    """A pod as far as it is looked at here; :func:`session_of` makes the record of it."""

    metadata: _Metadata
    spec: _PodSpec | None = None
    status: Status | None = None

    @property
    def preferred_terms(self) -> object:
        """Its preferred node-affinity terms in builtins, None without any; decoded only when asked for.

        :raises Undecodable: they cannot be read.
        """
        affinity = self.spec.affinity.node_affinity if self.spec and self.spec.affinity else None
        return decode(_ANYTHING, affinity.preferred) if affinity and affinity.preferred != NOTHING else None


class _Taint(Part):
    key: str = ""


class _NodeSpec(Part):
    unschedulable: bool | None = None
    taints: list[_Taint] | None = None


class _Node(Part):
    metadata: _Metadata
    spec: _NodeSpec | None = None
    status: Status | None = None


class _Stickiness(Part):
    enabled: bool | None = None


class _WorkloadSpec(Part):
    # Of whatever type: a kind that has other uses for these names stays readable.
    node_stickiness: msgspec.Raw = NOTHING
    warm_pool_size: msgspec.Raw = NOTHING


class _Workload(Part):
    metadata: _Annotated
    kind: str = ""  # left out of the items of some lists
    spec: _WorkloadSpec | None = None


class _Whatever(Part):
    """An object of which only the metadata matters."""

    metadata: _Annotated


def read_node(data: bytes | msgspec.Raw) -> Node:
    """A v1 Node."""
    part = decode_deep(_NODE, data)
    hostname = (part.metadata.labels or {}).get(HOSTNAME_LABEL) or ""
    spec = part.spec or _NodeSpec()
    tainted = any(taint.key in LEAVING_TAINTS for taint in spec.taints or ())
    return Node(
        **_identity(part.metadata),
        resource_version=part.metadata.resource_version,
        hostname=hostname if is_hostname_value(hostname) else "",
        ready=ready_since(part.status) is not None,
        unschedulable=bool(spec.unschedulable),
        leaving=tainted or part.metadata.deletion_timestamp is not None,
    )


def read_workload(kind: Kind, data: bytes | msgspec.Raw, keys: Sequence[str] = (), *, whole: bool = False) -> Workload:
    """An object of that kind. ``keys``: what of it may name another workload, where pods lead through it. Texts that
    are no memory are left out, and all of them where it has not opted in, but for who asks for the ``whole``, to show
    or to remove it."""
    part = decode_deep(_WORKLOAD, data)
    annotations = part.metadata.annotations or {}
    sticky = _is_sticky(kind, part.spec or _WorkloadSpec(), annotations)
    texts = _texts(kind.prefix, annotations)
    return Workload(
        **_identity(part.metadata),
        **_links(part.metadata, _named(part.metadata, keys)),
        **_memory(*(texts if whole else _kept(*texts) if sticky else (None, None))),
        resource_version=part.metadata.resource_version,
        resource=kind.resource,
        kind=kind.name or sys.intern(part.kind),
        sticky=sticky,
        created_at=utc(part.metadata.creation_timestamp),
        older_weight=weight_of(annotations.get(kind.annotation(OLDER_WEIGHT))),
        cache_group=_shared(group_name(annotations.get(kind.annotation(CACHE_GROUP)))),
    )


def _is_sticky(kind: Kind, spec: _WorkloadSpec, annotations: Mapping[str, str | None]) -> bool:
    stickiness = _if_readable(_STICKINESS, spec.node_stickiness) if kind.field else None
    size = _if_readable(_SIZE, spec.warm_pool_size) if kind.pooled else None
    annotation = annotations.get(kind.annotation(STICKINESS))
    return kind.is_sticky(stickiness.enabled if stickiness else None, annotation, size)


def _if_readable(decoder: msgspec.json.Decoder[_Field], field: msgspec.Raw) -> _Field | None:
    """A field of another type says nothing, as if it were absent."""
    try:
        return None if field == NOTHING else decode(decoder, field)
    except Undecodable:
        return None


def read_patched(kind: Kind, before: Workload, answer: bytes) -> Workload:
    """``before`` as the answer to a patch of its annotations shows it, of which only the metadata is read.

    The patch named ``before``'s version, so the rest is as it was; where an admission webhook has changed that too,
    the watch says so.
    """
    metadata = decode_deep(_WORKLOAD, answer).metadata
    memory = _memory(*_kept(*_texts(kind.prefix, metadata.annotations or {})))
    return msgspec.structs.replace(before, resource_version=metadata.resource_version, **memory)


def read_controller(keys: Sequence[str], data: bytes | msgspec.Raw) -> Controller:
    """What controls session pods: nothing but its metadata is read. ``keys``: what of it may name a workload."""
    metadata = decode_deep(_METADATA, data).metadata
    created_at = utc(metadata.creation_timestamp)
    return Controller(**_identity(metadata), **_links(metadata, _named(metadata, keys)), created_at=created_at)


def read_annotations(data: bytes | msgspec.Raw) -> Mapping[str, str | None]:
    """An object's annotations, whatever they say."""
    return decode_deep(_METADATA, data).metadata.annotations or {}


def read_session(ways: Ways, data: bytes | msgspec.Raw, watch: int = 0) -> Session:
    """A pod that one of the ways' selectors has let through. One that has just been bound is kept whole."""
    session = _session(decode_deep(_POD, data), ways, watch)
    if session.node is None or session.ready_at is not None or session.over:
        return session
    return msgspec.structs.replace(session, whole=bytes(data))


def session_of(part: Pod, ways: Ways) -> Session | None:
    """The record of a pod that is already decoded; None for one that is no session's.

    :raises Undecodable: one of its fields cannot be read.
    """
    return _session(part, ways) if ways.of(part.metadata.labels or {}) else None


def _session(part: Pod, ways: Ways, watch: int = 0) -> Session:
    status, labels = part.status or Status(), part.metadata.labels or {}
    deleted = part.metadata.deletion_timestamp is not None
    # A pod that is being deleted and still Ready says since when; later its date is that of the end.
    ready_at = None if status.phase in _ENDED else ready_since(status)
    created_at = utc(part.metadata.creation_timestamp)
    return Session(
        **_identity(part.metadata),
        **_links(part.metadata, {key: labels.get(key) for key in ways.keys}),
        ways=ways.of(labels),
        watch=watch,
        node=_shared(part.spec.node_name or None) if part.spec else None,
        ready_at=ready_at,
        created_at=created_at,
        scheduled_after=_seconds_between(created_at, scheduled_since(status)),
        over=status.phase in _ENDED or (deleted and ready_at is None),
        # Containers of a pod that is being deleted end with errors too, and mean nothing by it.
        crashed_at=None if deleted else crashed_at(status),
    )


def _named(metadata: _Annotated, keys: Sequence[str]) -> Mapping[str, str | None]:
    return {key: metadata.says(key) for key in keys}


def _links(metadata: _Metadata, named: Mapping[str, str | None]) -> dict[str, Any]:
    """What leads from an object to a workload."""
    links: dict[str, Any] = {"claims": tuple(text for key, value in named.items() if value for text in (key, value))}
    owner = next((owner for owner in metadata.owner_references or () if owner.controller), None)
    if owner is not None:
        # A Sandbox and its pod have one name, so one text.
        links["controller"] = metadata.name if owner.name == metadata.name else owner.name
        links["controller_uid"] = owner.uid
        links["controller_group"] = sys.intern(owner.api_version.rpartition("/")[0])
    return links


def _texts(prefix: str, annotations: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    """last-node and recent-nodes."""
    return annotations.get(f"{prefix}/{LAST_NODE}"), annotations.get(f"{prefix}/{RECENT_NODES}")


def _kept(last_node: str | None, recent_nodes: str | None) -> tuple[str | None, str | None]:
    """Those that are short enough to mean something."""
    return (
        last_node if last_node is None or len(last_node) <= MAX_NODE_NAME else None,
        recent_nodes if recent_nodes is None or may_be_recent_nodes(recent_nodes) else None,
    )


def _memory(last_node: str | None, recent_nodes: str | None) -> dict[str, Any]:
    return {"last_node": _shared(last_node), "packed_nodes": pack(recent_nodes)}


def _seconds_between(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else max(0, int((end - start).total_seconds()))


def _shared(text: str | None) -> str | None:
    """One text for all that are equal: what tens of thousands of objects say with a few hundred words."""
    return None if text is None else sys.intern(text)


def _identity(metadata: _Metadata) -> dict[str, Any]:
    return {"namespace": sys.intern(metadata.namespace), "name": metadata.name, "uid": metadata.uid}


_ENDED: Final = ("Succeeded", "Failed")
_ANYTHING: Final = msgspec.json.Decoder()
_NODE: Final = msgspec.json.Decoder(_Node)
_WORKLOAD: Final = msgspec.json.Decoder(_Workload)
_STICKINESS: Final = msgspec.json.Decoder(_Stickiness | None)
_SIZE: Final = msgspec.json.Decoder(int | None)
_METADATA: Final = msgspec.json.Decoder(_Whatever)
_POD: Final = msgspec.json.Decoder(Pod)
