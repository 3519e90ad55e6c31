"""What Kubernetes accepts as a node's name and as a label's value.

Both rules are those of k8s.io/apimachinery's validation package (IsDNS1123Subdomain, IsValidLabelValue). They are
checked here because the API server does not check the values of a *preferred* node-affinity term: it stores them,
and kube-scheduler then refuses to schedule the pod at all.
"""

import re
from typing import Final

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
