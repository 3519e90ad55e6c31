"""POST /mutate: what kube-apiserver asks, and what it gets back. Whatever is wrong, the pod is allowed as it is.

AdmissionReview of admission.k8s.io/v1. Of the pod, which may have 10 KB, only the preference's own fields become
objects, and the patch is made between two documents that hold nothing but these.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from extender.holding import Creation, Holding
from extender.lookup import Lookup
from extender.metrics import InjectionMetrics
from lastnode.injector import with_terms
from lastnode.kube.errors import Undecodable
from lastnode.kube.wire import decode
from lastnode.objects import Session
from lastnode.preference import PREFERRED, carried, terms
from lastnode.ranking import Preference
from lastnode.reading import NOTHING, Pod
from lastnode.reasons import Result
from lastnode.status import Part

# What the API server fills in before any webhook is asked, so it may be nobody's choice.
DEFAULT_SCHEDULER: Final = "default-scheduler"
# How long a mutate request may wait for a controller that the watch has not brought yet. Only the creation of this one
# pod waits, so it may be far longer than kube-scheduler can bear; it must stay below timeoutSeconds (1 s or more)
# with room for a busy machine.
CONTROLLER_SECONDS = 0.3
# Of the server's threads (128); the others go on answering. With 4 of 8, 274 of 2,000 pods whose Sandbox was made a
# moment before by one of 32 clients found no place to wait and came without; with 32 none (docs/measured.md).
WAITING_AT_ONCE = 32

_VERSION: Final = "admission.k8s.io/v1"
_KIND: Final = "AdmissionReview"
# All of a pod's spec that a preference can depend on or change.
_FIELDS: Final = ("nodeName", "affinity", "schedulerName")

Spec = dict[str, Any]


class _Resource(Part):
    group: str = ""
    version: str = ""
    resource: str = ""


class _Owner(Part):
    uid: str = ""
    controller: bool | None = None


class _Named(Part):
    name: str = ""
    generate_name: str = ""
    labels: dict[str, str | None] | None = None
    owner_references: list[_Owner] | None = None


class _Created(Part):
    metadata: _Named


class _Specified(Part):
    spec: dict[str, msgspec.Raw]


class Request(Part):
    """What is asked. ``uid`` goes back with the answer; ``dry_run``: nothing will come of it."""

    uid: str
    operation: str
    resource: _Resource
    sub_resource: str | None = None
    namespace: str = ""
    dry_run: bool | None = None
    object: msgspec.Raw = NOTHING

    def pod(self) -> Pod | None:
        """The pod that is to be created; None where the request is about anything else.

        :raises Undecodable: it cannot be read.
        """
        if self.operation != "CREATE" or self.sub_resource or self.resource != _PODS:
            return None
        return decode(_POD, self.object)

    def creation(self) -> Creation:
        """:raises Undecodable: its metadata cannot be read."""
        found = decode(_CREATED, self.object).metadata
        controllers = (owner.uid for owner in found.owner_references or () if owner.controller)
        labels = hash(frozenset((found.labels or {}).items()))
        return Creation(self.namespace, next(controllers, ""), found.name or found.generate_name, labels)

    def spec(self) -> Spec:
        """The pod's spec, reduced to what :func:`prefer` and :func:`schedule_by` look at; absent stays absent.

        :raises Undecodable: it cannot be read.
        """
        fields = decode(_SPECIFIED, self.object).spec
        return {name: decode(_ANYTHING, fields[name]) for name in _FIELDS if name in fields}


class _Review(Part):
    api_version: str
    kind: str
    request: Request


class _Identity(Part):
    uid: str


class _Identified(Part):
    request: _Identity


_PODS: Final = _Resource(version="v1", resource="pods")
_REVIEW: Final = msgspec.json.Decoder(_Review)
_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)
_POD: Final = msgspec.json.Decoder(Pod)
_ANYTHING: Final = msgspec.json.Decoder(Any)
_CREATED: Final = msgspec.json.Decoder(_Created)
_SPECIFIED: Final = msgspec.json.Decoder(_Specified)


def read(body: bytes) -> Request:
    """:raises Undecodable: the body is not an AdmissionReview of v1 with a request."""
    review = decode(_REVIEW, body)
    if (review.api_version, review.kind) != (_VERSION, _KIND):
        raise Undecodable(f"{review.kind} of {review.api_version}")
    return review.request


def prefer(spec: Spec, preference: Preference) -> Spec:
    """A spec that prefers these nodes; the very same one where it does so already, in either rendering.

    :raises TypeError: the spec has another shape than a pod's.
    """
    affinity = spec.get("affinity") or {}
    asked = carried((affinity.get("nodeAffinity") or {}).get(PREFERRED), preference.nodes)
    return with_terms(spec, terms([one for one in preference.nodes if one.node not in asked]))


def schedule_by(spec: Spec, scheduler: str) -> Spec:
    """A spec with that schedulerName; the very same one where ``scheduler`` is empty or somebody chose another."""
    if not scheduler or spec.get("schedulerName") not in (None, "", DEFAULT_SCHEDULER):
        return spec
    return spec if scheduler == spec.get("schedulerName") else {**spec, "schedulerName": scheduler}


def allow(uid: str, before: Spec | None = None, after: Spec | None = None) -> bytes:
    """The AdmissionReview that lets the pod pass, with the patch from one reduced spec to the other, if they differ."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if before is not after:
        # Bytes become base64, as the field asks for.
        response |= {"patchType": "JSONPatch", "patch": msgspec.json.encode([*_additions(before, after, "/spec")])}
    return msgspec.json.encode({"apiVersion": _VERSION, "kind": _KIND, "response": response})


