"""The headline experiment's world, its model of images, its oracle and its counting: pure, so held to their rules."""

from __future__ import annotations

import itertools
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.headline import model, ran, world
from benchmarks.headline.arms import ARMS, EVERYBODY, IN_TURN, STICKY, arms_of
from benchmarks.headline.oracle import Oracle
from benchmarks.headline.ran import Memories, Ran
from benchmarks.headline.seats import assign
from benchmarks.headline.world import Round, Size

SIZES = st.builds(
    Size, st.integers(1, 80), st.integers(10, 30), st.integers(1, 30), st.integers(2, 4), st.sampled_from([1, 1, 3])
)
SEEDS = st.integers(0, 10**6)


def enough(size: Size, now: Round) -> bool:
    return max(map(len, now.waves)) <= sum(world.room(now, node) for node in now.taken)


@given(SIZES, SEEDS)
def test_every_round_starts_each_workload_with_all_its_sessions_at_a_time_on_as_many_machines(
    size: Size, seed: int
) -> None:
    rounds = list(world.rounds(size, seed))
    assert len(rounds) == size.rounds
    for now in rounds:
        started = [workload for wave in now.waves for workload in sorted({*wave})]
        assert sorted(started) == list(range(size.workloads))
        assert all({*Counter(wave).values()} == {size.at_a_time} for wave in now.waves)
        assert max(map(len, now.waves)) <= max(size.wave, size.at_a_time)
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
    every = {layer for layers in images.values() for layer in layers}
    assert len(every) == len({layer.name for layer in every})
    assert all(layer.size > 0 for layer in every)
    assert len({layers[0][0] for layers in images.values()}) <= model.BASES


def test_the_two_worlds_have_as_many_sessions_on_as_many_nodes() -> None:
    one, many = (world.full_size(1, at_a_time) for at_a_time in world.WORLDS.values())
    assert (one.workloads, many.workloads) == (20_000, 2_500)
    assert one.nodes == many.nodes == 1000
    assert {len(wave) for size in (one, many) for wave in next(world.rounds(size, 1)).waves} == {1000}


def test_workloads_on_the_same_environment_are_a_group() -> None:
    images = model.catalogue(330, 1)
    groups = model.environments(images)
    assert len(set(groups.values())) <= 10 < len(groups)
    for workload, environment in groups.items():
        assert environment in {layer.name for layer in images[model.image_of(workload)]}


NODES = st.sampled_from("abcdef")


@given(
    st.lists(st.lists(NODES, unique=True, max_size=4).map(tuple), max_size=9),
    st.dictionaries(NODES, st.integers(0, 3), min_size=1),
)
def test_as_many_as_can_get_a_node_of_theirs_and_none_is_overfilled(
    wanted: list[tuple[str, ...]], room: dict[str, int]
) -> None:
    nodes = assign(wanted, room)
    placed = {session: node for session, node in enumerate(nodes) if node}
    assert all(node in wanted[session] for session, node in placed.items())
    assert all(count <= room[node] for node, count in Counter(placed.values()).items())
    assert len(placed) == most(wanted, room)


def most(wanted: list[tuple[str, ...]], room: dict[str, int]) -> int:
    """By Hall's theorem, in Ore's form: what the most crowded set of nodes turns away cannot be placed."""
    subsets = itertools.chain.from_iterable(itertools.combinations(room, size) for size in range(len(room) + 1))
    open_to = [{node for node in nodes if node in room} for nodes in wanted]
    return len(wanted) - max(
        sum(nodes <= {*subset} for nodes in open_to) - sum(room[node] for node in subset) for subset in subsets
    )


def test_whoever_can_get_its_first_node_does_and_moves_only_to_let_one_more_in() -> None:
    assert assign([("a", "b"), ("a", "b")], {"a": 1, "b": 1}) == ["a", "b"]
    assert assign([("b", "a"), ("a", "b"), ("b",)], {"a": 1, "b": 1, "c": 1}) == ["b", "a", ""]
    assert assign([("a", "b"), ("a",)], {"a": 1, "b": 1}) == ["b", "a"]


