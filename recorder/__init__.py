"""The memory of where each workload's sessions ran, and who writes it down.

The modules from the inside out: names (``contract``), records (``objects``), pure rules (``memory``,
``attribution``), what is decoded from the wire (``wire``), then the edges: the API server (``api``,
``listwatch``), the view of the cluster (``view``), the writer (``workqueue``, ``writer``) and the program.
"""
