"""The demo from start to end. Exits with 0 when every session that could come back did, else with 1."""

from __future__ import annotations

import argparse
import functools
import random
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from rich.console import Console

from lastnode.contract import LAST_NODE, RECENT_NODES
from lastnode.kinds import kind_named
from lastnode.kube.errors import KubeError
from testbed.demo import keep, operator, report
from testbed.demo.arms import Arm, Rounds, as_far_as, make_arm
from testbed.demo.faults import FAULTS
from testbed.demo.many import Tally, compare
from testbed.demo.outcome import Run, chance, total_of
from testbed.errors import LocalError
from testbed.sandboxes import sandbox
from testbed.sessions import Object, Sessions, SessionTimeout
from testbed.stack import Stack
from testbed.workloads import agent_runtime, code_interpreter

ROUNDS = ("1", "2", "3")
UNTOUCHED = "untouched"
COUNTERS = ("lastnode_injections_total", "lastnode_prioritize_total", "lastnode_controller_wait_seconds_count")
SPOKEN = """
Pods that come with the preference, kube-scheduler as everybody has it. All run in the same rounds:
(a) webhook: plain pods, and the API server asks lastnode as they are made. The default installation
(b) library: pods' specs through prefer_last_node
(c) sandbox: Sandboxes alone, without agentcube, suspended and resumed; through the webhook
    control, sandbox-control: the same without opt-in"""
ASKED = """
(d) extender: plain pods; kube-scheduler asks lastnode"""


@dataclass
class Demo:
    """State of one run: what was seen, and what was not as promised. ``tallied``: all that ran for the tallies.
    ``shown``: so many workloads of an arm are."""

    stack: Stack
    sessions: Sessions
    rounds: Rounds
    console: Console
    workloads: int
    shown: int
    problems: list[str] = field(default_factory=list)
    arms: list[tuple[Arm, list[Run]]] = field(default_factory=list)
    faults: list[tuple[str, str, Run]] = field(default_factory=list)
    tallies: list[Tally] = field(default_factory=list)
    tallied: list[Run] = field(default_factory=list)

    def spoken(self) -> None:
        """Faces a, b and c, their control arms, and workloads that do not take part."""
        self.console.print(SPOKEN)
        make = functools.partial(make_arm, self.sessions, count=self.workloads)
        alone = functools.partial(make, builders=[sandbox], suspended=True)
        arms = [
            make("webhook", sticky=True),
            make("library", sticky=True, face="library"),
            make("control", sticky=False),
            alone("sandbox", sticky=True),
            alone("sandbox-control", sticky=False),
        ]
        others = agent_runtime("not-opted-in"), code_interpreter("warm-pool", sticky=True, warm_pool_size=2)
        arms.append(Arm(UNTOUCHED, sticky=False, face="webhook", workloads=[*map(self.sessions.create, others)]))
        self._run(*arms)
        self.break_nodes(*(arm for arm in arms if arm.sticky))

    def asked(self) -> None:
        """Face d, and with it many sessions of a workload at a time and first sessions of a cache group."""
        self.console.print(ASKED)
        self.leave_alone()
        make = functools.partial(make_arm, self.sessions, face="extender")
        arm = make("extender", self.workloads, sticky=True)
        self._run(arm)
        self.tallies, self.tallied = compare(make, self.rounds)
        title = "(d) extender: many sessions of a workload at a time, and first sessions of a cache group"
        report.print_tallies(self.console, title, self.tallies)
        found = [problem for tally in self.tallies for problem in tally.problems()]
        self.problems += [f"{problem} ({self.counted()})" for problem in found]
        self.break_nodes(arm)

    def break_nodes(self, *arms: Arm) -> None:
        """Take the last node of three workloads of each arm away, each in another way, and start their next session."""
        taken: dict[str, tuple[str, Arm, Object]] = {}
        for arm in arms:
            last = ((workload, arm.last_nodes[workload["metadata"]["name"]]) for workload in arm.workloads)
            free = ((workload, node) for workload, node in last if node not in taken)  # asked as it is needed
            for fault, (workload, node) in zip(FAULTS, free, strict=False):
                taken[node] = (fault, arm, workload)
        with ExitStack() as broken:
            for node, (fault, _, _) in taken.items():
                broken.enter_context(FAULTS[fault](self.stack, node))
            parts = [arm.part(workload) for _, arm, workload in taken.values()]
            runs = {run.workload: run for run in self.rounds.run(parts, "after")}
        for node, (fault, _, workload) in taken.items():
            run = runs[workload["metadata"]["name"]]
            self.faults.append((fault, node, run))
            if run.node == node:
                self.problems.append(f"{run.workload} still ran on {node}, which was {fault}")

    def leave_alone(self) -> None:
        """Of workloads without opt-in, or with a warm pool, nothing was touched so far; nor does the extender."""
        quiet = [(arm, runs) for arm, runs in self.arms if not arm.sticky]
        preferred = self._preferred()
        self.rounds.run([replace(arm, face="extender") for arm, _ in quiet if arm.name == UNTOUCHED], "asked")
        if self._preferred() != preferred:
            self.problems.append("the extender gave points to a pod of a workload without stickiness")
        for arm, runs in quiet:
            for workload in arm.workloads:
                self._check_untouched(workload)
            told = [run.pod for run in runs if run.told]
            self.problems += [f"{pod} came with a preference, and its workload is without stickiness" for pod in told]
        self.console.print("untouched: workloads without opt-in or with a warm pool have no annotation, term or score")

    def counted(self) -> str:
        """What lastnode counted of its answers and waits: where to look first when a session went elsewhere."""
        urls = (self.stack.webhook_url, self.stack.extender_url)
        samples = [sample for url in urls for sample in self.stack.metrics(url).items()]
        return ", ".join(f"{name} {value:g}" for name, value in samples if value and name.startswith(COUNTERS))

    def _run(self, *arms: Arm) -> None:
        rounds, never = as_far_as(self.rounds.run(arms, session) for session in ROUNDS)
        runs = [run for each in rounds for run in each]
        self.arms += [(arm, [run for run in runs if run.arm == arm.name]) for arm in arms]
        few = [{each["metadata"]["name"] for each in arm.workloads[: self.shown]} for arm in arms]
        title = f"{self.shown} of each arm's {self.workloads} workloads"
        if runs:
            report.print_sessions(self.console, title, [[run for run in runs if run.workload in each] for each in few])
        if never:
            raise SessionTimeout(never)

    def _check_untouched(self, workload: Object) -> None:
        prefix = kind_named(workload["kind"]).prefix
        written = {f"{prefix}/{LAST_NODE}", f"{prefix}/{RECENT_NODES}"}
        found = written & self.sessions.read(workload)["metadata"].get("annotations", {}).keys()
        if found:
            self.problems.append(f"{workload['metadata']['name']} has {', '.join(sorted(found))}")

    def _preferred(self) -> float:
        return self.stack.metrics(self.stack.extender_url)['lastnode_prioritize_total{result="preferred"}']


