"""POST /prioritize: what kube-scheduler sends, and what it gets back: whatever is wrong, a valid answer at once.

The wire types are untagged Go structs, so the field names are upper-case and Go would take any casing; both usual ones
are read. Of 5,000 offered names not one becomes a string: the wanted one is looked for in the bytes.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from threading import Lock
from types import TracebackType
from typing import Final, NamedTuple

import msgspec

from extender.lookup import Lookup
from extender.metrics import PrioritizeMetrics
from lastnode.kube.errors import Undecodable
from lastnode.objects import Session
from lastnode.outcome import Decision, Decisions
from lastnode.preference import carries, scores
from lastnode.ranking import Preference, Preferred
from lastnode.reading import NOTHING, Pod
from lastnode.reasons import Reason, Result

NOBODY: Final = b"[]"

# What decoding raises: wrong JSON or types, too deep, bytes that are no UTF-8, a moment outside the calendar.
_UNREADABLE: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError, Undecodable)


class BadRequest(ValueError):
    """Not ExtenderArgs."""


class Args(
    msgspec.Struct,
    gc=False,
    rename={
        "pod": "Pod",
        "names": "NodeNames",
        "nodes": "Nodes",
        "pod_": "pod",
        "names_": "nodenames",
        "nodes_": "nodes",
    },
):
    """ExtenderArgs with its offered nodes still in bytes. The second three are the lower-case spellings."""

    pod: Pod | None = None
    names: msgspec.Raw = NOTHING
    nodes: msgspec.Raw = NOTHING
    pod_: Pod | None = None
    names_: msgspec.Raw = NOTHING
    nodes_: msgspec.Raw = NOTHING
    camel: msgspec.Raw = msgspec.field(default=NOTHING, name="nodeNames")


class _Meta(msgspec.Struct, gc=False):
    name: str


class _Node(msgspec.Struct, gc=False):
    metadata: _Meta


class _Nodes(msgspec.Struct, gc=False):
    items: list[_Node] | None = None


_ARGS: Final = msgspec.json.Decoder(Args)
_NAMES: Final = msgspec.json.Decoder(list[str])
_NODES: Final = msgspec.json.Decoder(_Nodes)


class Request:
    """One decoded request: the pod, and whether a node is among those offered."""

    def __init__(self, body: bytes) -> None:
        """:raises BadRequest: the body is not ExtenderArgs with a pod."""
        with _READING:
            args = _ARGS.decode(body)
        pod = args.pod or args.pod_
        if pod is None:
            raise BadRequest("no pod")
        self._pod = pod
        self._names = _given(args.names, args.names_, args.camel)
        self._nodes = _given(args.nodes, args.nodes_)

    def session(self, read: Callable[[Pod], Session | None]) -> Session | None:
        """The pod's session, as ``read`` makes it of a pod; None where the pod is no session's.

        :raises BadRequest: one of its fields cannot be read.
        """
        with _READING:
            return read(self._pod)

    def preferred_terms(self) -> object:
        """The pod's preferred node-affinity terms in builtins, None without any.

        :raises BadRequest: they cannot be read.
        """
        with _READING:
            return self._pod.preferred_terms

    def offers(self, node: str) -> bool:
        """Whether ``node`` (a valid node name) is one of the feasible nodes that the scheduler asks about.

        :raises BadRequest: the names are of a wrong type.
        """
        with _READING:
            if self._names:
                return _among_names(self._names, node)
            return bool(self._nodes) and node in _names_of(self._nodes)

    def count(self) -> int:
        """How many nodes are offered: counted by commas where they are names, since a name cannot hold one."""
        if self._names:
            return self._names.count(b",") + 1 if b'"' in self._names else 0
        try:
            return len(_names_of(self._nodes)) if self._nodes else 0
        except _UNREADABLE:
            return 0


def favour(offered: Sequence[Preferred]) -> bytes:
    """The answer that gives these nodes their points and every other node none.

    Sparse, because kube-scheduler takes an absent host for 0. Without a trailing newline: Go before 1.27 does not
    keep a connection on which bytes are left after the JSON value.
    """
    return msgspec.json.encode([{"Host": node, "Score": score} for node, score in scores(offered).items()])


class _Reading:
    """A class, because entering a generator four times a request takes longer than reading what is read."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if isinstance(error, _UNREADABLE):
            raise BadRequest(str(error)) from error


