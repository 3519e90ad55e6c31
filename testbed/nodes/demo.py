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
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from lastnode.kube.errors import KubeError
from testbed.demo import faults, operator, report
from testbed.demo.arms import Arm, Rounds, as_far_as, make_arm
from testbed.demo.outcome import Run, total_of
from testbed.errors import LocalError
from testbed.nodes.images import Files, real_files
from testbed.nodes.programs import PACKAGES
from testbed.nodes.realnodes import RealNodes, control_plane
from testbed.sandboxes import sandbox
from testbed.sessions import Sessions
from testbed.stack import Stack, is_ready
from testbed.versions import chosen

ROUNDS: Final = ("1", "2", "3")
BACK: Final = "back on its last node"
# What each session asks for of a machine that has 2 CPUs or more: all of a round fit on one.
CPU: Final = "150m"


class Phases(NamedTuple):
    """Seconds: until it was seen bound; of its pull, unpacking included, 0 where the image was there; of all else until
    it was seen Ready."""

    scheduled: float
    pulled: float
    started: float


@dataclass
class Demo:
    stack: Stack
    sessions: Sessions
    nodes: RealNodes
    rounds: Rounds
    files: Files

    def arm(self, name: str, count: int, *, sticky: bool, **how: Any) -> Arm:
        """Workloads, each with an image of its own."""
        arm = make_arm(self.sessions, name, count, sticky=sticky, cpu=CPU, memory="16Mi", **how)
        for workload in arm.workloads:
            label = workload["metadata"]["name"]
            self.nodes.registry.push(label, [self.nodes.program(), self.files.layer(label)])
        return arm

    def break_nodes(self, arm: Arm) -> Iterator[tuple[str, str, Run]]:
        """Take the last node of three workloads away, each in another way: what it was, the node, the next session."""
        breaks = {"cordoned": faults.cordoned, "full": faults.full, "killed": self.killed}
        for workload, (fault, break_node) in zip(arm.workloads, breaks.items(), strict=False):
            node = arm.last_nodes[workload["metadata"]["name"]]
            with break_node(self.stack, node):
                yield fault, node, self.rounds.run([arm.part(workload)], "after")[0]

    @contextmanager
    def killed(self, stack: Stack, node: str) -> Iterator[None]:
        """The machine fails, and its Node is deleted, as a cloud's controller does with that of a lost machine."""
        self.nodes.kill(node)
        stack.api.delete(f"/api/v1/nodes/{node}")
        yield

    def trouble(self) -> Iterator[str]:
        """Of each pod that is not Ready, the last Event about it."""
        for pod in self.stack.api.get("/api/v1/namespaces/default/pods")["items"]:
            about = f"involvedObject.uid={pod['metadata']['uid']}"
            events = self.stack.api.get(f"/api/v1/namespaces/default/events?fieldSelector={about}")["items"]
            if events and not is_ready(pod):
                last = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
                yield f"{pod['metadata']['name']}: {last['reason']}: {last['message']}"

    def phases(self, run: Run) -> Phases:
        """How long its pull took, its kubelet says."""
        path = f"/api/v1/namespaces/default/events?fieldSelector=reason=Pulled,involvedObject.uid={run.uid}"
        self.stack.wait(lambda: bool(self.stack.api.get(path)["items"]), f"the Event of {run.pod}'s pull")
        pulled = pull_seconds(self.stack.api.get(path)["items"][0]["message"])
        return Phases(run.bound, pulled, run.seconds - run.bound - pulled)


