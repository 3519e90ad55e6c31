"""The demo on real nodes: what it is worth to come back, by the clock. Exits with 0 when all is as promised, else 1."""

from __future__ import annotations

import argparse
import os
import random
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from lastnode import memory
from lastnode.contract import AGENTCUBE_PREFIX
from lastnode.kube.errors import KubeError
from lastnode.kube.store import ObjectKey
from testbed.demo import faults, operator, report
from testbed.demo.arms import Arm, make_arm
from testbed.demo.outcome import Run, outcome_of, total_of
from testbed.errors import LocalError
from testbed.nodes.images import Files, real_files
from testbed.nodes.programs import PACKAGES
from testbed.nodes.realnodes import RealNodes, control_plane
from testbed.parts import KUBERNETES
from testbed.sessions import Object, Sessions, key_of
from testbed.stack import Stack
from testbed.workloads import sandbox_for

ROUNDS: Final = ("1", "2", "3")
IMAGE_BYTES: Final = 400_000_000  # of real files, unpacked
READY_SECONDS: Final = 120.0
WRITTEN_SECONDS: Final = 20.0
# What each session asks for of a machine that has 2 CPUs or more: all of a round fit on one.
CPU: Final = "150m"
FAULTS: Final = ("cordoned", "full", "killed")


class Phases(NamedTuple):
    """Seconds: until it was seen scheduled; of its pull, unpacking included, 0 where the image was there; of all else
    until it was seen Ready."""

    scheduled: float
    pulled: float
    started: float


@dataclass
class Demo:
    """State of one run. ``alive``: sessions that have not ended."""

    stack: Stack
    sessions: Sessions
    nodes: RealNodes
    console: Console
    rng: random.Random
    runs: list[Run] = field(default_factory=list)
    phases: dict[Run, Phases] = field(default_factory=dict)
    alive: list[Object] = field(default_factory=list)

    def arm(self, name: str, count: int, files: Files, *, sticky: bool) -> Arm:
        """Workloads, each with an image of its own."""
        arm = make_arm(self.sessions, name, count, sticky=sticky, cpu=CPU, memory="16Mi")
        for workload in arm.workloads:
            label = workload["metadata"]["name"]
            self.nodes.registry.push(label, [self.nodes.program(), files.layer(label)])
        return arm

    def round(self, arms: Sequence[Arm], session: str) -> None:
        """A session of each workload: one after the other, so that none slows another's start, and all alive at the
        end."""
        pairs = [(arm, workload) for arm in arms for workload in arm.workloads]
        self.rng.shuffle(pairs)
        for arm, workload in pairs:
            self.one(arm, workload, session)
        self.end()

    def one(self, arm: Arm, workload: Object, session: str) -> Run:
        """A session, once it is Ready and, where somebody should remember it, remembered."""
        sandbox, name = sandbox_for(workload, session), workload["metadata"]["name"]
        asked, key = time.monotonic(), self.sessions.start(sandbox)
        self.alive.append(sandbox)
        self.sessions.wait_until(lambda: self.bound(key), READY_SECONDS, f"{key} has no node")
        scheduled = time.monotonic() - asked
        seen = self.sessions.wait_ready([key], READY_SECONDS)[key]
        former = arm.former.setdefault(name, [])
        run = Run(
            arm.name, workload["kind"], name, session, seen.node, outcome_of(seen.node, former), seen.seconds or 0
        )
        pulled = self.pulled(seen.uid)
        self.phases[run] = Phases(scheduled, pulled, run.seconds - scheduled - pulled)
        self.runs.append(run)
        former.append(seen.node)
        if arm.sticky:
            self.stack.wait(lambda: self.remembered(workload, seen.uid), f"{key} to be remembered", WRITTEN_SECONDS)
        return run

    def bound(self, key: ObjectKey) -> bool:
        seen = self.sessions.get(key)
        return seen is not None and bool(seen.node)

    def pulled(self, pod_uid: str) -> float:
        """How long the kubelet says that it took."""
        path = f"/api/v1/namespaces/default/events?fieldSelector=reason=Pulled,involvedObject.uid={pod_uid}"
        self.stack.wait(lambda: bool(self.stack.api.get(path)["items"]), f"the Event of {pod_uid}'s pull")
        return pull_seconds(self.stack.api.get(path)["items"][0]["message"])

    def remembered(self, workload: Object, pod_uid: str) -> bool:
        annotations = self.sessions.read(workload)["metadata"].get("annotations", {})
        return any(entry.pod_uid == pod_uid for entry in memory.parse(annotations, AGENTCUBE_PREFIX))

    def end(self) -> None:
        """All sessions that are alive."""
        keys: list[ObjectKey] = [key_of(sandbox) for sandbox in self.alive]
        while self.alive:
            self.sessions.delete(self.alive.pop())
        self.sessions.wait_gone(keys, READY_SECONDS)

    def after(self, fault: str, arm: Arm, workload: Object) -> tuple[str, str, Run]:
        """Break the last node of a workload, and start its next session."""
        node = arm.former[workload["metadata"]["name"]][-1]
        breaks = {"cordoned": faults.cordoned, "full": faults.full, "killed": self.killed}
        with breaks[fault](self.stack, node):
            run = self.one(arm, workload, f"after-{fault}")
            self.end()
        return fault, node, run

    @contextmanager
    def killed(self, stack: Stack, node: str) -> Iterator[None]:
        """The machine fails, and its Node is deleted, as a cloud's controller does with that of a lost machine."""
        self.nodes.kill(node)
        stack.api.delete(f"/api/v1/nodes/{node}")
        yield