def test_a_workload_remembers_each_node_once_the_newest_first_and_eight_at_most() -> None:
    memories = Memories()
    assert memories.of(1) == ()
    for node in "abcdefghibz":
        memories.add(1, node)
    assert memories.of(1) == (*"zbihgfed",)
    assert memories.of(2) == ()


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
    assert len(outcome) == size.rounds * size.workloads * size.at_a_time
    for now in rounds:
        for number in range(len(now.waves)):
            load = Counter(one.node for one in outcome if (one.round, one.wave) == (now.number, number))
            assert all(count <= world.room(now, node) for node, count in load.items())
    totals = ran.summary(outcome, rounds)
    assert totals.remembered == totals.possible
    assert totals.returning == totals.remembered + sum(totals.reasons.values())
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
    ("node", "wanted", "load", "noted", "expected"),
    [
        ("roomy", [], {}, "", ""),
        ("roomy", ["tight", "roomy"], {"roomy": 3}, "", ""),
        ("roomy", ["left", "left too"], {}, "", ran.GONE),
        ("roomy", ["shut", "left"], {}, "", ran.CORDONED),
        ("roomy", ["tight", "shut"], {"tight": 1}, "", ran.FULL),
        ("roomy", ["tight"], {}, ["roomy"], ran.UNWRITTEN),
        ("roomy", ["tight"], {}, [], ran.UNWRITTEN),
        ("else", ["tight", "roomy"], {"tight": 1}, ["tight"], ran.UNWRITTEN),
        ("else", ["tight", "roomy"], {"tight": 1}, ["roomy"], ran.ELSEWHERE),
        ("roomy", ["tight"], {}, ["tight"], ran.ELSEWHERE),
    ],
)
def test_why_a_session_ran_on_none_of_the_nodes_that_it_wanted(
    node: str, wanted: list[str], load: dict[str, int], noted: list[str], expected: str
) -> None:
    assert ran.why(node, wanted, NOW, load, noted) == expected


def test_two_that_want_the_last_place_of_a_node_can_come_back_only_once() -> None:
    both = [Ran(1, 0, 0, "tight", 1.0, 0, ("tight",)), Ran(1, 0, 1, "roomy", 9.0, 5, ("tight",), ran.FULL)]
    totals = ran.summary([*both, Ran(0, 0, 0, "tight", 20.0, 5, ())], [NOW])
    assert (totals.returning, totals.came_back, totals.remembered, totals.possible) == (2, 1, 1, 1)
    assert (totals.mean, totals.first_mean, totals.pulled) == (5.0, 20.0, 5)
    assert (totals.back_mean, totals.seconds) == (1.0, dict.fromkeys(ran.REASONS, 0.0) | {ran.FULL: 9.0})


def test_sessions_of_one_workload_are_counted_where_they_ran_at_the_same_time() -> None:
    known = ("roomy", "tight")
    many = [Ran(1, 0, workload, node, 1.0, 0, known) for workload, node in ((0, "roomy"), (0, "roomy"), (0, "tight"))]
    totals = ran.summary([*many, Ran(1, 0, 1, "roomy", 1.0, 0, known), Ran(0, 0, 0, "roomy", 2.0, 0, ())], [NOW])
    assert (totals.remembered, totals.came_back) == (4, 3)
    assert (totals.together, totals.most_together, totals.fullest) == (1.5, 2, 3.0)


def test_an_arm_asks_for_what_its_preference_says() -> None:
    assert ARMS["none-default"].wanted(("b", "a")) == ()
    assert ARMS["last-sticky"].wanted(("b", "a")) == ("b",)
    assert ARMS["older-sticky"].wanted(("b", "a")) == ("b", "a")
    assert ARMS["last-sticky"].flags == ("--older-weight=0", "--group-weight=0", "--sticky-scheduler", STICKY)
    assert ARMS["older-default"].flags == ()
    assert sorted(IN_TURN) == sorted(EVERYBODY) == sorted(arms_of(8))
    assert {*arms_of(8)} - {*arms_of(1)} == {"alike-sticky"}