def _additions(before: object, after: object, path: str) -> Iterator[dict[str, Any]]:
    """The operations of RFC 6902 that make ``after`` of ``before``: it shares with it what is the same, lacks nothing
    of it, and its lists go on where those of ``before`` end. Only keys that need no escaping differ."""
    if before is after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in after.items():
            yield from _additions(before.get(key), value, f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list):
        yield from ({"op": "add", "path": f"{path}/-", "value": value} for value in after[len(before) :])
    else:  # "add" replaces what is there: a null, or the default scheduler
        yield {"op": "add", "path": path, "value": after}


class Mutator:
    """Safe to call from many threads.

    ``scheduler``: the schedulerName that pods get which have something to come back to; empty: they keep theirs.
    """

    name: Final = "mutate"

    def __init__(self, lookup: Lookup, counters: InjectionMetrics, holding: Holding, scheduler: str = "") -> None:
        self._lookup = lookup
        self._holding = holding
        self.counters = counters
        self._scheduler = scheduler

    def refuse(self, body: bytes) -> bytes:
        """The answer to what cannot be answered: with the request's UID, where at least that can be read."""
        try:
            return allow(decode(_IDENTIFIED, body).request.uid)
        except Undecodable:
            return allow("")

    def decide(self, body: bytes) -> tuple[str, bytes]:
        """What comes of an AdmissionReview, and the one that answers it, always with "allowed".

        :raises Undecodable: it is none, or its pod cannot be read.
        """
        request = read(body)
        result, answer = self._decide(request)
        # Of a dry run nothing comes, so it does not count as what it would have been.
        return (Result.DRY_RUN if request.dry_run else result), answer

    def _decide(self, request: Request) -> tuple[str, bytes]:
        pod = request.pod()
        # It may have no name yet (generateName), and no namespace of its own.
        session = self._lookup.session(pod) if pod else None
        if session is None:
            return Result.NOT_OURS, allow(request.uid)
        if session.node:
            return Result.BOUND, allow(request.uid)
        session = msgspec.structs.replace(session, namespace=request.namespace)
        preference = self._lookup.find(session)
        if not preference.nodes:
            return preference.reason, allow(request.uid)
        before = request.spec()
        try:
            preferring = prefer(before, preference)
        except TypeError as error:
            raise Undecodable(str(error)) from error
        if preferring is not before and self._held_back(request, session):
            return Result.HELD_BACK, allow(request.uid)
        result = Result.ALREADY_INJECTED if preferring is before else Result.INJECTED
        return result, allow(request.uid, before, schedule_by(preferring, self._scheduler))

    def _held_back(self, request: Request, session: Session) -> bool:
        if request.dry_run:
            return self._holding.is_held(request.namespace)
        return self._holding.asked(request.creation(), self._lookup.remembered(session))
