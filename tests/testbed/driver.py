"""A program that has a control plane and ends in the way it is told: run by test_endings in a process of its own.

Prints, once everything is up, a line of JSON with the pids, the ports and the directory.
"""

from __future__ import annotations

import json
import signal
import sys
import time

from testbed import ControlPlane


def main(ending: str) -> None:
    # A test run in the background (nohup, a shell's &) passes ignored signals on; a person's terminal does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with ControlPlane.start() as plane:
        beside = plane.spawn("beside", [sys.executable, "-c", "import time; time.sleep(600)"])
        components = [plane.etcd, plane.apiserver, plane.scheduler, beside]
        pids = [component.pid for component in components if component] + [plane.guard_pid]
        urls = [component.url for component in components if component and component.url]
        ports = [int(url.rpartition(":")[2]) for url in urls]
        facts = {"guard": plane.guard_pid, "pids": pids, "ports": ports, "dir": str(plane.dir)}
        print(json.dumps(facts), flush=True)
        if ending == "return":
            return
        if ending == "raise":
            raise RuntimeError("a failure of the program that has the control plane")
        time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1])
