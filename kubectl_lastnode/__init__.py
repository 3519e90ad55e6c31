"""``kubectl lastnode``: what people ask of lastnode, in a terminal, in scripts and as a page.

It reads from the API server and from the recorders; only ``forget`` writes. Needs nothing of ours to run in the
cluster, and says what it cannot know without it.
"""

# What it reads from the environment, for the other programs: see the entry points in pyproject.toml.
SETTINGS = ("memory_ttl", "workload_resources", "recorder_url", "extender_url", "extender_ca")
