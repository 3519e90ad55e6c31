"""What is asked again passes without a preference, and hardly anything else does."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from extender.holding import (
    AGAIN_SECONDS,
    AT_ONCE_SECONDS,
    ENOUGH_PODS,
    HOLD_SECONDS,
    MOST_ANSWERS,
    MOST_NAMESPACES,
    Creation,
    Holding,
)

RETRY = 0.005  # the first pause of most controllers
steps = st.tuples(st.floats(0, 2 * AGAIN_SECONDS), st.sampled_from("ab"), st.integers(0, 1))


class Namespace:
    """Asks about the pods of one namespace, at times of the test's own."""

    def __init__(self, name: str = "demo") -> None:
        self.now = 1000.0
        self.name = name
        self.holding = Holding(lambda: self.now)

    def plain(self, pod: str, remembered: int = 0, *, after: float = 0.0, namespace: str = "") -> bool:
        self.now += after
        return self.holding.asked(Creation(namespace or self.name, f"uid of {pod}", pod, 0), remembered)

    def refused(self, pod: str) -> None:
        """As by a policy: the pod is made at the second try."""
        assert not self.plain(pod)
        assert self.plain(pod, after=RETRY)


def test_a_pod_that_is_asked_about_once_gets_its_preference() -> None:
    space = Namespace()
    assert not any(space.plain(f"pod-{number}", after=0.1) for number in range(100))


def test_a_retry_passes_as_it_is_and_costs_nobody_else_anything() -> None:
    space = Namespace()
    space.refused("a")
    assert not space.plain("b")


def test_a_controller_that_paces_itself_is_heard_too() -> None:
    space = Namespace()
    assert not space.plain("a")
    assert space.plain("a", after=AGAIN_SECONDS - 1)


def test_after_a_second_pod_the_namespace_is_held_back_for_some_minutes_and_no_other() -> None:
    space = Namespace()
    for pod in ("a", "b")[:ENOUGH_PODS]:
        space.refused(pod)
    assert space.plain("c")
    assert space.plain("c", after=RETRY)
    assert space.holding.is_held("demo")
    assert not space.plain("c", namespace="other")
    assert not space.plain("d", after=HOLD_SECONDS)


def test_the_next_session_of_a_sandbox_is_no_retry() -> None:
    """The pod has the same name, labels and controller; what differs is what the workload remembers."""
    space = Namespace()
    assert not any(space.plain("a", remembered, after=1) for remembered in range(20))
    assert not space.holding.is_held("demo")


@given(st.integers(0, 1000))
def test_a_controller_that_asks_again_for_a_pod_that_is_there_holds_nobody_back(seed: int) -> None:
    """It does not see its own pod yet, at one session of ten."""
    space, dice = Namespace(), random.Random(seed)
    for number in range(100):
        assert not space.plain(f"pod-{number}", after=dice.random())
        for _ in range(number % 10 == 9):
            space.plain(f"pod-{number}", after=RETRY)
    assert not space.holding.is_held("demo")


def test_full_quotas_hold_nobody_back_however_many_pods_wait_for_room() -> None:
    space = Namespace()
    for _ in range(10):
        for pod in "abcd":
            space.plain(pod, after=RETRY)
    assert not space.holding.is_held("demo")
    assert not space.plain("e")


def test_what_is_refused_for_another_reason_too_is_not_kept_by_the_preference_for_ever() -> None:
    space = Namespace()
    answers = [space.plain("a", after=2.0**number / 100) for number in range(12)]
    assert answers[:2] == [False, True]
    assert not any(first is second is False for first, second in itertools.pairwise(answers))


@given(st.lists(steps, max_size=30))
def test_no_pod_is_given_a_preference_twice_in_succession_unless_much_time_or_a_session_lies_between(
    asked: list[tuple[float, str, int]],
) -> None:
    space = Namespace()
    last: dict[str, tuple[float, bool, int]] = {}
    for after, pod, remembered in asked:
        plain = space.plain(pod, remembered, after=after)
        at, before, then = last.get(pod, (0.0, True, remembered))
        assert plain or before or then != remembered or space.now - at >= AGAIN_SECONDS
        last[pod] = (space.now, plain, remembered)


@given(st.lists(st.tuples(st.floats(AT_ONCE_SECONDS, 2 * AGAIN_SECONDS), st.sampled_from("abcd")), max_size=30))
def test_who_takes_his_time_never_holds_a_namespace_back(asked: list[tuple[float, str]]) -> None:
    space = Namespace()
    for after, pod in asked:
        space.plain(pod, after=after)
        assert not space.holding.is_held("demo")


def test_what_it_knows_is_bounded() -> None:
    space = Namespace()
    for number in range(2 * MOST_ANSWERS):
        space.plain(f"pod-{number}")
    assert not space.plain("pod-0")  # forgotten
    for number in range(2 * MOST_NAMESPACES):
        for pod in ("a", "b", "a", "b"):
            space.plain(pod, namespace=f"space-{number}", after=RETRY)
    assert not space.holding.is_held("space-0")
    assert space.holding.is_held(f"space-{2 * MOST_NAMESPACES - 1}")
