"""What to write on a workload, if anything. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from lastnode import memory
from lastnode.memory import Crash, Memory
from lastnode.objects import Node, Workload
from lastnode.reasons import Meant

# While a workload cannot be written, its sessions go on crashing: of those crashes only the latest are kept. There are
# five entries at most to take back, and those of older crashes are seldom among them.
MAX_CRASHES: Final = 64


class Pending(NamedTuple):
    """What has to reach one workload: its UID, placements that are not written down yet, and crashes that take
    placements back, written down or not; bounded, however long it has to wait."""

    uid: str
    memory: Memory = ()
    crashes: frozenset[Crash] = frozenset()

    def plus(self, other: "Pending") -> "Pending":
        """Both; in whatever order things come, the same comes out. Of another workload's nothing is taken over."""
        if self.uid != other.uid:
            return other
        return Pending(self.uid, memory.merge(self.memory, other.memory), _latest(self.crashes | other.crashes))


def _latest(crashes: frozenset[Crash]) -> frozenset[Crash]:
    if len(crashes) <= MAX_CRASHES:
        return crashes
    return frozenset(sorted(crashes, key=lambda crash: (crash.at, crash), reverse=True)[:MAX_CRASHES])


class Write(Meant):
    """What came of an attempt to write a workload's memory."""

    WRITTEN = "written", "the annotations were written"
    CONFLICT = "conflict", "somebody else wrote in between: tried again on what is there now"
    RETRIED = "retried", "the API server was away or overloaded: tried again later"
    REFUSED = "refused", "403 or 422: tried again with the workload's next session"
    GONE = "gone", "the workload does not exist any more"
    REPLACED = "replaced", "the workload is another one of the same name"
    NOT_STICKY = "not_sticky", "the workload has not opted in any more"
    UNCHANGED = "unchanged", "it says so already"


def decide(
    workload: Workload | None, known: Memory, pending: Pending, nodes: Mapping[str, Node] | None
) -> Memory | Write:
    """The memory to write, or why there is nothing to write.

    ``known``: the memory that ``workload`` carries. ``nodes``: every node by name, for leaving out those that are gone
    or replaced; None while they are not all known.
    """
    if workload is None:
        return Write.GONE
    if workload.uid != pending.uid:
        return Write.REPLACED
    if not workload.sticky:
        return Write.NOT_STICKY
    merged = memory.take_back(memory.merge(known, pending.memory), pending.crashes)
    if nodes is not None:
        merged = memory.prune(merged, nodes)
    if merged == known and workload.last_node == (merged[0].node if merged else None):
        return Write.UNCHANGED
    return merged
