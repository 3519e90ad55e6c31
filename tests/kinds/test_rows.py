"""Every row of the table, built in and configured: what its sessions leave, and that they come back by it."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from lastnode.contract import HOSTNAME_LABEL, LAST_NODE, LASTNODE_PREFIX
from lastnode.outcome import Outcome
from testbed.api import answers
from testbed.apply import apply
from testbed.sandboxes import adopted
from testbed.workloads import Object
from tests.extender.cluster import path_of
from tests.kinds.rows import AGENT_RUNTIME, LATE, POOL, ROWS, TEMPLATE, Row, definition, opted_in
from tests.kinds.world import SCORES, SECONDS, TERMS, Workload, World, comes_back, memory, result
from tests.kubectl.terminal import run
from tests.waiting import eventually

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
    assert moved.terms == []
    mine.end()


@pytest.fixture(scope="module")
def restarted(world: World) -> dict[str, Workload]:
    """A workload of each row that remembers a session, seen by programs that were started since."""
    workloads = {row.kind: world.workload(row) for row in ROWS}
    for workload in workloads.values():
        workload.run()
    for program in (world.stack.recorder, world.stack.extender):
        assert program is not None
        program.restart()
    return workloads


@EACH
def test_after_a_restart_a_session_comes_back_and_people_find_it(
    world: World, restarted: dict[str, Workload], row: Row
) -> None:
    workload = restarted[row.kind]
    last_node = workload.last_node
    assert last_node
    with world.crowded(last_node):
        back = workload.begin()
    assert back.record is not None
    assert (back.node, back.record.outcome, back.record.kind) == (last_node, Outcome.REUSED, row.kind)
    assert [entry["node"] for entry in workload.entries] == [last_node]

    def said(*words: str) -> str:
        done = run(world.stack.cp.kubeconfig, *words, "-n", SCORES, "--config", str(world.config))
        assert done.returncode == 0, done.stderr
        return done.stdout

    named = f"{row.kind}/{workload.name}".lower()
    assert f"{row.kind.lower()}.{row.resource.partition('.')[2]}/{workload.name}" in said("list", "-o", "name").split()
    assert f"{last_node} " in said("show", named)
    assert f"{row.kind} {SCORES}/{workload.name}\n" in said("explain", back.pod["metadata"]["name"])
    workload.end()


@pytest.mark.parametrize("sandbox", [True, False])
@pytest.mark.parametrize("runtime", [True, False])
def test_a_session_of_agentcube_belongs_to_the_first_row_that_has_opted_in(
    world: World, runtime: bool, sandbox: bool
) -> None:
    workload = world.workload(AGENT_RUNTIME.changed(opted_in) if sandbox else AGENT_RUNTIME, sticky=runtime)
    workload.begin()
    world.workload(AGENT_RUNTIME).run()  # its pod comes on the same watch, and later
    world.settled()
    assert bool(workload.last_node) == runtime
    on_sandbox = memory(world.api.get(path_of(workload.parts[0])), LASTNODE_PREFIX)
    assert bool(on_sandbox) == (sandbox and not runtime)
    workload.end()


def test_claims_and_refills_of_a_template_share_its_memory_and_an_adopted_pod_becomes_its_sandbox_s(
    world: World,
) -> None:
    template = world.workload(TEMPLATE)
    for node, row in (("node-1", TEMPLATE), ("node-2", POOL.changed(opted_in))):
        template.row = row.with_pods(nodeSelector={HOSTNAME_LABEL: node})
        ran = template.begin()
        template.is_preferred(ran)
    assert template.nodes == ["node-2", "node-1"]
    pooled = template.parts[0]
    assert memory(world.api.get(path_of(pooled)), LASTNODE_PREFIX) == {}
    before = world.counted(TEMPLATE.kind)

    world.api.patch(path_of(pooled), adopted("c"))
    eventually(lambda: memory(world.api.get(path_of(pooled)), LASTNODE_PREFIX).get(LAST_NODE) == "node-2",
               "the Sandbox to remember, now that somebody has claimed it", SECONDS)  # fmt: skip
    template.row = TEMPLATE
    with world.crowded("node-2"):
        assert template.begin().node == "node-2"
    assert world.counted(TEMPLATE.kind)["reused"] == before.get("reused", 0) + 1
    assert template.nodes == ["node-2", "node-1"]


def test_pods_that_several_rows_select_come_on_one_watch(world: World) -> None:
    watches = [urlsplit(each.path) for each in world.proxy.asked if each.is_watch]
    selectors = {parse_qs(each.query)["labelSelector"][0] for each in watches if each.path == "/api/v1/pods"}
    for row in ROWS:
        workload = world.workload(row, sticky=False)
        name = workload.begin().pod["metadata"]["name"]
        pods = f"/api/v1/namespaces/{SCORES}/pods?labelSelector="
        found = [[pod["metadata"]["name"] for pod in world.api.get(pods + quote(each))["items"]] for each in selectors]
        assert sum(names.count(name) for names in found) == 1
        workload.end()


def until_found_out(world: World) -> None:
    """Wait until the recorder asks where the kind went; the programs are ready all the time."""
    probes = [f"{url}/readyz" for url in (world.stack.recorder_url, world.stack.extender_url)]
    before = len(world.proxy.asked)

    def asked() -> bool:
        assert all(map(answers, probes))
        return any(LATE.resource.endswith(each.path.removeprefix("/apis/")) for each in world.proxy.asked[before:])

    eventually(asked, "the recorder to ask where the kind went", SECONDS)


def test_a_kind_may_come_while_the_programs_run_and_go_and_come_again(world: World) -> None:
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{LATE.resource}"
    for _ in range(2):
        apply(world.stack.cp, definition(LATE.resource, LATE.kind))
        robot = world.workload(LATE)
        comes_back(world, robot)
        world.api.delete(path)
        until_found_out(world)
        comes_back(world, world.workload(ROWS[-1]))
