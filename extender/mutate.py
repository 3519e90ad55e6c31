"""POST /mutate: what kube-apiserver asks, and what it gets back. Whatever is wrong, the pod is allowed as it is.

AdmissionReview of admission.k8s.io/v1. Of the pod, which may have 10 KB, only the preference's own fields become
objects, and the patch is made between two documents that hold nothing but these.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import jsonpatch
import msgspec

from extender.lookup import Lookup
from extender.metrics import InjectionMetrics
from lastnode.injector import with_terms
from lastnode.kube.errors import Undecodable
from lastnode.kube.wire import decode
from lastnode.objects import Session
from lastnode.preference import PREFERRED, carries, terms
from lastnode.ranking import Preference
from lastnode.reading import NOTHING, Pod
from lastnode.reasons import Result

# What the API server fills in before any webhook is asked, so it may be nobody's choice.
DEFAULT_SCHEDULER: Final = "default-scheduler"

_VERSION: Final = "admission.k8s.io/v1"
_KIND: Final = "AdmissionReview"
# All of a pod's spec that a preference can depend on or change.
_FIELDS: Final = ("nodeName", "affinity", "schedulerName")

Spec = dict[str, Any]


class BadReview(ValueError):
    """Not an AdmissionReview that can be read. ``uid``: the request's, where at least that could be."""

    def __init__(self, text: str, uid: str = "") -> None:
        super().__init__(text)
        self.uid = uid


class _Part(msgspec.Struct, gc=False, rename="camel"):
    """Base of the partial objects below."""


class _Resource(_Part):
    group: str = ""
    version: str = ""
    resource: str = ""


class _Request(_Part):
    uid: str
    operation: str
    resource: _Resource
    sub_resource: str | None = None
    namespace: str = ""
    dry_run: bool | None = None
    object: msgspec.Raw = NOTHING


class _Review(_Part):
    api_version: str
    kind: str
    request: _Request


class _Identity(_Part):
    uid: str


class _Identified(_Part):
    request: _Identity


class _Specified(_Part):
    spec: dict[str, msgspec.Raw]


_PODS: Final = _Resource(version="v1", resource="pods")
_REVIEW: Final = msgspec.json.Decoder(_Review)
_IDENTIFIED: Final = msgspec.json.Decoder(_Identified)
_POD: Final = msgspec.json.Decoder(Pod)
_ANYTHING: Final = msgspec.json.Decoder(Any)
_SPECIFIED: Final = msgspec.json.Decoder(_Specified)


class Review:
    """One decoded request. ``uid`` goes back with the answer; ``dry_run``: nothing will come of it."""

    def __init__(self, body: bytes) -> None:
        """:raises BadReview: the body is not an AdmissionReview of v1 with a request."""
        try:
            review = decode(_REVIEW, body)
        except Undecodable as error:
            raise BadReview(str(error), _uid_of(body)) from error
        self._request = review.request
        self.uid = review.request.uid
        if (review.api_version, review.kind) != (_VERSION, _KIND):
            raise BadReview(f"{review.kind} of {review.api_version}", self.uid)
        self.dry_run = bool(review.request.dry_run)

    def session(self, read: Callable[[Pod], Session | None]) -> Session | None:
        """The session whose pod is to be created, as ``read`` makes it of a pod; None where the request is about
        anything else. It may have no name yet (generateName), and no namespace of its own.

        :raises BadReview: the pod cannot be read.
        """
        request = self._request
        if request.operation != "CREATE" or request.sub_resource or request.resource != _PODS:
            return None
        try:
            session = read(self._read(_POD, request.object))
        except Undecodable as error:
            raise BadReview(str(error), self.uid) from error
        return session and msgspec.structs.replace(session, namespace=request.namespace)

    def spec(self) -> Spec:
        """The pod's spec, reduced to what :func:`prefer` and :func:`schedule_by` look at; absent stays absent.

        :raises BadReview: it cannot be read.
        """
        fields: dict[str, msgspec.Raw] = self._read(_SPECIFIED, self._request.object).spec
        return {name: self._read(_ANYTHING, fields[name]) for name in _FIELDS if name in fields}

    def _read(self, decoder: Any, part: msgspec.Raw) -> Any:
        try:
            return decode(decoder, part)
        except Undecodable as error:
            raise BadReview(str(error), self.uid) from error


