"""The demo from start to end. Exits with 0 when every session that could come back did, else with 1."""

from __future__ import annotations

import argparse
import functools
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console

from lastnode import contract
from lastnode.kube.errors import KubeError
from testbed.demo import operator, report
from testbed.demo.arms import Arm, Rounds, make_arm
from testbed.demo.faults import FAULTS
from testbed.demo.many import Tally, compare
from testbed.demo.outcome import Run, chance, total_of
from testbed.errors import LocalError
from testbed.sessions import Object, Sessions
from testbed.stack import Stack
from testbed.workloads import agent_runtime, code_interpreter

ROUNDS = ("1", "2", "3")


@dataclass
class Demo:
    """State of one run: what was seen, and what was not as promised. ``tallied``: all that ran for the tallies."""

    stack: Stack
    sessions: Sessions
    rounds: Rounds
    console: Console
    workloads: int
    problems: list[str] = field(default_factory=list)
    faults: list[tuple[str, str, Run]] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    tallied: list[Run] = field(default_factory=list)

    def extender_face(self) -> tuple[Arm, list[Run]]:
        """Face a: plain pods; kube-scheduler asks the extender."""
        scheduler = self.stack.start_scheduler("extender.yaml")
        arm = make_arm(self.sessions, "extender", self.workloads, sticky=True)
        runs = [run for session in ROUNDS for run in self.rounds.run([arm], session)]
        report.print_arm(self.console, "(a) extender: plain pods, kube-scheduler asks lastnode", runs)
        self.many_at_a_time()
        self.break_nodes(arm)
        self.leave_alone()
        scheduler.stop()
        return arm, runs

    def library_face(self) -> list[tuple[Arm, list[Run]]]:
        """Face b: specs through prefer_last_node, no extender; the control arm's sessions run in the same rounds."""
        scheduler = self.stack.start_scheduler("sticky.yaml")
        injected = make_arm(self.sessions, "library", self.workloads, sticky=True, injected=True)
        control = make_arm(self.sessions, "control", self.workloads, sticky=False)
        runs = [run for session in ROUNDS for run in self.rounds.run([injected, control], session)]
        shown = []
        for arm, title in (
            (injected, "(b) library: specs through prefer_last_node, no extender"),
            (control, "control: the same without stickiness"),
        ):
            own = [run for run in runs if run.arm == arm.name]
            report.print_arm(self.console, title, own)
            shown.append((arm, own))
        self.break_nodes(injected)
        scheduler.stop()
        return shown

    def many_at_a_time(self) -> None:
        """Eight sessions of a workload at a time, and first sessions of a cache group."""
        self.tallies, self.tallied = compare(functools.partial(make_arm, self.sessions), self.rounds)
        title = "(a) extender: many sessions of a workload at a time, and first sessions of a cache group"
        report.print_tallies(self.console, title, self.tallies)
        found = [problem for tally in self.tallies for problem in tally.problems()]
        self.problems += [f"{problem} ({self.counted()})" for problem in found]

    def break_nodes(self, arm: Arm) -> None:
        """Take the last node of three workloads away, each in another way, and start their next session."""
        for workload, (fault, break_node) in zip(arm.workloads, FAULTS.items(), strict=False):
            last_node = arm.last_nodes[workload["metadata"]["name"]]
            with break_node(self.stack, last_node):
                run = self.rounds.one(arm, workload, f"after-{fault}")
            self.faults.append((fault, last_node, run))
            if run.outcome != "moved":
                self.problems.append(f"{run.workload} still ran on {last_node}, which was {fault}")

    def leave_alone(self) -> None:
        """Sessions of workloads that did not opt in, or that have a warm pool: nothing of them may be touched."""
        bystanders = [
            self.sessions.create(agent_runtime("not-opted-in")),
            self.sessions.create(code_interpreter("warm-pool", sticky=True, warm_pool_size=2)),
        ]
        preferred = self._preferred()
        arm = Arm("untouched", sticky=False, injected=True, workloads=bystanders)
        for session in ("1", "2"):
            self.rounds.run([arm], session)
        for workload in bystanders:
            self._check_untouched(workload)
        if self._preferred() != preferred:
            self.problems.append("the extender gave points to a pod of a workload without stickiness")
        self.console.print(
            "untouched: a workload without opt-in and one with a warm pool have no annotation, term or score"
        )

    def _check_untouched(self, workload: Object) -> None:
        annotations = self.sessions.read(workload)["metadata"].get("annotations", {})
        written = {contract.LAST_NODE_ANNOTATION, contract.RECENT_NODES_ANNOTATION} & annotations.keys()
        if written:
            self.problems.append(f"{workload['metadata']['name']} has {', '.join(sorted(written))}")

    def counted(self) -> str:
        """What the extender counted of its answers and waits: where to look first when a session went elsewhere."""
        counters = ("lastnode_prioritize_total", "lastnode_controller_wait_seconds_count")
        samples = self.stack.metrics(self.stack.extender_url).items()
        return ", ".join(f"{name} {value:g}" for name, value in samples if value and name.startswith(counters))

    def _preferred(self) -> float:
        return self.stack.metrics(self.stack.extender_url)['lastnode_prioritize_total{result="preferred"}']


def run(demo: Demo) -> int:
    """Everything, on a cluster that is ready. Returns the exit code."""
    arms = [demo.extender_face(), *demo.library_face()]
    report.print_faults(demo.console, demo.faults)
    totals = [total_of(arm.name, runs) for arm, runs in arms]
    report.print_totals(demo.console, totals)
    for (arm, runs), total in zip(arms, totals, strict=True):
        if arm.sticky and total.reused != total.returning:
            strays = ", ".join(f"{run.workload} ({run.session})" for run in runs if run.outcome == "moved")
            demo.problems.append(f"{arm.name}: did not come back on an idle cluster: {strays} ({demo.counted()})")
        if not arm.sticky:
            demo.problems += chance(arm.name, total.share)
    sticky = [(arm, runs) for arm, runs in arms if arm.sticky]
    demo.problems += operator.look(demo.console, demo.stack, sticky, demo.faults, demo.tallies, demo.tallied)
    for problem in demo.problems:
        demo.console.print(f"[red]NOT AS PROMISED[/red] {problem}")
    return 1 if demo.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Start a cluster, run the demo on it, take everything away again."""
    parser = argparse.ArgumentParser(prog="python -m testbed.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=80, help="simulated nodes (default: 80)")
    parser.add_argument("--workloads", type=int, default=20, help="workloads an arm (default: 20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the order of sessions")
    options = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(f"starting etcd, kube-apiserver and {options.nodes} simulated nodes (seed {options.seed})")
    try:
        with Stack.start() as stack, Sessions.connect(stack.cp.kubeconfig) as sessions:
            stack.start_agent(options.nodes)
            stack.start_extender()
            stack.start_recorder("--extender-url", stack.extender_url)
            rounds = Rounds(stack, sessions, random.Random(options.seed))
            return run(Demo(stack, sessions, rounds, console, options.workloads))
    except (LocalError, KubeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
