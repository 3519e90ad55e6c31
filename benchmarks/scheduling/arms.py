"""What is compared: a file of scheduler-config/ for the scheduler, and how the sessions' pods are made for it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from extender import prefer_last_node

DEFAULT: Final = "default-scheduler"
STICKY: Final = "sticky-scheduler"
MARKER: Final = "lastnode.dev/session"


class Arm(NamedTuple):
    """``config``: a file of scheduler-config/, None for kube-scheduler as it is. ``profile``: the pods' schedulerName.

    ``injected``: the preference stands in the pods, put there by the injector; ``marked``: they name the resource
    that managed-resources.yaml asks for; ``down``: nobody listens where the extender should be.

    ``recorder``: the flags of one that runs beside the scheduler; the pods are then made while both are at work. None:
    no recorder, and all pods wait before the scheduler starts.

    ``remembered``: how many nodes the terms name, the wanted one strongest; any of them counts as come back to.
    ``percentage``: of the nodes that the profile scores, instead of what the file says. ``without``: a plugin that the
    profile leaves out wherever it takes part, beside what the file says.
    """

    name: str
    config: str | None
    profile: str = DEFAULT
    injected: bool = False
    marked: bool = False
    down: bool = False
    recorder: tuple[str, ...] | None = None
    remembered: int = 1
    percentage: int | None = None
    without: str = ""

    def dressed(self, spec: Mapping[str, Any], workload: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of a pod's spec as this arm's pods have it."""
        own = copy.deepcopy(dict(spec)) | {"schedulerName": self.profile}
        if self.marked:
            own["containers"][0]["resources"].setdefault("limits", {})[MARKER] = "0"
        return prefer_last_node(own, workload) if self.injected else own


CONTROL: Final = Arm("kube-scheduler as it is, no lastnode", None)

# The default profile for all. With nobody listening kube-scheduler still writes each request: what remains is its own
# part of the price, which no extender can be faster than.
PRICE: Final = (
    CONTROL,
    Arm("extender.yaml", "extender.yaml"),
    Arm("extender.yaml, nobody listening", "extender.yaml", down=True),
    Arm("managed-resources.yaml, pods unmarked", "managed-resources.yaml"),
)

VARIANTS: Final = (
    CONTROL,
    Arm("extender.yaml, default-scheduler", "extender.yaml"),
    Arm("extender.yaml, sticky-scheduler", "extender.yaml", STICKY),
    Arm("managed-resources.yaml, sticky-scheduler, marked", "managed-resources.yaml", STICKY, marked=True),
    Arm("second-scheduler.yaml, lastnode-scheduler", "second-scheduler.yaml", "lastnode-scheduler"),
    Arm("sticky.yaml, default-scheduler, injected", "sticky.yaml", injected=True),
    Arm("sticky.yaml, sticky-scheduler, injected", "sticky.yaml", STICKY, injected=True),
    Arm("lean-sticky.yaml, sticky-scheduler, injected", "lean-sticky.yaml", STICKY, injected=True),
)

# What leaving out score plugins brings, beside the same profile with all of them.
LEAN: Final = VARIANTS[-2:]

# What it brings that a session's node is tried first, where the pods come as fast as the API server takes them.
NOMINATED: Final = tuple(
    Arm(f"{file}, sticky-scheduler, {what}", file, STICKY, injected=True, recorder=flags)
    for file in ("sticky.yaml", "lean-sticky.yaml")
    for what, flags in (("injected", ()), ("nominated too", ("--nominate", "1")))
)

# What the option costs where it is not needed, as the cluster has fewer nodes.
IDLE: Final = (
    NOMINATED[0],
    NOMINATED[0]._replace(name="sticky.yaml, sticky-scheduler, too few nodes", recorder=("--nominate", "100000")),
)

# How much of the scan several remembered nodes make unnecessary. 0: kube-scheduler's own share.
SAMPLED: Final = tuple(
    Arm(f"sticky.yaml, {share} % scored, {many} remembered", "sticky.yaml", STICKY, injected=True, remembered=many,
        percentage=share)
    for many, share in ((1, 100), (8, 50), (8, 30), (8, 0), (1, 0))
)  # fmt: skip

# What each plugin costs that filters or scores, but for NodeAffinity, by which sessions come back. Not for use: without
# most of them pods do not get what they ask for.
PLUGINS: Final = (
    LEAN[0],
    *(
        LEAN[0]._replace(name=f"sticky.yaml, without {name}", without=name)
        for name in (
            "NodeUnschedulable", "NodeName", "TaintToleration", "NodePorts", "NodeResourcesFit", "VolumeRestrictions",
            "NodeVolumeLimits", "VolumeBinding", "VolumeZone", "PodTopologySpread", "InterPodAffinity",
            "NodeResourcesBalancedAllocation", "ImageLocality", "DynamicResources",
        )
    ),
    LEAN[1],
)  # fmt: skip