def run(demo: Demo) -> int:
    """Everything, on a cluster that is ready. Returns the exit code."""
    try:
        scheduler = demo.stack.start_scheduler("sticky.yaml")
        demo.spoken()
        scheduler.stop()
        demo.stack.start_scheduler("extender.yaml")
        demo.asked()
    except SessionTimeout as error:  # what ran before is told all the same
        demo.problems.append(str(error))
        whole = False
    else:
        whole = True
    report.print_faults(demo.console, demo.faults)
    arms = [(arm, runs) for arm, runs in demo.arms if arm.name != UNTOUCHED]
    totals = [total_of(arm.name, runs) for arm, runs in arms]
    report.print_totals(demo.console, totals)
    for (arm, runs), total in zip(arms, totals, strict=True):
        if arm.sticky and total.reused != total.returning:
            strays = ", ".join(f"{run.workload} ({run.session})" for run in runs if run.outcome == "moved")
            demo.problems.append(f"{arm.name}: did not come back on an idle cluster: {strays} ({demo.counted()})")
        if not arm.sticky:
            demo.problems += chance(arm.name, total.share)
    sticky = [(arm, runs) for arm, runs in arms if arm.sticky]
    if whole:
        demo.problems += operator.look(demo.console, demo.stack, sticky, demo.faults, demo.tallies, demo.tallied)
    for problem in demo.problems:
        demo.console.print(f"[red]NOT AS PROMISED[/red] {problem}")
    return 1 if demo.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Start a cluster, run the demo on it, take everything away again."""
    parser = argparse.ArgumentParser(prog="python -m testbed.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--nodes", type=int, default=80, help="simulated nodes (default: 80)")
    parser.add_argument("--workloads", type=int, default=20, help="workloads an arm (default: 20)")
    parser.add_argument("--show", type=int, default=3, help="so many of them (default: 3)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the order of sessions")
    parser.add_argument("--keep", action="store_true", help="then leave everything running until Ctrl-C")
    options = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)
    console.print(f"starting etcd, kube-apiserver and {options.nodes} simulated nodes (seed {options.seed})")
    try:
        with Stack.start() as stack, Sessions.connect(stack.cp.kubeconfig) as sessions:
            stack.start_agent(options.nodes)
            stack.start_extender()
            stack.start_webhook()
            stack.start_recorder("--extender-url", stack.extender_url)
            rounds = Rounds(stack, sessions, random.Random(options.seed))
            demo = Demo(stack, sessions, rounds, console, options.workloads, options.show)
            code = run(demo)
            if options.keep:
                keep.stay(console, stack, rounds, [arm for arm, _ in demo.arms if arm.name in ("webhook", "sandbox")])
            return code
    except (LocalError, KubeError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
