"""Many sessions of a workload at a time, and first sessions of a cache group: each beside its control arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Final, NamedTuple

from lastnode.contract import AGENTCUBE_PREFIX, CACHE_GROUP, OLDER_WEIGHT
from testbed.agent import names
from testbed.agent.nodes import NodeShape
from testbed.demo.arms import Arm, Rounds
from testbed.demo.outcome import MOST_OF_EIGHT_BY_CHANCE, Run, chance, remembered

AT_A_TIME: Final = 8
FIRST_SESSIONS: Final = 8
# That run before the first sessions, so that their group has nodes.
FORERUNNERS: Final = 4
# Of each session: so few fit on a node that the last one cannot take all eight, and that chance spreads them.
CPUS: Final = 2
# Of the control arm: its sessions have to fill the nodes that are left. Among equal nodes kube-scheduler takes much the
# same ones in every round, and they would come back to each other's.
CONTROL_WORKLOADS: Final = 6
# Small, so that ImageLocality, which counts an image's size by the share of nodes that have it, does not speak for the
# nodes of a control arm: below 23 MiB it is silent, and 18 of 80 nodes come to that.
IMAGE_BYTES: Final = 100_000_000
_FIT: Final = int(NodeShape().cpu) // CPUS


@dataclass(frozen=True, slots=True)
class Landing:
    """A session that had nodes to go to. ``known``: those, before its round; ``full``: who could take no more after."""

    run: Run
    known: frozenset[str]
    full: frozenset[str] = frozenset()

    @property
    def warm(self) -> bool:
        """It ran on one of them."""
        return self.run.node in self.known

    @property
    def astray(self) -> bool:
        """It did not, and one of them had room: nobody ends within a round, so who has room after it had it before."""
        return not self.warm and not self.known <= self.full


@dataclass(frozen=True, slots=True)
class Tally:
    """One line of the table. ``promised``: lastnode should bring them to a known node; else a control arm."""

    title: str
    promised: bool
    landings: tuple[Landing, ...]

    @property
    def warm(self) -> list[Run]:
        """The sessions that ran on a node known to them."""
        return [landing.run for landing in self.landings if landing.warm]

    @property
    def share(self) -> float:
        """How many of all they are: 0 to 1."""
        return len(self.warm) / len(self.landings) if self.landings else 0.0

    @property
    def most(self) -> int:
        """The most sessions on one node at a time, of one workload or of the first sessions."""
        return max(Counter((_together(each.run), each.run.node) for each in self.landings).values(), default=0)

    @property
    def seconds(self) -> float | None:
        """Their mean start-up."""
        return fmean(each.run.seconds for each in self.landings) if self.landings else None

    def problems(self) -> list[str]:
        """What is not as promised, a line each."""
        if not self.promised:
            return chance(self.title, self.share, MOST_OF_EIGHT_BY_CHANCE)
        astray = [each.run.pod for each in self.landings if each.astray]
        return [f"{self.title}: a known node had room, and elsewhere ran {', '.join(astray)}"] if astray else []


class _Line(NamedTuple):
    """``knows``: the arm whose nodes those of ``arm`` should go to: the same one, or its relatives."""

    title: str
    arm: Arm
    knows: Arm
    promised: bool = True

    def known(self) -> dict[str, frozenset[str]]:
        """The nodes that each of its workloads knows."""
        own = {workload: frozenset(remembered(former)) for workload, former in self.knows.former.items()}
        if self.knows is self.arm:
            return own
        all_of_them = frozenset(node for nodes in own.values() for node in nodes)
        return {workload["metadata"]["name"]: all_of_them for workload in self.arm.workloads}


def compare(make_arm: Callable[..., Arm], rounds: Rounds) -> tuple[list[Tally], list[Run]]:
    """Three rounds of the eight; in the second one also the first sessions. ``make_arm``: of testbed.demo.arms, for
    these sessions. Returns the lines of the table, and all that ran."""
    make = partial(make_arm, cpu=str(CPUS), pod_annotations={names.IMAGE_SIZE: str(IMAGE_BYTES)})
    many, groups = _many(make), [*_group(make)]
    ran = rounds.run([*(line.arm for line in many), *(line.knows for line in groups)], "1")
    landings: dict[str, list[Landing]] = {}
    for session, lines in (("2", [*many, *groups]), ("3", many)):
        known = {workload: nodes for line in lines for workload, nodes in line.known().items()}
        runs = rounds.run([line.arm for line in lines], session)
        ran += runs
        full = full_nodes(runs)
        for run in runs:
            landings.setdefault(run.arm, []).append(Landing(run, known[run.workload], full))
    tallies = [Tally(line.title, line.promised, tuple(landings[line.arm.name])) for line in (*many, *groups)]
    return tallies, ran


def full_nodes(runs: Iterable[Run], fit: int = _FIT) -> frozenset[str]:
    """Where so many of the sessions of a round ran that no other one would have found room."""
    return frozenset(node for node, count in Counter(run.node for run in runs).items() if count >= fit)


def _many(make: Callable[..., Arm]) -> list[_Line]:
    eight = partial(make, at_a_time=AT_A_TIME)
    arms = {
        "": eight("many", 1, sticky=True),
        f", {OLDER_WEIGHT}=100": eight("alike", 1, sticky=True, annotations=_annotation(OLDER_WEIGHT, "100")),
        ", control: without stickiness": eight("chance", CONTROL_WORKLOADS, sticky=False),
    }
    return [_Line(f"{AT_A_TIME} at a time{how}", arm, arm, arm.sticky) for how, arm in arms.items()]


def _group(make: Callable[..., Arm]) -> Iterable[_Line]:
    for name, title, told in (
        ("group", "first of a cache group", _annotation(CACHE_GROUP, "images")),
        ("alone", "first of a cache group, control: without the group", {}),
    ):
        one = partial(make, sticky=True, annotations=told, image=f"registry.example/{name}:1")
        yield _Line(title, one(f"{name}-new", FIRST_SESSIONS), one(name, FORERUNNERS), promised=bool(told))


def _annotation(name: str, value: str) -> Mapping[str, str]:
    return {f"{AGENTCUBE_PREFIX}/{name}": value}


def _together(run: Run) -> tuple[str, str]:
    session, several, _ = run.session.partition("-")
    return (run.workload if several else run.arm), session
