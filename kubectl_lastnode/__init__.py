"""``kubectl lastnode``: what people ask of lastnode, in a terminal, in scripts and as a page.

It reads from the API server and from the recorders; only ``forget`` writes. Needs nothing of ours to run in the
cluster, and says what it cannot know without it.
"""

from typing import Final

# What it reads from the environment (LASTNODE_…), for the other programs, which refuse what nobody knows: the entry
# point group "lastnode.settings".
SETTINGS: Final = (
    "kubeconfig", "memory_ttl", "older_weight", "group_weight", "workload_resources", "config", "controllers_only",
    "release_namespace", "recorder_url", "extender_url", "extender_ca",
)  # fmt: skip
