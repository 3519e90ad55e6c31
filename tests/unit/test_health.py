"""The probes: ready once everything was listed, live while every loop moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lastnode.daemon.health import STUCK_SECONDS, live_checks, ready_checks, report
from lastnode.kube.observer import Progress


def watch(resource: str, **progress: Any) -> Any:
    """As much of a list-watch as the probes look at."""
    state = Progress(moved_at=0.0)
    for name, value in progress.items():
        setattr(state, name, value)
    return SimpleNamespace(resource=resource, progress=state)


def test_ready_once_every_resource_was_listed() -> None:
    watches = [watch("nodes", synced=True), watch("pods")]
    answer = report("readyz", ready_checks(watches, current=True), verbose=False)
    assert answer.status == 503
    assert answer.text == "[+]nodes ok\n[-]pods failed: not listed yet: just started\nreadyz check failed\n"
    watches[1].progress.synced = True
    assert report("readyz", ready_checks(watches, current=True), verbose=False) == (200, "ok")


def test_why_it_is_not_ready_is_told() -> None:
    text = report("readyz", ready_checks([watch("pods", trouble="403 no rights")], current=True), verbose=False).text
    assert "not listed yet: 403 no rights" in text


@pytest.mark.parametrize(("current", "status"), [(False, 200), (True, 503)])
def test_a_server_lost_later_makes_only_those_unready_that_need_it(current: bool, status: int) -> None:
    lost = watch("pods", synced=True, trouble="no answer", lost=True)
    answer = report("readyz", ready_checks([lost], current=current), verbose=False)
    assert answer.status == status
    assert ("[-]pods failed: lost: no answer" in answer.text) is current


def test_a_single_trouble_is_not_a_lost_server() -> None:
    answer = report("readyz", ready_checks([watch("pods", synced=True, trouble="closed")], current=True), verbose=True)
    assert answer == (200, "[+]pods ok\nreadyz check passed\n")


@pytest.mark.parametrize(("silent", "status"), [(STUCK_SECONDS, 200), (STUCK_SECONDS + 1, 503)])
def test_live_while_every_loop_moved_lately(silent: float, status: int) -> None:
    watches = [watch("nodes", moved_at=1000.0 + silent), watch("pods", moved_at=1000.0)]
    answer = report("livez", live_checks(watches, clock=lambda: 1000.0 + silent), verbose=False)
    assert answer.status == status
    assert ("[-]pods failed: has not moved for" in answer.text) is (status == 503)


def test_loops_beside_the_watches_count_as_much() -> None:
    checks = live_checks([watch("pods", moved_at=5.0)], {"writers": lambda: 0.0}, clock=lambda: 5.0, limit=4.0)
    answer = report("livez", checks, verbose=False)
    assert answer.text == "[+]pods ok\n[-]writers failed: has not moved for 5 s\nlivez check failed\n"


def test_a_check_is_asked_at_each_probe() -> None:
    checks = live_checks([one := watch("pods")], clock=lambda: STUCK_SECONDS * 2)
    assert report("livez", checks, verbose=False).status == 503
    one.progress.moved_at = STUCK_SECONDS * 2
    assert report("livez", checks, verbose=False).status == 200
