"""A service that knows what the golden requests are about, without a cluster: the workload remembers WANTED."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from extender.lookup import Lookup, brief
from extender.metrics import PrioritizeMetrics
from extender.prioritize import Prioritizer
from extender.waiting import Patience
from lastnode.contract import SANDBOX_KIND, SANDBOX_RESOURCE, WORKLOAD_NAME_LABEL
from lastnode.objects import Node, Workload
from lastnode.view import MemoryCache, View
from tests.extender.golden import NAMESPACE, NODES, WANTED, WORKLOAD, load

RESOURCE = "agentruntimes.runtime.agentcube.volcano.sh"


def service(registry: CollectorRegistry, patience: Patience | None = None) -> Prioritizer:
    """Counts in ``registry``; ``patience``: for Sandboxes, by default kube-scheduler's."""
    view = View()
    for name in NODES:
        view.nodes.upsert(Node(name=name, uid=f"uid-{name}", hostname=name, ready=True))
    view.workloads[RESOURCE].upsert(
        Workload(
            name=WORKLOAD, namespace=NAMESPACE, uid="uid-w", resource=RESOURCE, kind="AgentRuntime", sticky=True,
            last_node=WANTED,
        )
    )  # fmt: skip
    for request in load():
        for owner in request.args["Pod"]["metadata"].get("ownerReferences", ()):
            view.workloads[SANDBOX_RESOURCE].upsert(
                Workload(
                    name=owner["name"], namespace=NAMESPACE, uid=owner["uid"], resource=SANDBOX_RESOURCE,
                    kind=SANDBOX_KIND, sticky=False, claims=(WORKLOAD_NAME_LABEL, WORKLOAD),
                )
            )  # fmt: skip
    lookup = Lookup(view, MemoryCache(0), 0, synced=lambda: True, patience=patience or brief())
    return Prioritizer(lookup, PrioritizeMetrics(registry))


def counted(registry: CollectorRegistry) -> dict[str, float]:
    """Result -> requests, of those that were counted at all."""
    return {
        sample.labels["result"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "lastnode_prioritize_total" and sample.value
    }
