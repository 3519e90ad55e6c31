"""What helps against each reason why sessions move: the one source of explain, the page and the runbook. Pure."""

from collections.abc import Mapping
from typing import Final

from lastnode.reasons import Reason

_SAMPLED: Final = (
    "with more than 100 nodes, score all (scheduler-config/README.md); else find the filter: taints, ports, volumes"
)
_MAINTAINED: Final = "nothing: maintenance or an autoscaler"
REMEDIES: Final[Mapping[Reason, str]] = {
    Reason.NOT_OFFERED: _SAMPLED,
    Reason.NOT_CHOSEN: _SAMPLED,
    Reason.NOT_ASKED: "register the webhook, or name the extender (docs/install.md)",
    Reason.UNAWARE: "nothing just after a start; else the recorder's settings for the extender, or CPU",
    Reason.NO_ROOM: "remember more nodes (docs/operate.md), more nodes, smaller requests",
    Reason.OUTSCORED: "weight: 2 (scheduler-config/README.md), smaller weights of other plugins",
    Reason.EXPIRED: "a longer memoryTtl",
    Reason.PINNED: "a selector or affinity of the workload that allows the node",
    Reason.TAINTED: "take the taint away, or tolerate it",
    Reason.AHEAD: "set the clock that is wrong by over five minutes",
    Reason.NODE_CORDONED: _MAINTAINED,
    Reason.NODE_LEAVING: _MAINTAINED,
    Reason.NODE_NOT_READY: "mend the node",
    Reason.NODE_GONE: _MAINTAINED,
    Reason.NODE_REPLACED: _MAINTAINED,
    Reason.UNKNOWN: "give the recorder --extender-url, see its log (docs/runbook.md)",
}
