"""What a cluster of `up` has beside the control plane: the CRDs, and the node agent that stands in for kubelets."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from .apply import apply
from .controlplane import ControlPlane
from .paths import REPOSITORY

CRDS = Path(__file__).with_name("crds")
_AGENT = "deploy.local.agent"


def extras(cp: ControlPlane, nodes: int) -> None:
    """Apply the CRDs and start the agent with `nodes` simulated nodes."""
    if CRDS.is_dir():
        apply(cp, CRDS)
    if importlib.util.find_spec(_AGENT) and importlib.util.find_spec(f"{_AGENT}.__main__"):
        argv: list[str | Path] = [
            sys.executable,
            "-m",
            _AGENT,
            "--kubeconfig",
            cp.kubeconfig,
            "--nodes",
            str(nodes),
        ]
        cp.spawn("agent", argv, cwd=REPOSITORY)
