"""Every reason that lastnode gives, with its meaning: the one source of metrics' label values, Events, the command line
and the tables in the docs."""

from enum import StrEnum
from typing import Final


class Meant(StrEnum):
    """A closed set of words that metrics use as label values; each has its ``meaning``, for people."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "Meant":
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Reason(Meant):
    """Why a remembered node is not preferred, or why a session ran elsewhere although it was.

    A meaning completes "the session ran elsewhere: ...". Which of them can be said where: the sets below.
    """

    VALID = "valid", "nothing stands against the node"

    NOT_SYNCED = "not_synced", "the extender has not listed the cluster yet"
    UNATTRIBUTED = "unattributed", "nothing says which workload the pod belongs to, or that workload is not known"
    AMBIGUOUS = "ambiguous", "workloads of two kinds have the name that the session gives, and have opted in"
    NOT_STICKY = "not_sticky", "the workload has not opted in, or its opt-in can have no effect"
    NOTHING_REMEMBERED = "nothing_remembered", "the workload remembers no node"

    EXPIRED = "expired", "the placement was older than the memory counts"
    AHEAD = "ahead", "the placement is dated ahead of this clock"
    NODE_GONE = "node_gone", "the node does not exist any more"
    NODE_REPLACED = "node_replaced", "the node was replaced by another machine of the same name"
    NODE_LEAVING = "node_leaving", "the node was being deleted, or an autoscaler was about to take it away"
    NODE_NOT_READY = "node_not_ready", "the node was not Ready"
    NODE_CORDONED = "node_cordoned", "the node was cordoned"

    NO_ROOM = "no_room", "the node had no room for the pod"
    TAINTED = "tainted", "the node has a taint that the pod does not tolerate"
    PINNED = "pinned", "the pod's own node selector or required affinity excludes the node"
    NOT_ASKED = "not_asked", "nobody asked for the node: no extender call, and no preferred term in the pod"
    UNAWARE = "unaware", "the extender was asked and did not know the node yet"
    NOT_OFFERED = "not_offered", "the scheduler did not offer the node to the extender: sampled out, or filtered"
    NOT_CHOSEN = "not_chosen", "the scheduler chose another node: this one was sampled out or outscored"
    OUTSCORED = "outscored", "the scheduler gave another node more points"
    UNKNOWN = "unknown", "nothing that is known explains it"


# Why an entry of the memory cannot be preferred now: what its age and its node say.
INVALID: Final = (
    Reason.EXPIRED, Reason.AHEAD, Reason.NODE_GONE, Reason.NODE_REPLACED, Reason.NODE_LEAVING,
    Reason.NODE_NOT_READY, Reason.NODE_CORDONED,
)  # fmt: skip
# Why there is no node to prefer for a pod.
NO_PREFERENCE: Final = (
    Reason.NOT_SYNCED, Reason.UNATTRIBUTED, Reason.AMBIGUOUS, Reason.NOT_STICKY, Reason.NOTHING_REMEMBERED, *INVALID,
)  # fmt: skip
# Why a session moved: the memory's own reasons, then what the node could not take, then who asked for the node and what
# the scheduler made of that.
MOVED: Final = (
    *INVALID, Reason.NO_ROOM, Reason.TAINTED, Reason.PINNED, Reason.NOT_ASKED, Reason.UNAWARE, Reason.NOT_OFFERED,
    Reason.NOT_CHOSEN, Reason.OUTSCORED, Reason.UNKNOWN,
)  # fmt: skip


class Result(Meant):
    """What came of a request to the extender where it is not one of the reasons."""

    PREFERRED = "preferred", "the node got its points"
    INJECTED = "injected", "the pod got its terms"
    ALREADY_INJECTED = "already_injected", "the pod asks for the node itself"
    BOUND = "bound", "the pod names its node itself"
    DRY_RUN = "dry_run", "nothing came of the request, by its own wish"
    NOT_OURS = "not_ours", "the request was not about a session's pod"
    BAD_REQUEST = "bad_request", "the request could not be read"
    ERROR = "error", "a fault of lastnode, with a line in the log"


_WITHOUT: Final = (Result.NOT_OURS, Result.BAD_REQUEST, Result.ERROR, *NO_PREFERENCE)
# Label values of lastnode_prioritize_total and lastnode_injections_total.
PRIORITIZE: Final = (Result.PREFERRED, Reason.NOT_OFFERED, Result.ALREADY_INJECTED, *_WITHOUT)
MUTATE: Final = (Result.INJECTED, Result.ALREADY_INJECTED, Result.BOUND, Result.DRY_RUN, *_WITHOUT)
