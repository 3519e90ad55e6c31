"""The preference for a workload's last node, and its renderings: injected term, extender score, patch.

Importing this package loads neither a web server nor the Kubernetes client: the injector is a plain call.
"""

from lastnode.injector import prefer_last_node, prefer_node

__all__ = ["prefer_last_node", "prefer_node"]
