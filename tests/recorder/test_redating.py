"""A session that is back on its last node soon costs no write, and nothing that it would have said is lost."""

from __future__ import annotations

from functools import partial

import pytest

from lastnode.contract import DEFAULT_REDATE_SECONDS
from testbed.stack import Stack
from tests.recorder.space import Space, moment
from tests.recorder.test_crash import crash
from tests.recorder.test_leader import LONG, PENDING, Replica, Replicas
from tests.recorder.test_leader import replicas as replicas  # the fixture
from tests.waiting import eventually

REDATE = int(DEFAULT_REDATE_SECONDS)
UNCHANGED = 'lastnode_record_writes_total{result="unchanged"}'


def entries(space: Space) -> list[tuple[str, str]]:
    return [(entry["node"], entry["readyAt"]) for entry in space.recent()]


def counted(space: Space, url: str) -> list[str]:
    """The workload's sessions that this replica has counted."""
    records = space.stack.journal(url=url)
    return [each.pod for each in records if (each.namespace, each.workload) == (space.name, "w")]


def back(space: Space, node: str, *seconds: int) -> None:
    """Sessions on that node which became Ready then, each after the one before was looked at."""
    for second in seconds:
        space.session(f"s{second}", node, second)
        space.settled()


def test_sessions_that_are_back_soon_are_counted_and_the_date_is_written_when_it_is_old(space: Space) -> None:
    node = space.node("a")
    space.workload()
    back(space, node, 1)
    before = space.read()["metadata"]["resourceVersion"]
    back(space, node, 150, REDATE)
    assert space.read()["metadata"]["resourceVersion"] == before
    eventually(lambda: counted(space, space.stack.recorder_url) == ["s1", "s150", f"s{REDATE}"], "all to be counted")
    back(space, node, REDATE + 1)
    assert entries(space) == [(node, moment(REDATE + 1))]


def test_the_next_session_elsewhere_brings_the_dates_of_those_that_were_back(space: Space) -> None:
    node, other = space.node("a"), space.node("b")
    space.workload()
    back(space, node, 1, 100)
    back(space, other, 50)
    assert entries(space) == [(node, moment(100)), (other, moment(50))]


def test_a_session_that_was_back_and_crashes_takes_the_node_back(space: Space) -> None:
    good, bad = space.node("good"), space.node("bad")
    space.workload()
    back(space, good, 1)
    back(space, bad, 10)
    again = space.session("again", bad, 100)
    space.settled()
    crash(space, again, 105)
    space.written(good)
    assert [node for node, _ in entries(space)] == [good]


@pytest.mark.parametrize("ttl", ["1m", "0"])
def test_a_date_is_behind_by_a_tenth_of_the_time_that_it_counts_at_most(plane: Stack, ttl: str) -> None:
    space = Space(plane)
    recorder = plane.start_recorder("--memory-ttl", ttl, name=f"recorder-{space.name}")
    try:
        node = space.node("a")
        space.workload()
        back(space, node, 1, 6, 7)
        assert entries(space) == [(node, moment(7 if ttl == "1m" else 1))]
    finally:
        recorder.kill()


def test_who_takes_over_counts_no_session_again_that_was_back(plane: Stack, replicas: Replicas) -> None:
    space = Space(plane)
    leader, standby = replicas.pair(LONG)
    node = space.node("a")
    space.workload()

    def unchanged(replica: Replica) -> bool:
        return replica.metric(UNCHANGED) >= 1 and replica.metric(PENDING) == 0

    space.session("first", node, 1)
    space.written(node)
    space.session("back", node, 2)
    for replica in (leader, standby):
        eventually(partial(unchanged, replica), "both sessions to be looked at")
    eventually(lambda: counted(space, leader.url) == ["first", "back"], "both to be counted")
    replicas.hand_over(leader, standby)
    again = replicas.start(LONG)  # finds it Ready
    space.session("second", node, REDATE + 2)
    eventually(lambda: counted(space, standby.url) == ["second"], "the second leader's to be counted")
    replicas.hand_over(standby, again)
    space.session("third", node, 2 * REDATE + 3)
    eventually(lambda: counted(space, again.url) == ["third"], "the third leader's to be counted")
