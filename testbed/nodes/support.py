"""Whether real machines can run here; if not, why."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from testbed.nodes import cgroups

_PROGRAMS: Final = ("apt-get", "dpkg-deb", "bash", "ip", "tc", "mount", "unshare", "nsenter", "pkill")
# What a machine does first, tried in namespaces that end with it.
_TRIAL: Final = """
mkdir lower upper work whole
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work whole
ip link add lastnode type bridge
ip link add eth0 type veth peer name other
tc qdisc add dev eth0 root tbf rate 200mbit burst 1mb latency 50ms
"""


def lacking() -> str:
    """One line that says what this machine lacks for real machines; "" where they can run."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"real nodes need Linux on amd64, and this is {platform.system()} on {platform.machine()}"
    if os.geteuid() != 0:
        return "real nodes need root, for namespaces, mounts and cgroups"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"real nodes need {', '.join(missing)}"
    controllers = cgroups.lacking(cgroups.hierarchies())
    if controllers:
        return f"real nodes need the cgroup controllers {', '.join(sorted(controllers))} in {cgroups.ROOT}"
    return _trial()


def _trial() -> str:
    with tempfile.TemporaryDirectory(prefix="lastnode-") as folder:
        Path(folder, "trial.sh").write_text(_TRIAL, encoding="utf-8")
        namespaces = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child=KILL")
        argv = ["unshare", *namespaces, "bash", "-euo", "pipefail", "trial.sh"]
        done = subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True)
    said = " ".join(done.stderr.split())
    return f"real nodes need namespaces, overlayfs, bridges, veth and tbf: {said}" if done.returncode else ""
