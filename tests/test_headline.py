"""The headline experiment at a small scale on the real control plane: it fails when sessions stop coming back."""

from __future__ import annotations

import pytest

from benchmarks.headline import experiment, ran, world
from benchmarks.headline.arms import ARMS, CONTROL
from benchmarks.headline.world import Size

# Two rounds of 120 sessions, three waves each.
SIZE = Size(workloads=120, nodes=40, wave=40, rounds=2)
SEED = 412


def totals_of(arm: str) -> ran.Summary:
    rounds = list(world.rounds(SIZE, SEED))
    return ran.summary(experiment.run(ARMS[arm], SIZE, rounds, SEED, print).ran, rounds)


@pytest.fixture(scope="module")
def control() -> ran.Summary:
    return totals_of(CONTROL)


@pytest.mark.parametrize("arm", ["injector-sticky", "extender-default", "webhook-sticky"])
def test_sessions_come_back_wherever_there_is_room_and_start_faster_than_without(
    arm: str, control: ran.Summary
) -> None:
    totals = totals_of(arm)
    assert totals.sessions == control.sessions == SIZE.rounds * SIZE.workloads
    assert totals.came_back >= 0.9 * totals.possible, totals
    assert control.came_back <= 0.5 * control.possible, control
    assert totals.mean < 0.7 * control.mean
    assert totals.pulled < 0.5 * control.pulled
