"""The headline experiment at a small scale on the real control plane: it fails when sessions stop coming back."""

from __future__ import annotations

import sys
from typing import NamedTuple

from benchmarks.headline import experiment, model, ran, world
from benchmarks.headline.arms import ARMS, CONTROL
from benchmarks.headline.ran import Ran
from benchmarks.headline.world import Size

# Two rounds of 80 sessions each: in two waves; and eight of a workload at a time.
ONE = Size(workloads=80, nodes=40, wave=40, rounds=2)
MANY = Size(workloads=10, nodes=80, wave=80, rounds=2, at_a_time=8)
SEED = 412


class Outcome(NamedTuple):
    totals: ran.Summary
    cpu_ms: dict[str, float]
    ran: list[Ran]

    def shared_bytes_pulled_by_later_first_sessions(self, size: Size) -> int:
        """Beside their workloads' own layers, by those of the first round that could have known where others ran."""
        images = model.catalogue(size.workloads, SEED)
        later = [one for one in self.ran if not one.returning and one.wave]
        return sum(one.pulled - images[model.image_of(one.workload)][-1].size for one in later)


def outcome_of(arm: str, size: Size) -> Outcome:
    rounds = list(world.rounds(size, SEED))
    result = experiment.run(ARMS[arm], size, rounds, SEED, print)
    return Outcome(ran.summary(result.ran, rounds), result.cpu_ms, result.ran)


def comes_back(with_it: Outcome, without: Outcome) -> None:
    own, other = with_it.totals, without.totals
    assert own.sessions == other.sessions == 2 * own.returning == 160
    assert own.remembered >= 0.9 * own.possible, own
    assert own.reasons[ran.ELSEWHERE] <= 0.1 * own.returning, own
    assert own.mean < 0.8 * other.mean
    assert own.pulled < 0.5 * other.pulled


def test_one_session_at_a_time_comes_back_and_the_first_one_goes_where_its_group_ran() -> None:
    without, groups = outcome_of(CONTROL, ONE), outcome_of("groups-sticky", ONE)
    comes_back(groups, without)
    assert groups.totals.came_back >= 0.85 * groups.totals.returning
    assert without.totals.remembered <= 0.5 * without.totals.possible
    shared = [each.shared_bytes_pulled_by_later_first_sessions(ONE) for each in (groups, without)]
    assert shared[0] < 0.5 * shared[1]
    if sys.platform == "linux":
        cpu = groups.cpu_ms
        assert cpu.keys() - without.cpu_ms.keys() == {"recorder", "webhook"}
        assert min(cpu["kube-scheduler"], cpu["recorder"]) > 0
        own = cpu["the experiment itself"]
        assert own < sum(cpu.values()) - own, "it counts the programs that it has started as its own"


def test_eight_sessions_of_a_workload_at_a_time_come_back_to_all_nodes_that_it_remembers() -> None:
    without, older = outcome_of(CONTROL, MANY), outcome_of("older-sticky", MANY)
    comes_back(older, without)
    assert older.totals.came_back < older.totals.remembered
    assert without.totals.remembered < older.totals.remembered