def run(demo: Demo, console: Console, workloads: int) -> list[str]:
    """Everything, on nodes that are Ready. Returns what was not as promised."""
    webhook = demo.arm("webhook", workloads, sticky=True)
    alone = demo.arm("sandbox", workloads, sticky=True, builders=[sandbox], suspended=True)
    control = demo.arm("control", workloads, sticky=False)
    demo.nodes.registry.push("blocker", [demo.nodes.program()])
    arms = (webhook, alone, control)
    rounds, never = as_far_as(demo.rounds.run(arms, session) for session in ROUNDS)
    ran = [run for each in rounds for run in each]
    broken, missed = as_far_as(() if never else demo.break_nodes(webhook))
    problems = [f"{missing}; {'; '.join(demo.trouble())}" for missing in (never, missed) if missing]
    runs = {arm.name: [run for run in ran if run.arm == arm.name] for arm in arms}
    report.print_sessions(console, "webhook, Sandboxes alone, and without stickiness", list(runs.values()))
    report.print_faults(console, broken)
    totals = [total_of(name, own) for name, own in runs.items()]
    report.print_totals(console, totals)
    print_phases(console, {run: demo.phases(run) for run in (*ran, *(run for _, _, run in broken))})
    problems += [
        f"{run.workload} still ran on {node}, which was {fault}" for fault, node, run in broken if run.node == node
    ]
    for arm, total in zip(arms, totals, strict=True):
        if arm.sticky and total.reused != total.returning:
            problems.append(f"{arm.name}: {total.reused} of {total.returning} came back to idle nodes")
    sticky = [(arm, runs[arm.name]) for arm in arms if arm.sticky]
    if never or missed:
        return problems
    return problems + operator.look(console, demo.stack, sticky, broken, (), ())


def pull_seconds(message: str) -> float:
    """Of an Event: "Successfully pulled image … in 1m2.5s (…)"; 0 for "… already present on machine"."""
    found = re.search(r" in (?:(\d+)m)?([\d.]+)(m?)s ", message)
    return 60 * int(found[1] or 0) + float(found[2]) / (1000 if found[3] else 1) if found else 0.0


def kind_of_start(run: Run, phases: Phases) -> str:
    """By what it found on its node: only a real pull tells what it costs to run elsewhere."""
    if run.outcome == "reused":
        return BACK
    where = "first" if run.outcome == "first" else "elsewhere"
    return f"{where}, image {'pulled' if phases.pulled else 'found there'}"


def print_phases(console: Console, phases: Mapping[Run, Phases]) -> None:
    """One row for each kind of start: means, and how many times as long as coming back it took."""
    starts: dict[str, list[tuple[float, ...]]] = {}
    for run, own in phases.items():
        starts.setdefault(kind_of_start(run, own), []).append((*own, run.seconds))
    means = {kind: [fmean(column) for column in zip(*found, strict=True)] for kind, found in starts.items()}
    table = Table(title="Start-up on the clock (seconds, means)", title_justify="left", header_style="bold")
    for column in ("start", "sessions", "scheduled", "pulled", "started", "in all", "times as long"):
        table.add_column(column, justify="left" if column == "start" else "right")
    for kind, mean in sorted(means.items()):
        times = f"{mean[-1] / means[BACK][-1]:.1f}" if BACK in means else "-"
        table.add_row(kind, str(len(starts[kind])), *(f"{each:.2f}" for each in mean), times)
    console.print(table)


def what_was_real(nodes: int, rate: str, files: Files) -> str:
    versions = ", ".join(f"{each.name} {re.sub('^[0-9]:|[~+-].*', '', each.version)}" for each in PACKAGES)
    return (
        f"real: {nodes} kubelets {chosen(os.environ)} with {versions}, and pulls of real files, {files.size / 1e6:.0f} "
        f"MB an image, at {rate} a node. Not real: one disk and {os.cpu_count()} CPUs for all; a session only waits"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Start a cluster with real nodes, run the demo on it, take everything away again."""
    parser = argparse.ArgumentParser(prog="python -m testbed.nodes.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=4, help="real nodes (default: 4)")
    parser.add_argument("--workloads", type=int, default=3, help="workloads an arm (default: 3)")
    parser.add_argument("--megabytes", type=int, default=300, help="of files in each image, unpacked (default: 300)")
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
            rounds = Rounds(stack, sessions, random.Random(options.seed), alone=True)
            demo = Demo(stack, sessions, nodes, rounds, Files(real_files(options.megabytes * 1_000_000)))
            problems = run(demo, console, options.workloads)
            console.print(what_was_real(options.nodes, options.rate, demo.files), soft_wrap=True)
    except (LocalError, KubeError) as error:
        print(f"demo-nodes: {error}", file=sys.stderr)
        return 1
    for problem in problems:
        console.print(f"[red]NOT AS PROMISED[/red] {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
