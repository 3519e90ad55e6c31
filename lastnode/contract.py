"""Names that other programs rely on: labels, annotations, groups and the defaults behind them.

Nothing here may change without an upgrade path: agentcube, users' manifests and older releases of ours
read and write these strings.
"""

import re
from typing import Final

# Whose pod it is. agentcube sets the session and sandbox labels on the pod, the workload's name on the Sandbox.
SESSION_LABEL: Final = "runtime.agentcube.io/session-id"
SANDBOX_LABEL: Final = "runtime.agentcube.io/sandbox-name"
WORKLOAD_NAME_LABEL: Final = "runtime.agentcube.io/workload-name"
WORKLOAD_KIND_LABEL: Final = "runtime.agentcube.io/workload-kind"

# The opt-in where the installed CRD has no spec.nodeStickiness: the annotation with exactly this value.
STICKINESS_ANNOTATION: Final = "runtime.agentcube.io/node-stickiness"
STICKINESS_ENABLED: Final = "enabled"

# The memory, on the workload.
LAST_NODE_ANNOTATION: Final = "runtime.agentcube.io/last-node"
RECENT_NODES_ANNOTATION: Final = "runtime.agentcube.io/recent-nodes"
MAX_RECENT_NODES: Final = 5
DEFAULT_MEMORY_TTL_SECONDS: Final = 24 * 60 * 60.0

HOSTNAME_LABEL: Final = "kubernetes.io/hostname"

# Resources are named as CRDs are ("plural.group"); which version is served is asked from the API server.
SANDBOX_RESOURCE: Final = "sandboxes.agents.x-k8s.io"
SANDBOX_KIND: Final = "Sandbox"
SANDBOX_GROUP: Final = "agents.x-k8s.io"
WORKLOAD_RESOURCES: Final = (
    "agentruntimes.runtime.agentcube.volcano.sh",
    "codeinterpreters.runtime.agentcube.volcano.sh",
)
# The only kind whose pods may be placed before a session claims them (spec.warmPoolSize).
WARM_POOL_KIND: Final = "CodeInterpreter"

# On the Event of a session that moved: the bare reason, for programs.
MOVED_REASON_ANNOTATION: Final = "runtime.agentcube.io/moved-reason"


MAX_NODE_NAME: Final = 253
MAX_LABEL_VALUE: Final = 63

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")


def is_node_name(text: str) -> bool:
    """Whether a node could have this name: a DNS subdomain of at most 253 characters."""
    return len(text) <= MAX_NODE_NAME and _SUBDOMAIN.fullmatch(text) is not None


def is_hostname_value(text: str) -> bool:
    """Whether a ``kubernetes.io/hostname`` label could hold this: a non-empty label value of at most 63 characters."""
    return len(text) <= MAX_LABEL_VALUE and _LABEL_VALUE.fullmatch(text) is not None
