"""What helps against each reason why sessions move: the one source of explain, the page and the runbook. Pure."""

from collections.abc import Mapping
from typing import Final

from lastnode.reasons import Reason

_SAMPLED: Final = (
    "with more than 100 nodes, have kube-scheduler score all (scheduler-config/README.md); else look for a filter: "
    "taints, affinity, ports, volumes"
)
_MAINTAINED: Final = "nothing of lastnode's: maintenance, an autoscaler, or a sick node"
_REPLACED: Final = "nothing of lastnode's: an autoscaler or an upgrade"
# In the runbook's order: what can be mended first.
REMEDIES: Final[Mapping[Reason, str]] = {
    Reason.NOT_OFFERED: _SAMPLED,
    Reason.NOT_CHOSEN: _SAMPLED,
    Reason.NOT_ASKED: "register the webhook, or name the extender in kube-scheduler's configuration (docs/install.md)",
    Reason.UNAWARE: "just after a start nothing; else give the extender the recorder's settings, or CPU: its watch is "
    "late",
    Reason.NO_ROOM: "remember more nodes (docs/operate.md), more nodes, smaller requests, or accept it",
    Reason.OUTSCORED: "weight: 2 as in scheduler-config/README.md, and a look at the weights of the profile's plugins",
    Reason.EXPIRED: "raise memoryTtl: sessions come back later than the memory counts",
    Reason.PINNED: "let the workload's own selector or required affinity allow the node",
    Reason.TAINTED: "take the new taint away, or tolerate it",
    Reason.AHEAD: "set the clocks: that of a node, or of the program that says so, is wrong by over five minutes",
    Reason.NODE_CORDONED: _MAINTAINED,
    Reason.NODE_LEAVING: _MAINTAINED,
    Reason.NODE_NOT_READY: _MAINTAINED,
    Reason.NODE_GONE: _REPLACED,
    Reason.NODE_REPLACED: _REPLACED,
    Reason.UNKNOWN: "give the recorder --extender-url and look at its log (docs/runbook.md)",
}
