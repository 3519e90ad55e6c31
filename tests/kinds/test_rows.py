"""Every row of the table, built in and configured: what its sessions leave, and that they come back by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lastnode.outcome import Outcome
from testbed.workloads import Object
from tests.extender.cluster import path_of
from tests.kinds.rows import ROWS, TEMPLATE, Row
from tests.kinds.world import SCORES, TERMS, Workload, World, result
from tests.kubectl.terminal import run

EACH = pytest.mark.parametrize("row", ROWS, ids=str)


def written_by_us(obj: Object) -> bool:
    return any(each["manager"].startswith("lastnode-recorder") for each in obj["metadata"]["managedFields"])


@EACH
@pytest.mark.parametrize("namespace", [TERMS, SCORES])
def test_a_session_comes_back_and_nothing_is_touched_that_did_not_opt_in(
    world: World, row: Row, namespace: str
) -> None:
    other, mine = (world.workload(row, sticky=sticky, namespace=namespace) for sticky in (False, True))
    before = world.counted(row.kind)
    apart, first = other.run(), mine.run()
    with world.crowded(apart.node, first.node):
        moved, back = other.run(), mine.begin()

    assert back.node == first.node
    assert moved.node != apart.node
    assert back.terms == ([first.node] if namespace == TERMS else [])
    assert result(world.stack, back) == ("already_injected" if namespace == TERMS else "preferred")
    assert mine.nodes == [first.node]
    for ran, outcome in ((first, Outcome.FIRST), (back, Outcome.REUSED)):
        assert ran.record is not None
        assert (ran.record.kind, ran.record.workload, ran.record.outcome) == (row.kind, mine.name, outcome)
    counted = world.counted(row.kind)
    assert (counted["first"], counted["reused"]) == (before.get("first", 0) + 1, before.get("reused", 0) + 1)
    assert sum(counted.values()) == sum(before.values()) + 2

    world.settled()
    assert written_by_us(mine.now())
    assert not [part for part in (*mine.parts, other.made) if written_by_us(world.api.get(path_of(part)))]
    assert other.remembers() == {}
    assert moved.terms == []
    mine.end()


@pytest.fixture(scope="module")
def restarted(world: World) -> Iterator[dict[str, Workload]]:
    """A workload of each row that remembers a session, seen by programs that were started since."""
    workloads = {row.kind: world.workload(row) for row in ROWS}
    for workload in workloads.values():
        workload.run()
    for program in (world.stack.recorder, world.stack.extender):
        assert program is not None
        program.restart()
    yield workloads


@EACH
def test_after_a_restart_a_session_comes_back_is_written_and_people_find_it(
    world: World, restarted: dict[str, Workload], row: Row
) -> None:
    workload = restarted[row.kind]
    last_node = workload.last_node
    assert last_node
    before = workload.now()["metadata"]["resourceVersion"]
    with world.crowded(last_node):
        back = workload.begin()
    assert back.record is not None
    assert (back.node, back.record.outcome, back.record.kind) == (last_node, Outcome.REUSED, row.kind)
    assert back.pod["metadata"]["uid"] in workload.remembers()["recent-nodes"]
    assert written_by_us(workload.now())
    assert workload.now()["metadata"]["resourceVersion"] != before

    def said(*words: str) -> str:
        done = run(world.stack.cp.kubeconfig, *words, "-n", SCORES, "--config", str(world.config))
        assert done.returncode == 0, done.stderr
        return done.stdout

    named = f"{row.kind}/{workload.name}".lower()
    assert f"{row.kind.lower()}.{row.resource.partition('.')[2]}/{workload.name}" in said("list", "-o", "name").split()
    assert f"{last_node} " in said("show", named)
    assert f"{row.kind} {SCORES}/{workload.name}\n" in said("explain", back.pod["metadata"]["name"])
    workload.end()
