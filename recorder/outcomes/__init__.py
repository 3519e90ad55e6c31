"""What became of each session: did it come back to its workload's last node, and if not, why.

Pure: ``outcome`` (first, reused or moved), ``feasible`` (why a node could not take a pod). ``record`` is what is kept of
each session and read by others. Edges: ``inquiry`` asks why a session moved, ``events`` tells the workload's owner,
``ledger`` follows the sessions and puts all of it together.
"""
