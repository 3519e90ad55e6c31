"""lastnode: a workload's next session comes back to the node where its last one ran, softly.

This package is the idea; ``kube`` is a Kubernetes client that knows nothing of it, ``daemon`` what programs are made
of. Importing it loads neither a web server nor the Kubernetes client: the injector is a plain call.
"""

from lastnode.injector import prefer_last_node, prefer_node

__all__ = ["prefer_last_node", "prefer_node"]