def prefer(spec: Spec, preference: Preference) -> Spec:
    """A spec that prefers these nodes; the very same one where it does so already, in either rendering.

    :raises TypeError: the spec has another shape than a pod's.
    """
    found = _preferred_terms(spec)
    return with_terms(
        spec, terms(one for one in preference.nodes if not carries(found, one.node, one.hostname, weight=one.weight))
    )


def schedule_by(spec: Spec, scheduler: str) -> Spec:
    """A spec with that schedulerName; the very same one where ``scheduler`` is empty or somebody chose another."""
    if not scheduler or spec.get("schedulerName") not in (None, "", DEFAULT_SCHEDULER):
        return spec
    return spec if scheduler == spec.get("schedulerName") else {**spec, "schedulerName": scheduler}


def allow(uid: str, before: Spec | None = None, after: Spec | None = None) -> bytes:
    """The AdmissionReview that lets the pod pass, with the patch from one reduced spec to the other, if they differ."""
    response: dict[str, Any] = {"uid": uid, "allowed": True}
    if before is not after:
        patch = jsonpatch.make_patch({"spec": before}, {"spec": after}).patch
        # Bytes become base64, as the field asks for.
        response |= {"patchType": "JSONPatch", "patch": msgspec.json.encode(patch)}
    return msgspec.json.encode({"apiVersion": _VERSION, "kind": _KIND, "response": response})


def _preferred_terms(spec: Spec) -> object:
    affinity = spec.get("affinity") or {}
    return (affinity.get("nodeAffinity") or {}).get(PREFERRED)


def _uid_of(body: bytes) -> str:
    try:
        return decode(_IDENTIFIED, body).request.uid
    except Undecodable:
        return ""


# How long a mutate request may wait for a Sandbox that the watch has not brought yet. Only the creation of this one
# pod waits, so it may be far longer than kube-scheduler can bear; it must stay below timeoutSeconds (1 s or more)
# with room for a busy machine.
SANDBOX_SECONDS = 0.3
# Of the server's threads (128); the others go on answering. With 4 of 8, 274 of 2,000 pods whose Sandbox was made a
# moment before by one of 32 clients found no place to wait and came without; with 32 none (docs/measured.md).
WAITING_AT_ONCE = 32

log = logging.getLogger(__name__)


class Webhook:
    """Holds no state of its own; safe to call from many threads.

    ``scheduler``: the schedulerName that pods get which have something to come back to; empty: they keep theirs.
    """

    def __init__(
        self,
        lookup: Lookup,
        counters: InjectionMetrics,
        scheduler: str = "",
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._lookup = lookup
        self._counters = counters
        self._scheduler = scheduler
        self._clock = clock

    def mutate(self, body: bytes) -> bytes:
        """The AdmissionReview that answers ``body``, always with "allowed". Never raises."""
        started, uid = self._clock(), ""
        try:
            review = Review(body)
            uid = review.uid
            result, answer = self._answer(review)
            if review.dry_run:  # nothing comes of it, so it does not count as what it would have been
                result = Result.DRY_RUN
        except BadReview as error:
            log.debug("bad mutate request: %s", error)
            result, answer = Result.BAD_REQUEST, allow(error.uid)
        except Exception:
            log.exception("a mutate request failed; the pod was allowed as it was")
            result, answer = Result.ERROR, allow(uid)
        self._counters.request(result, self._clock() - started)
        return answer

    def refuse(self) -> bytes:
        """The answer to a body that was not read (too large, broken off)."""
        self._counters.request(Result.BAD_REQUEST, 0.0)
        return allow("")

    def _answer(self, review: Review) -> tuple[str, bytes]:
        session = review.session(self._lookup.session)
        if session is None:
            return Result.NOT_OURS, allow(review.uid)
        if session.node:
            return Result.BOUND, allow(review.uid)
        preference = self._lookup.find(session)
        if not preference.nodes:
            return preference.reason, allow(review.uid)
        before = review.spec()
        try:
            preferring = prefer(before, preference)
        except TypeError as error:
            raise BadReview(str(error), review.uid) from error
        result = Result.ALREADY_INJECTED if preferring is before else Result.INJECTED
        return result, allow(review.uid, before, schedule_by(preferring, self._scheduler))
