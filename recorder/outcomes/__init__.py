"""What became of each session: did it come back to its workload's last node, and if not, why.

``ledger`` follows each session as a ``case`` until it is written down. ``reporter`` then has it explained by
``inquiry`` (from the API server, by the rules in ``feasible``, and from the ``extenders``), counted, kept in the
``journal`` and told by ``events``. ``outcome`` has the words, ``record`` and ``decisions`` the formats that others
read; ``wiring`` puts it together.
"""
