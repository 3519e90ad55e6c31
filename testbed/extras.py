"""What stands beside the control plane: the CRDs of the demo, and the agent that stands in for kubelets."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from pathlib import Path

from . import sandboxversions
from .apply import apply
from .component import Component
from .controlplane import ControlPlane
from .paths import CRDS, REPOSITORY


def extras(
    cp: ControlPlane,
    nodes: int,
    *agent_flags: str,
    stickiness: bool = True,
    sandbox: Collection[str] = sandboxversions.VERSIONS,
) -> Component:
    """Apply the CRDs and start the agent; returns it when `nodes` simulated nodes are Ready.

    agent_flags: further ones, as `python -m testbed.agent --help` lists them
    stickiness:  whether the workloads' schemas have spec.nodeStickiness (see README.md)
    sandbox:     the versions of Sandbox that are served, the newest of them being stored
    """
    apply_crds(cp, stickiness=stickiness, sandbox=sandbox)
    return start_agent(cp, nodes, *agent_flags)


def apply_crds(
    cp: ControlPlane, *, stickiness: bool = True, sandbox: Collection[str] = sandboxversions.VERSIONS
) -> None:
    """AgentRuntime, CodeInterpreter and Sandbox; applying another variant later replaces the schemas."""
    apply(cp, CRDS / ("with-stickiness" if stickiness else "without-stickiness"))
    sandboxversions.serve(cp.api(), *sandbox)


def start_agent(cp: ControlPlane, nodes: int, *flags: str, name: str = "agent") -> Component:
    """The agent as a component of the control plane, Ready nodes made. Raises StartError with the end of its log."""
    program: list[str | Path] = [sys.executable, "-m", "testbed.agent"]
    argv = [*program, "--kubeconfig", cp.kubeconfig, "--nodes", str(nodes), *flags]
    agent = cp.spawn(name, argv, cwd=REPOSITORY)
    # The line that it writes when its nodes are there; a restarted one goes on in the same log under another pid.
    agent.ready = lambda: re.search(rf"ready: .*\(pid {agent.pid}\)", _text(agent.log)) is not None
    agent.wait_ready()
    return agent


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
