"""The headline experiment at a small scale on the real control plane: it fails when sessions stop coming back."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest

from benchmarks.headline import experiment, ran, world
from benchmarks.headline.arms import ARMS, CONTROL
from benchmarks.headline.world import Size

# Two rounds of 120 sessions, three waves each.
SIZE = Size(workloads=120, nodes=40, wave=40, rounds=2)
SEED = 412


class Outcome(NamedTuple):
    totals: ran.Summary
    cpu_ms: dict[str, float]


def outcome_of(arm: str) -> Outcome:
    rounds = list(world.rounds(SIZE, SEED))
    result = experiment.run(ARMS[arm], SIZE, rounds, SEED, print)
    return Outcome(ran.summary(result.ran, rounds), result.cpu_ms)


@pytest.fixture(scope="module")
def control() -> Outcome:
    return outcome_of(CONTROL)


@pytest.mark.parametrize(
    ("arm", "programs"),
    [
        ("injector-sticky", {"recorder"}),
        ("extender-default", {"recorder", "extender"}),
        ("webhook-sticky", {"recorder", "webhook"}),
    ],
)
def test_sessions_come_back_wherever_there_is_room_and_start_faster_than_without(
    arm: str, programs: set[str], control: Outcome
) -> None:
    (totals, cpu), without = outcome_of(arm), control.totals
    assert totals.sessions == without.sessions == SIZE.rounds * SIZE.workloads
    assert totals.came_back >= 0.9 * totals.possible, totals
    assert without.came_back <= 0.5 * without.possible, without
    assert totals.mean < 0.7 * without.mean
    assert totals.pulled < 0.5 * without.pulled
    if sys.platform == "linux":
        assert cpu.keys() - control.cpu_ms.keys() == programs
        assert min(cpu["kube-scheduler"], cpu["recorder"]) > 0
        own = cpu["the experiment itself"]
        assert own < sum(cpu.values()) - own, "it counts the programs that it has started as its own"
