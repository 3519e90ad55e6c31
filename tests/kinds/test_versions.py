"""agent-sandbox in all its versions, and a cluster that is moved from the oldest to the newest while programs run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lastnode.contract import SANDBOX_GROUP
from tests.kinds.rows import AGENT_RUNTIME, SANDBOX, Row
from tests.kinds.world import TERMS, World, comes_back

OLD, NEW = "v1alpha1", "v1beta1"


def of(row: Row, version: str) -> Row:
    """The row with its Sandboxes made in that version."""
    return row.changed(lambda made: made | {"apiVersion": f"{SANDBOX_GROUP}/{version}"})


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A cluster that serves these versions of Sandbox."""
    with World.running(tmp_path, sandbox=request.param) as world:
        yield world


@pytest.mark.parametrize("world", [(OLD,), (OLD, NEW)], ids="+".join, indirect=True)
def test_sessions_come_back_whichever_version_their_sandboxes_are_made_in(
    world: World, request: pytest.FixtureRequest
) -> None:
    for version in request.node.callspec.params["world"]:
        for row in (SANDBOX, AGENT_RUNTIME):
            comes_back(world, world.workload(of(row, version), namespace=TERMS))


@pytest.mark.parametrize("world", [(OLD,)], indirect=True)
def test_while_a_cluster_moves_to_the_newest_version_sessions_go_on_coming_back(world: World) -> None:
    asleep, awake = (world.workload(of(SANDBOX, OLD), namespace=TERMS) for _ in range(2))
    runtime = world.workload(of(AGENT_RUNTIME, OLD), namespace=TERMS)
    before = {asleep: asleep.run(), awake: awake.begin(), runtime: runtime.run()}
    for served in ((OLD, NEW), (NEW,)):
        world.stack.serve_sandboxes(*served)
        for sandbox in (asleep, awake):
            sandbox.made["apiVersion"] = f"{SANDBOX_GROUP}/{served[0]}"
        runtime.row = of(AGENT_RUNTIME, served[0])
        awake.end()
        for workload in (asleep, awake, runtime):
            if workload is runtime:
                world.catch_up()  # its next session's Sandbox is a new one, the others are known
            assert workload.nodes == [before[workload].node]
            with world.crowded(before[workload].node):
                back = workload.run()
            assert (back.node, back.terms) == (before[workload].node, workload.nodes)
        comes_back(world, world.workload(of(SANDBOX, NEW), namespace=TERMS))
        awake.begin()