_READING: Final = _Reading()


def _given(*spellings: msgspec.Raw) -> bytes:
    """The first spelling that is there and not null, else nothing."""
    return next((text for raw in spellings if (text := bytes(raw)) not in (b"", b"null")), b"")


def _among_names(text: bytes, node: str) -> bool:
    if not text.startswith(b"["):
        raise msgspec.DecodeError("NodeNames is not a list")
    if b"\\" in text:  # escaped spellings are legal, though nobody writes node names so
        return node in _NAMES.decode(text)
    return f'"{node}"'.encode() in text


def _names_of(nodes: bytes) -> set[str]:
    return {node.metadata.name for node in _NODES.decode(nodes).items or ()}


# About 300 bytes each. The recorder asks milliseconds after the pod was bound, a person within minutes.
KEPT: Final = 10_000


class _Kept(NamedTuple):
    result: str
    node: str
    at: float


class DecisionLog:
    """Pod UID -> the last answer about it. Safe to share between threads. ``clock``: seconds since the epoch."""

    def __init__(self, size: int = KEPT, clock: Callable[[], float] = time.time) -> None:
        self._size = size
        self._clock = clock
        self._since = clock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()

    def note(self, pod_uid: str, result: str, node: str = "") -> None:
        """The pod was asked about again: only the last answer counts."""
        with self._lock:
            self._kept.pop(pod_uid, None)
            self._kept[pod_uid] = _Kept(result, node, self._clock())
            if len(self._kept) > self._size:
                _, oldest = self._kept.popitem(last=False)
                self._since = oldest.at

    def page(self, pod_uid: str = "") -> bytes:
        """:class:`lastnode.outcome.Decisions` as JSON: of one pod, or all that are kept, oldest first."""
        with self._lock:
            kept = list(self._kept.items()) if not pod_uid else [(pod_uid, self._kept.get(pod_uid))]
            since = self._since
        decisions = [
            Decision(pod_uid=uid, result=one.result, node=one.node, at=_moment(one.at)) for uid, one in kept if one
        ]
        return msgspec.json.encode(Decisions(since=_moment(since), decisions=decisions))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


log = logging.getLogger(__name__)


class Service:
    """Safe to call from many threads. ``decisions``: what was decided about session pods."""

    def __init__(
        self,
        lookup: Lookup,
        counters: PrioritizeMetrics,
        decisions: DecisionLog | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._lookup = lookup
        self._counters = counters
        self.decisions = decisions or DecisionLog()
        self._clock = clock

    def prioritize(self, body: bytes) -> bytes:
        """The HostPriorityList for a body of ExtenderArgs. Never raises."""
        started = self._clock()
        try:
            result, answer = self._answer(body)
        except BadRequest as error:
            log.debug("bad prioritize request: %s", error)
            result, answer = Result.BAD_REQUEST, NOBODY
        except Exception:
            log.exception("a prioritize request failed; it was answered without a preference")
            result, answer = Result.ERROR, NOBODY
        self._counters.request(result, self._clock() - started)
        return answer

    def refuse(self) -> bytes:
        """The answer to a body that was not read (too large, broken off)."""
        self._counters.request(Result.BAD_REQUEST, 0.0)
        return NOBODY

    def _answer(self, body: bytes) -> tuple[str, bytes]:
        request = Request(body)
        session = request.session(self._lookup.session)
        if session is None:
            return Result.NOT_OURS, NOBODY
        self._counters.offered(request.count())
        preference = self._lookup.find(session)
        result, answer = self._decide(request, preference)
        first = preference.first
        self.decisions.note(session.uid, result, first.node if first else "")
        return result, answer

    def _decide(self, request: Request, preference: Preference) -> tuple[str, bytes]:
        if not preference.nodes:
            return preference.reason, NOBODY
        found = request.preferred_terms()
        wanted = [one for one in preference.nodes if not carries(found, one.node, one.hostname, weight=one.weight)]
        if not wanted:
            return Result.ALREADY_INJECTED, NOBODY
        offered = [one for one in wanted if request.offers(one.node)]
        return (Result.PREFERRED, favour(offered)) if offered else (Reason.NOT_OFFERED, NOBODY)
