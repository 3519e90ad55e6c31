"""Do the parts fit each other: their versions, and their clocks?"""

from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from typing import Final

from kubectl_lastnode.doctor.finding import Finding, ok, warn
from kubectl_lastnode.doctor.look import Look
from kubectl_lastnode.output import short
from lastnode.memory import parse_text
from lastnode.objects import Workload

# Clocks that differ by less do no harm: a placement counts that much longer.
_TOLERATED_SECONDS: Final = 5.0


def versions(look: Look) -> Iterator[Finding]:
    """All programs and this one are of one release."""
    mine = version("lastnode")
    probes = [each for each in (*look.recorder_probes, *look.extender_probes) if each.version]
    others = [f"{each.title} is {each.version}" for each in probes if each.version != mine]
    if others:
        yield warn("versions", f"this is {mine}; {', '.join(others)}", "Use one release for all.")
    elif probes:
        yield ok("versions", f"all {len(probes)} programs are {mine}, and so is this one")


def clocks(look: Look) -> Iterator[Finding]:
    """Ready times come from the nodes' clocks; compared with the clock here."""
    newest = max((moment for moment in map(_newest, look.workloads) if moment), default=None)
    if newest is None:
        yield ok("clocks", "nothing is remembered yet that could be compared")
        return
    ahead = (newest - look.now).total_seconds()
    if ahead > _TOLERATED_SECONDS:
        text = f"the newest placement lies {short(ahead)} in the future: a node's clock or this one is wrong"
        yield warn("clocks", text, "Synchronize the clocks of nodes and control plane.")
    else:
        yield ok("clocks", f"the newest placement is {short(-ahead)} old")


def _newest(workload: Workload) -> datetime | None:
    memory = parse_text(workload.last_node, workload.recent_nodes)
    return max((entry.ready_at for entry in memory if entry.ready_at), default=None)
