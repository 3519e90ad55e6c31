"""Sandboxes alone, as a user of agent-sandbox has them: suspended, resumed, and what may happen in between."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lastnode.contract import WARM_POOL_LABEL
from lastnode.outcome import Outcome
from lastnode.reasons import Reason
from testbed.sandboxes import adopted, from_template, template
from tests.extender.cluster import path_of
from tests.kinds.rows import SANDBOX, opted_in
from tests.kinds.world import TERMS, Ran, Workload, World, comes_back, read, remove
from tests.waiting import eventually


def suspended(world: World) -> tuple[Workload, Ran]:
    """A Sandbox that ran once and is suspended now, and that session."""
    sandbox = world.workload(SANDBOX, namespace=TERMS)
    return sandbox, sandbox.run()


def outcome(ran: Ran) -> tuple[Outcome, Reason | None]:
    assert ran.record is not None
    return ran.record.outcome, ran.record.reason


def test_suspended_for_longer_than_the_memory_counts_it_runs_anywhere_and_is_remembered_there(plain: World) -> None:
    sandbox, before = suspended(plain)
    (entry,) = sandbox.entries
    sandbox.remember([entry | {"readyAt": "2026-01-01T00:00:00Z"}])
    plain.catch_up()
    with plain.crowded(before.node):
        after = sandbox.begin()
    assert after.terms == []
    assert after.node != before.node
    assert outcome(after) == (Outcome.MOVED, Reason.EXPIRED)
    assert sandbox.nodes == [after.node, before.node]


def test_its_node_went_meanwhile_so_it_runs_on_another_one(plain: World) -> None:
    sandbox, before = suspended(plain)
    plain.api.delete(f"/api/v1/nodes/{before.node}")
    plain.catch_up()
    after = sandbox.begin()
    assert after.terms == []
    assert outcome(after) == (Outcome.MOVED, Reason.NODE_GONE)
    assert sandbox.nodes == [after.node]


def test_resumed_twice_at_once_it_comes_back_once(plain: World) -> None:
    sandbox, before = suspended(plain)
    with plain.crowded(before.node):
        with ThreadPoolExecutor(2) as users:
            list(users.map(lambda _: sandbox.operate(running=True), range(2)))
        after = sandbox.begin()
    assert (after.node, after.terms) == (before.node, [before.node])
    assert outcome(after) == (Outcome.REUSED, None)
    assert len(sandbox.entries) == 1


def test_deleted_while_suspended_and_made_again_under_its_name_it_inherits_nothing(plain: World) -> None:
    sandbox, before = suspended(plain)
    remove(plain.stack, sandbox.made)
    with plain.crowded(before.node):
        again = plain.workload(SANDBOX, namespace=TERMS, name=sandbox.name)
        ran = again.begin()
    assert ran.terms == []
    assert outcome(ran) == (Outcome.FIRST, None)
    assert again.nodes == [ran.node] != [before.node]


def test_out_of_a_pool_it_is_remembered_once_it_is_adopted_and_comes_back(plain: World) -> None:
    pooled = plain.workload(SANDBOX._replace(
        workload=lambda ns, name, _: opted_in(from_template(template("t", namespace=ns), name, pool="p"))
    ), namespace=TERMS)  # fmt: skip
    its = {"apiVersion": "v1", "kind": "Pod", "metadata": pooled.made["metadata"]}

    def waits() -> bool | None:
        """Whether its pod waits in a pool; None without one."""
        pod = read(plain.stack, its)
        return WARM_POOL_LABEL in pod["metadata"]["labels"] if pod else None

    eventually(waits, "a pod in a pool")
    plain.catch_up()
    assert pooled.nodes == []
    plain.api.patch(path_of(pooled.made), adopted("c"))
    eventually(lambda: waits() is False, "the pod to be taken out of the pool")
    claimed = pooled.begin()
    assert outcome(claimed) == (Outcome.FIRST, None)
    assert pooled.nodes == [claimed.node]
    pooled.is_preferred(claimed)
    pooled.end()
    comes_back(plain, pooled)


def test_each_session_is_one_write_on_its_sandbox_and_none_elsewhere(plain: World) -> None:
    """One more request of each kind where agent-sandbox's controller wrote at the same moment (409)."""
    asked, before = len(plain.proxy.asked), writes(plain)
    sandboxes = [plain.workload(SANDBOX) for _ in range(5)]
    rounds = 3
    with ThreadPoolExecutor(len(sandboxes)) as users:
        for _ in range(rounds):
            list(users.map(Workload.run, sandboxes))
    plain.settled()
    made = {name: value - before[name] for name, value in writes(plain).items()}
    places = {path_of(each.made) for each in sandboxes}
    about = plain.proxy.asked[asked:]
    sent = [each for each in about if each.method != "GET"]
    assert {(each.method, each.path in places) for each in sent} == {("PATCH", True)}
    # Of two that become Ready on one node in the same second, one says all.
    assert made["written"] + made["unchanged"] == rounds * len(sandboxes)
    assert len(sent) == made["written"] + made["conflict"]
    assert sum(each.method == "GET" and each.path in places for each in about) == made["conflict"]


def writes(world: World) -> dict[str, float]:
    """lastnode_record_writes_total by result."""
    start = 'lastnode_record_writes_total{result="'
    samples = world.stack.metrics(world.stack.recorder_url).items()
    return {name.removeprefix(start)[:-2]: value for name, value in samples if name.startswith(start)}
