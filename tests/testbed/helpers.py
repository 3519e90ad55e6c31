"""Whether a process is still there."""

from __future__ import annotations

import subprocess


def lives(pid: int) -> bool:
    """A zombie that nobody has collected yet is dead."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")
