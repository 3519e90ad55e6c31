"""How long a request waits for a Sandbox: longer where that helps, and never much of the scheduler's time in vain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extender import lookup
from extender.waiting import Allowance, Ending
from lastnode.kube.store import ObjectKey, Store
from lastnode.objects import Controller

KEY = ObjectKey("demo", "s")


class Watched(Store[Controller]):
    """Sandboxes of which the wanted one comes ``late`` seconds after it is asked for; the clock moves instead."""

    def __init__(self, late: float = 10.0) -> None:
        super().__init__()
        self.late = late
        self.now = 0.0
        self.endings: list[Ending] = []
        self.patience = lookup.brief(lambda ending, _seconds: self.endings.append(ending), lambda: self.now)

    def expect(self, key: ObjectKey, seconds: float, uid: str = "") -> Controller | None:
        self.now += min(seconds, self.late)
        return Controller(namespace=key.namespace, name=key.name, uid=uid) if self.late <= seconds else None

    def waited(self) -> float:
        before = self.now
        self.patience.wait(self, KEY, "1")
        return self.now - before


def test_a_sandbox_that_a_starved_machine_brings_late_is_waited_for_each_time() -> None:
    sandboxes = Watched(late=0.1)
    for _ in range(100):
        assert sandboxes.waited() == pytest.approx(0.1)
    assert sandboxes.endings == [Ending.CAME] * 100


def test_after_five_waits_in_vain_requests_wait_no_longer_than_they_always_may() -> None:
    sandboxes = Watched()
    waited = [sandboxes.waited() for _ in range(20)]
    assert waited[:5] == pytest.approx([lookup.CONTROLLER_SECONDS + lookup.LATE_SECONDS] * 5)
    assert max(waited[6:]) < lookup.CONTROLLER_SECONDS + 0.2 * lookup.LATE_SECONDS
    assert min(waited) >= lookup.CONTROLLER_SECONDS


def test_what_was_lost_in_vain_is_there_again_after_a_while() -> None:
    sandboxes = Watched()
    for _ in range(20):
        sandboxes.waited()
    sandboxes.now += lookup.IN_VAIN_SECONDS / lookup.IN_VAIN_SHARE
    assert sandboxes.waited() == pytest.approx(lookup.CONTROLLER_SECONDS + lookup.LATE_SECONDS)


def test_the_longest_wait_is_below_what_the_runbook_calls_slow() -> None:
    assert lookup.CONTROLLER_SECONDS + lookup.LATE_SECONDS < 0.15


@given(
    share=st.floats(0.0, 0.5),
    saved=st.floats(0.0, 2.0),
    most=st.floats(0.0, 0.5),
    asked=st.lists(st.tuples(st.floats(0.0, 5.0), st.booleans()), max_size=60),
)
def test_no_more_than_its_share_of_the_time_is_lost_and_no_request_gets_more_than_the_most(
    share: float, saved: float, most: float, asked: list[tuple[float, bool]]
) -> None:
    now = lost = 0.0
    allowance = Allowance(most, share, saved, lambda: now)
    for passed, in_vain in asked:
        now += passed
        taken = allowance.take()
        assert 0 <= taken <= most
        if in_vain:
            lost += taken
        else:
            allowance.give_back(taken)
        assert lost <= saved + share * now + 1e-9
