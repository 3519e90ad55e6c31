"""A program that has a real node with a running pod and ends in the way it is told: run by test_endings.

Prints, once everything is up, a line of JSON with what must not be there any more when all has ended.
"""

from __future__ import annotations

import json
import signal
import sys
import time

from testbed.nodes import cgroups
from testbed.nodes.realnodes import RealNodes, control_plane
from testbed.stack import Stack
from tests.nodes import pods


def main(ending: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which who runs in the background ignores
    with Stack.start(crds=(), **control_plane(1)) as stack:
        nodes = RealNodes.start(stack, 1)
        pods.ready(stack.api, pods.create(stack.api, "node-0"))
        tops = [hierarchy.path / nodes.run for hierarchy in cgroups.hierarchies()]
        pids = {int(pid) for top in tops for file in top.rglob("cgroup.procs") for pid in file.read_text().split()}
        guard = stack.cp.guard_pid
        facts = {"run": nodes.run, "dir": str(stack.cp.dir), "guard": guard, "pids": [*pids, guard]}
        print(json.dumps({**facts, "cgroups": [str(top) for top in tops]}), flush=True)
        if ending == "return":
            return
        if ending == "raise":
            raise RuntimeError("a failure of the program that has the nodes")
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1])
