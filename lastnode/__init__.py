"""Brings a workload's next session back to the node its last one ran on.

Importing this package needs msgspec and nothing else: the injector is a plain call, with no cluster behind it.
"""

from lastnode.injector import prefer_last_node, prefer_node

__all__ = ["prefer_last_node", "prefer_node"]
