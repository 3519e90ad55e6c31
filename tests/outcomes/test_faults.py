"""While nodes are lost and programs die, outcomes stay true, and the reason is rarely unknown.

Sessions as agentcube makes them, on simulated nodes, with the real scheduler; what they came to is known to the test,
which starts them and sees where they run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from lastnode.outcome import SessionRecord
from testbed.demo.arms import Arm, Rounds, make_arm
from testbed.demo.faults import cordoned, deleted, full
from testbed.demo.outcome import Run
from testbed.sessions import Sessions
from testbed.stack import Stack
from tests.extender.cluster import start_scheduler
from tests.waiting import eventually, second_after

NODES, WORKLOADS = 12, 16
MOST_UNKNOWN = 0.05


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        stack.start_agent(NODES)
        stack.start_extender()
        stack.start_recorder("--extender-url", stack.extender_url)
        start_scheduler(stack)
        yield stack


@contextmanager
def extender_killed(stack: Stack, node: str) -> Iterator[None]:
    """It comes back with nothing remembered of its decisions."""
    assert stack.extender is not None
    stack.extender.kill()
    stack.extender.start()
    stack.extender.wait_ready()
    yield


@contextmanager
def api_server_restarted(stack: Stack, node: str) -> Iterator[None]:
    stack.cp.apiserver.restart()
    yield


def untouched(stack: Stack, node: str) -> AbstractContextManager[None]:
    return nullcontext()


@contextmanager
def recorder_killed(stack: Stack, node: str) -> Iterator[None]:
    """In the middle of the round, and started again."""
    recorder = stack.recorder
    assert recorder is not None
    with ThreadPoolExecutor(1) as other:
        back = other.submit(lambda: (recorder.kill(), recorder.start(), recorder.wait_ready()))
        yield
        back.result()


# One at a time: for seconds after the API server's restart the extender lists anew, so that sessions move; a recorder
# killed just then could not know why.
FAULTS: list[Callable[[Stack, str], AbstractContextManager[None]]] = [
    untouched, untouched, cordoned, full, deleted, extender_killed, recorder_killed, api_server_restarted, untouched,
]  # fmt: skip


def test_outcomes_are_true_and_few_are_unknown(stack: Stack) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    counted: dict[str, SessionRecord] = {}
    runs: list[Run] = []
    with Sessions.connect(stack.cp.kubeconfig) as sessions:
        rounds = Rounds(stack, sessions, random.Random(seed))
        arm = make_arm(sessions, "sticky", WORKLOADS, sticky=True)
        history: dict[str, list[str]] = {workload["metadata"]["name"]: [] for workload in arm.workloads}
        gone: set[str] = set()
        for number, fault in enumerate(FAULTS):
            node = _last_node(arm, number)
            with fault(stack, node):
                done = rounds.run([arm], str(number))
            gone |= {node} if fault is deleted else set()
            records = _records(stack, done, all_of_them=fault is not recorder_killed)
            _agree(done, records, history, gone | ({node} if fault is cordoned else set()))
            for run in done:
                history[run.workload].insert(0, run.node)
            runs += done
            counted |= records
            second_after(time.time())
    moved = [run for run in runs if run.outcome == "moved"]
    reasons = [str(record.reason) for record in counted.values() if record.outcome == "moved"]
    assert moved
    assert len(counted) >= len(runs) - WORKLOADS  # a killed recorder takes its journal of that round along
    assert reasons.count("unknown") <= MOST_UNKNOWN * len(counted), reasons


def _last_node(arm: Arm, number: int) -> str:
    """Of one workload, another one each time; none in the first round."""
    return arm.last_nodes.get(arm.workloads[number % WORKLOADS]["metadata"]["name"], "")


def _records(stack: Stack, runs: list[Run], all_of_them: bool) -> dict[str, SessionRecord]:
    """Pod -> what the recorder says of these sessions, once it has counted ``all_of_them``, else what it has."""
    wanted = {f"{run.workload}-{run.session}" for run in runs}

    def found() -> dict[str, SessionRecord]:
        return {record.pod: record for record in stack.journal() if record.pod in wanted}

    if all_of_them:
        eventually(lambda: len(found()) == len(wanted), f"{len(wanted)} sessions to be counted")
    return found()


def _agree(runs: list[Run], records: dict[str, SessionRecord], history: dict[str, list[str]], lost: set[str]) -> None:
    """What is said is what was seen; an older node of the workload's may have stepped in for one that was lost."""
    for run in runs:
        record = records.get(f"{run.workload}-{run.session}")
        if record is None:
            continue
        nodes = history[run.workload]
        last = next((node for node in nodes if node not in lost), nodes[0] if nodes else "")
        others = [node for node in nodes if node not in lost]
        outcome = "first" if not last else "reused" if run.node == last else "older" if run.node in others else "moved"
        assert (record.node, record.last_node, record.outcome) == (run.node, last, outcome), (record, nodes, lost)
