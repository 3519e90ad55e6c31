"""The headline experiment's world, its model of images, its oracle and its counting: pure, so held to their rules."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.headline import model, ran, world
from benchmarks.headline.oracle import Oracle
from benchmarks.headline.ran import Ran
from benchmarks.headline.world import Round, Size

SIZES = st.builds(Size, st.integers(1, 80), st.integers(10, 30), st.integers(1, 30), st.integers(2, 4))
SEEDS = st.integers(0, 10**6)


def enough(size: Size, now: Round) -> bool:
    return size.wave <= sum(world.room(now, node) for node in now.taken)


@given(SIZES, SEEDS)
def test_every_round_starts_each_workload_once_on_as_many_machines(size: Size, seed: int) -> None:
    rounds = list(world.rounds(size, seed))
    assert len(rounds) == size.rounds
    for now in rounds:
        assert sorted(workload for wave in now.waves for workload in wave) == list(range(size.workloads))
        assert max(map(len, now.waves)) <= size.wave
        assert len(now.taken) == size.nodes
        assert now.come <= now.taken.keys()
        assert not now.gone & now.taken.keys()
        assert now.cordoned <= now.taken.keys()
    for before, now in pairwise(rounds):
        assert now.taken.keys() == (before.taken.keys() - now.gone) | now.come
        assert not now.come & before.taken.keys()


@given(SIZES, SEEDS)
def test_the_same_seed_is_the_same_world(size: Size, seed: int) -> None:
    assert list(world.rounds(size, seed)) == list(world.rounds(size, seed))
    assert model.catalogue(size.workloads, seed) == model.catalogue(size.workloads, seed)


def test_the_order_differs_from_round_to_round() -> None:
    first, second = list(world.rounds(Size(100, 10, 10, 2), 1))
    assert first.waves != second.waves


@given(st.integers(1, 300), SEEDS)
def test_each_workload_has_an_image_of_its_own_on_shared_layers(workloads: int, seed: int) -> None:
    images = model.catalogue(workloads, seed)
    tops = {layers[-1][0] for layers in images.values()}
    assert len(images) == len(tops) == workloads
    assert all(len(layers) == 3 for layers in images.values())
    sizes: dict[str, set[int]] = {}
    for layers in images.values():
        for name, size in layers:
            sizes.setdefault(name, set()).add(size)
    assert all(len(found) == 1 and min(found) > 0 for found in sizes.values())
    assert len({layers[0][0] for layers in images.values()}) <= model.BASES


@pytest.mark.parametrize(("taken", "places"), [(0.0, 10), (7.2, 1), (7.21, 0), (8.0, 0), (2.4, 7)])
def test_room_is_what_the_others_leave(taken: float, places: int) -> None:
    assert world.slots(taken) == places


@settings(deadline=None)
@given(SIZES, SEEDS)
def test_the_oracle_brings_back_whoever_can_and_overfills_no_node(size: Size, seed: int) -> None:
    rounds = list(world.rounds(size, seed))
    if not all(enough(size, now) for now in rounds):
        return
    outcome = list(Oracle(model.catalogue(size.workloads, seed)).run(rounds))
    assert len(outcome) == size.rounds * size.workloads
    for now in rounds:
        for number in range(len(now.waves)):
            load = Counter(one.node for one in outcome if (one.round, one.wave) == (now.number, number))
            assert all(count <= world.room(now, node) for node, count in load.items())
    totals = ran.summary(outcome, rounds)
    assert totals.came_back == totals.possible
    assert totals.returning == totals.came_back + sum(totals.reasons.values())
    assert totals.reasons[ran.ELSEWHERE] == totals.reasons[ran.UNWRITTEN] == 0


NOW = Round(
    number=1,
    taken={"roomy": 0.0, "tight": 7.2, "shut": 0.0},
    gone=frozenset({"left"}),
    come=frozenset(),
    cordoned=frozenset({"shut"}),
    waves=((0, 1),),
)


@pytest.mark.parametrize(
    ("node", "last", "on_last", "remembered", "expected"),
    [
        ("roomy", "", 0, {}, ""),
        ("roomy", "roomy", 3, {}, ""),
        ("roomy", "left", 0, {}, ran.GONE),
        ("roomy", "shut", 0, {}, ran.CORDONED),
        ("roomy", "tight", 1, {}, ran.FULL),
        ("roomy", "tight", 0, {0: "roomy"}, ran.UNWRITTEN),
        ("roomy", "tight", 0, {0: ""}, ran.UNWRITTEN),
        ("roomy", "tight", 0, {0: "tight"}, ran.ELSEWHERE),
        ("roomy", "tight", 0, {}, ran.ELSEWHERE),
    ],
)
def test_why_a_session_did_not_come_back(
    node: str, last: str, on_last: int, remembered: dict[int, str], expected: str
) -> None:
    assert ran.why(0, node, last, NOW, on_last, remembered) == expected


def test_two_that_want_the_last_place_of_a_node_can_come_back_only_once() -> None:
    both = [Ran(1, 0, 0, "tight", 1.0, 0, "tight"), Ran(1, 0, 1, "roomy", 9.0, 5, "tight", ran.FULL)]
    totals = ran.summary([*both, Ran(0, 0, 0, "tight", 20.0, 5, "")], [NOW])
    assert (totals.returning, totals.came_back, totals.possible) == (2, 1, 1)
    assert (totals.mean, totals.first_mean, totals.pulled) == (5.0, 20.0, 5)
    assert (totals.back_mean, totals.seconds) == (1.0, dict.fromkeys(ran.REASONS, 0.0) | {ran.FULL: 9.0})
