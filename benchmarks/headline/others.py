"""How much of the machine's CPU time went to something else while an arm ran: then its speed is not its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

# Above this share the report warns. A machine that runs nothing but an arm has a few percent: the kernel's own threads.
BUSY: Final = 0.1
_STAT: Final = Path("/proc/stat")
# Of the first line of /proc/stat (proc_stat(5)): user nice system idle iowait irq softirq steal. What follows, the
# time of guests, is in user and nice already.
_IDLE, _COUNTED = slice(3, 5), slice(0, 8)


class Clock(NamedTuple):
    """CPU seconds: of all CPUs together, idle or not; of those idle; of this process and its children that ended."""

    total: float
    idle: float
    own: float


def clock(stat: Path = _STAT) -> Clock | None:
    """The clocks now; None where there is no /proc/stat, as on a Mac."""
    try:
        line = stat.read_text().splitlines()[0].split()
    except OSError:
        return None
    ticks = [int(word) for word in line[1:]]
    hertz, own = os.sysconf("SC_CLK_TCK"), os.times()
    return Clock(sum(ticks[_COUNTED]) / hertz, sum(ticks[_IDLE]) / hertz, sum(own[:4]))


def busy(before: Clock | None, after: Clock | None) -> float | None:
    """Of the CPU time between two clocks, the part that was not idle; None where it cannot be known."""
    passed = _passed(before, after)
    return None if passed is None else 1 - passed.idle / passed.total


def share(before: Clock | None, after: Clock | None) -> float | None:
    """Of the CPU time between two clocks, the part that was neither idle nor this program's: other processes', the
    kernel's, or a hypervisor's; None where it cannot be known.

    All of this program's children must have ended before the second clock; the time of a grandchild whose parent did
    not wait for it counts as the others'.
    """
    passed = _passed(before, after)
    return None if passed is None else max(0.0, passed.total - passed.idle - passed.own) / passed.total


def _passed(before: Clock | None, after: Clock | None) -> Clock | None:
    """What passed on each of the clocks; None where there are none, or nothing did."""
    if before is None or after is None or after.total <= before.total:
        return None
    return Clock(*(late - early for late, early in zip(after, before, strict=True)))
