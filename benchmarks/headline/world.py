"""What happens in a run, the same for every arm: who starts when, which machines are there, how full they are. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

CPU: Final = 8.0  # of a node: testbed.agent.nodes.NodeShape
SESSION_CPU: Final = 0.8
# Share of a node's CPU that others have taken, drawn evenly: 65 % on average, every seventh node without room for one
# session. A tenth of the nodes is drawn anew each round: the others come and go too.
TAKEN: Final = (0.3, 1.0)
REDRAWN: Final = 0.1
# Of the nodes, each round: gone for good (as many new ones come), and cordoned for the round.
LEAVING: Final = 0.02
CORDONED: Final = 0.01


# Sessions of a workload at a time, in each of the two worlds: as many in all.
WORLDS: Final = {"one": 1, "many": 8}


class Size(NamedTuple):
    """``wave``: sessions that are started together, and end together when all of them were Ready; ``at_a_time`` of each
    workload."""

    workloads: int
    nodes: int
    wave: int
    rounds: int
    at_a_time: int = 1

    @property
    def wave_workloads(self) -> int:
        """How many workloads a wave has."""
        return max(1, self.wave // self.at_a_time)


class Round(NamedTuple):
    """``taken``: node -> CPUs of others, for every node that is there. ``gone``, ``come``: against the round before.

    ``waves``: the workload of each session, by number: each in one wave, its sessions next to each other.
    """

    number: int
    taken: Mapping[str, float]
    gone: frozenset[str]
    come: frozenset[str]
    cordoned: frozenset[str]
    waves: tuple[tuple[int, ...], ...]


def full_size(scale: float, at_a_time: int = 1) -> Size:
    """Scale 1: 20,000 sessions a round on 1,000 nodes; a smaller one has less of both."""
    nodes = max(10, round(1000 * scale))
    return Size(workloads=20 * nodes // at_a_time, nodes=nodes, wave=nodes, rounds=4, at_a_time=at_a_time)


def quick_size(at_a_time: int = 1) -> Size:
    """Two arms in two minutes."""
    return Size(workloads=400 // at_a_time, nodes=100, wave=100, rounds=3, at_a_time=at_a_time)


def rounds(size: Size, seed: int) -> Iterator[Round]:
    """The first one has every node anew; no workload has run before it."""
    rng = random.Random(f"world/{seed}")
    names = iter(f"node-{number}" for number in range(10 * size.nodes))
    taken: dict[str, float] = {}
    for number in range(size.rounds):
        gone = frozenset(rng.sample(sorted(taken), round(LEAVING * len(taken))))
        come = [next(names) for _ in range(size.nodes - len(taken) + len(gone))]
        stay = sorted(set(taken) - gone)
        redrawn = {*come, *rng.sample(stay, round(REDRAWN * len(stay)))}
        taken = {node: _level(rng) if node in redrawn else taken[node] for node in [*stay, *come]}
        cordoned = frozenset(rng.sample(sorted(taken), round(CORDONED * len(taken))))
        order = rng.sample(range(size.workloads), size.workloads)
        cuts = [order[at : at + size.wave_workloads] for at in range(0, len(order), size.wave_workloads)]
        waves = tuple(tuple(workload for workload in cut for _ in range(size.at_a_time)) for cut in cuts)
        yield Round(number, taken, gone, frozenset(come), cordoned, waves)


def slots(taken: float) -> int:
    """How many sessions at a time a node has room for, by its CPU."""
    return int((CPU - taken + 1e-9) / SESSION_CPU)


def room(now: Round, node: str) -> int:
    """How many sessions at a time may run on the node this round; 0 where it is not there or cordoned."""
    return slots(now.taken[node]) if node in now.taken and node not in now.cordoned else 0


def _level(rng: random.Random) -> float:
    return round(rng.uniform(*TAKEN) * CPU, 3)
