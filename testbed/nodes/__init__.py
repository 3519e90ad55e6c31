"""Real machines beside the simulated ones: real kubelets, real pulls, real start-up times, on this machine alone.

What a machine runs (``programs``) and is set up with (``files``), its cgroups (``cgroups``), the network that machines
share (``gateway``), what a killed run leaves (``runs``), images (``images``); ``realnodes`` puts them together, and
``support`` says where they cannot run. testbed/README.md says what is real about them.
"""
