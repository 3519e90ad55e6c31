"""What stands in for kubelets, the sandbox controller and the garbage collectors of a cluster without machines.

It talks to a real API server. It watches through ``lastnode.kube``, as the programs under test do: a fault of that
client would show on both sides. Of the programs it knows nothing. From the inside out: names of its own
(``names``), the model of time (``images``, ``imagestore``, ``script``), what is read from the wire (``wire``), what is
written to it (``nodes``, ``podstatus``, ``requests``), who decides (``kubelets``, ``sandboxes``, with ``timers``), and
the edges (``writers``, ``program``, ``settings``). testbed/README.md says what it does and does not model.
"""