def run(demo: Demo, workloads: int, rate: str) -> int:
    """Everything, on nodes that are Ready. Returns the exit code."""
    files = Files(real_files(IMAGE_BYTES))
    sticky = demo.arm("webhook", workloads, files, sticky=True)
    control = demo.arm("control", workloads, files, sticky=False)
    demo.nodes.registry.push("blocker", [demo.nodes.program()])
    for session in ROUNDS:
        demo.round([sticky, control], session)
    arms = {"webhook: the API server asks lastnode": sticky, "control: the same without stickiness": control}
    runs = {arm.name: [run for run in demo.runs if run.arm == arm.name] for arm in arms.values()}
    for title, arm in arms.items():
        report.print_arm(demo.console, title, runs[arm.name])
    broken = [demo.after(fault, sticky, workload) for fault, workload in zip(FAULTS, sticky.workloads, strict=False)]
    report.print_faults(demo.console, broken)
    totals = [total_of(name, own) for name, own in runs.items()]
    report.print_totals(demo.console, totals)
    print_phases(demo.console, demo.phases)
    demo.console.print(f"real: {what_was_real(len(demo.nodes.names), rate, files)}")
    problems = [
        f"{run.workload} still ran on {node}, which was {fault}" for fault, node, run in broken if run.node == node
    ]
    if totals[0].reused != totals[0].returning:
        problems.append(f"{totals[0].reused} of {totals[0].returning} came back on idle nodes")
    problems += operator.look(demo.console, demo.stack, [(sticky, runs[sticky.name])], broken, (), ())
    for problem in problems:
        demo.console.print(f"[red]NOT AS PROMISED[/red] {problem}")
    return 1 if problems else 0


def pull_seconds(message: str) -> float:
    """Of an Event: "Successfully pulled image … in 1m2.5s (…)"; 0 for "… already present on machine"."""
    found = re.search(r" in (?:(\d+)m)?([\d.]+)(m?)s ", message)
    return 60 * int(found[1] or 0) + float(found[2]) / (1000 if found[3] else 1) if found else 0.0


def kind_of_start(run: Run, phases: Phases) -> str:
    """By what it found on its node: only a real pull tells what it costs to run elsewhere."""
    if run.outcome == "reused":
        return "back on its last node"
    where = "first" if run.outcome == "first" else "elsewhere"
    return f"{where}, image {'pulled' if phases.pulled else 'found there'}"


def print_phases(console: Console, phases: Mapping[Run, Phases]) -> None:
    """One row for each kind of start: means, and how many times as long it took as coming back."""
    starts: dict[str, list[tuple[float, Phases]]] = {}
    for run, own in phases.items():
        starts.setdefault(kind_of_start(run, own), []).append((run.seconds, own))
    table = Table(title="Start-up by this program's clock (seconds, means)", title_justify="left", header_style="bold")
    for column in ("start", "sessions", "scheduled", "pulled", "started", "in all", "times as long"):
        table.add_column(column, justify="left" if column == "start" else "right")
    back = fmean([seconds for seconds, _ in starts.get("back on its last node", [])] or [float("nan")])
    for kind, found in sorted(starts.items()):
        seconds = fmean(each for each, _ in found)
        means = (fmean(column) for column in zip(*(own for _, own in found), strict=True))
        table.add_row(kind, str(len(found)), *(f"{each:.2f}" for each in (*means, seconds)), f"{seconds / back:.1f}")
    console.print(table)


def what_was_real(nodes: int, rate: str, files: Files) -> str:
    versions = ", ".join(f"{each.name} {each.version.split('~')[0].split('+')[0]}" for each in PACKAGES)
    return (
        f"{nodes} kubelets {KUBERNETES} with {versions}, and pulls of real files, {files.size / 1e6:.0f} MB an image, "
        f"at {rate} a node. Not real: one disk and {os.cpu_count()} CPUs for all, and the sessions' program only waits"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Start a cluster with real nodes, run the demo on it, take everything away again."""
    parser = argparse.ArgumentParser(prog="python -m testbed.nodes.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=4, help="real nodes (default: 4)")
    parser.add_argument("--workloads", type=int, default=3, help="workloads an arm (default: 3)")
    parser.add_argument("--rate", default="200mbit", help="of a node's downloads, in tc's words (default: 200mbit)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the order of sessions")
    options = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(f"starting etcd, kube-apiserver and {options.nodes} real nodes (seed {options.seed})")
    began = time.monotonic()
    try:
        with Stack.start(**control_plane(options.nodes)) as stack, Sessions.connect(stack.cp.kubeconfig) as sessions:
            nodes = RealNodes.start(stack, options.nodes, rate=options.rate)
            console.print(f"Ready after {time.monotonic() - began:.1f} s: {', '.join(nodes.names)}")
            stack.start_agent(0)  # for the Sandboxes; it leaves nodes alone that it has not made
            stack.start_recorder()
            stack.start_webhook()
            stack.start_scheduler("sticky.yaml")
            demo = Demo(stack, sessions, nodes, console, random.Random(options.seed))
            return run(demo, options.workloads, options.rate)
    except (LocalError, KubeError) as error:
        print(f"demo-nodes: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
