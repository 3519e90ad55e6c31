"""Names that other programs rely on: annotations, agentcube's labels, and what a name may be.

Nothing here may change without an upgrade path: agentcube, users' manifests and older releases read and write these
strings. Which of them a kind of workload uses stands in ``kinds``.
"""

import re
from datetime import timedelta
from typing import Final

# What follows a kind's prefix ("PREFIX/last-node"): the opt-in with its one value, the memory, and what the Event of a
# session that moved says to programs.
STICKINESS: Final = "node-stickiness"
STICKINESS_ENABLED: Final = "enabled"
LAST_NODE: Final = "last-node"
RECENT_NODES: Final = "recent-nodes"
MOVED_REASON: Final = "moved-reason"
OLDER_WEIGHT: Final = "older-weight"
CACHE_GROUP: Final = "cache-group"

# Of an older node, and of a cache group's, beside the last one's 100, unless it is set otherwise.
DEFAULT_OLDER_WEIGHT: Final = 10
DEFAULT_GROUP_WEIGHT: Final = 1
# How many nodes a workload's memory holds: unless it is set otherwise, and at most.
DEFAULT_RECENT_NODES: Final = 8
MOST_RECENT_NODES: Final = 32
# A memory that already leads to a session's node is not written again before its date is behind by so much.
DEFAULT_REDATE_SECONDS: Final = 300.0
# Of a cache group so many nodes are preferred: the newest ones.
GROUP_NODES: Final = 32
# Of the annotation's text. Longer text is not written, counts as absent, and is never parsed, so that nobody can keep
# others waiting with it. Eight entries have at most half of it, 32 with long names would have more.
MAX_RECENT_NODES_BYTES: Final = 8 * 1024
DEFAULT_MEMORY_TTL_SECONDS: Final = 24 * 60 * 60.0
# By so much another clock (a node's, another API server's, another replica's) may differ from one's own.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)

HOSTNAME_LABEL: Final = "kubernetes.io/hostname"

# Taints of nodes that somebody is about to take away. Karpenter's (its former name too) and cluster-autoscaler's, which
# take them back where they change their mind; those of the node termination handlers of AWS and Google. Candidates,
# which only may go (DeletionCandidateOfClusterAutoscaler), are not among them.
LEAVING_TAINTS: Final = frozenset({
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "ToBeDeletedByClusterAutoscaler",
    "aws-node-termination-handler/spot-itn",
    "aws-node-termination-handler/scheduled-maintenance",
    "aws-node-termination-handler/asg-lifecycle-termination",
    "aws-node-termination-handler/rebalance-recommendation",
    "cloud.google.com/impending-node-termination",
})  # fmt: skip

# agentcube's: it sets the session and sandbox labels on the pod, the workload's name on the Sandbox.
AGENTCUBE_PREFIX: Final = "runtime.agentcube.io"
SESSION_LABEL: Final = f"{AGENTCUBE_PREFIX}/session-id"
SANDBOX_LABEL: Final = f"{AGENTCUBE_PREFIX}/sandbox-name"
WORKLOAD_NAME_LABEL: Final = f"{AGENTCUBE_PREFIX}/workload-name"
WORKLOAD_KIND_LABEL: Final = f"{AGENTCUBE_PREFIX}/workload-kind"
STICKINESS_ANNOTATION: Final = f"{AGENTCUBE_PREFIX}/{STICKINESS}"
LAST_NODE_ANNOTATION: Final = f"{AGENTCUBE_PREFIX}/{LAST_NODE}"
RECENT_NODES_ANNOTATION: Final = f"{AGENTCUBE_PREFIX}/{RECENT_NODES}"
MOVED_REASON_ANNOTATION: Final = f"{AGENTCUBE_PREFIX}/{MOVED_REASON}"

# agent-sandbox's: the object that controls a session's pod, the label of all such pods (a hash of its name), and that
# of the pods which wait in a pool for somebody to claim them.
SANDBOX_RESOURCE: Final = "sandboxes.agents.x-k8s.io"
SANDBOX_KIND: Final = "Sandbox"
SANDBOX_GROUP: Final = "agents.x-k8s.io"
SANDBOX_HASH_LABEL: Final = f"{SANDBOX_GROUP}/sandbox-name-hash"
WARM_POOL_LABEL: Final = f"{SANDBOX_GROUP}/warm-pool-sandbox"

# Of every kind but agentcube's.
LASTNODE_PREFIX: Final = "lastnode.dev"

# Of a preferred term, as the API server takes it.
MOST_WEIGHT: Final = 100

# The names are those of k8s.io/apimachinery's validation package (IsDNS1123Subdomain, IsValidLabelValue). They are
# checked here because the API server does not check the values of a *preferred* node-affinity term: it stores them,
# and kube-scheduler then refuses to schedule the pod at all.
MAX_NODE_NAME: Final = 253
MAX_LABEL_VALUE: Final = 63

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")


def weight_of(text: str | None) -> int | None:
    """What PREFIX/older-weight says, from 0 to 100; None where it says nothing of the kind."""
    weight = int(text) if text and len(text) <= 3 and text.isascii() and text.isdigit() else None
    return weight if weight is None or weight <= MOST_WEIGHT else None


def group_name(text: str | None) -> str | None:
    """What PREFIX/cache-group says; None where it says no label's value."""
    return text if text and is_hostname_value(text) else None


def is_node_name(text: str) -> bool:
    """Whether a node could have this name: a DNS subdomain of at most 253 characters."""
    return len(text) <= MAX_NODE_NAME and _SUBDOMAIN.fullmatch(text) is not None


def may_be_recent_nodes(text: str) -> bool:
    """Whether this is short enough to be a memory's text."""
    # JSON may escape half of a surrogate pair: no UTF-8, but no reason to fail either.
    return len(text) <= MAX_RECENT_NODES_BYTES and len(text.encode("utf-8", "surrogatepass")) <= MAX_RECENT_NODES_BYTES


def is_hostname_value(text: str) -> bool:
    """Whether a ``kubernetes.io/hostname`` label could hold this: a non-empty label value of at most 63 characters."""
    return len(text) <= MAX_LABEL_VALUE and _LABEL_VALUE.fullmatch(text) is not None
