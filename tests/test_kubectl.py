"""`kubectl lastnode` against a real API server, as a person calls it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local.paths import REPOSITORY
from deploy.local.stack import Stack
from deploy.local.workloads import agent_runtime, code_interpreter
from kubectl_lastnode.program import age, columns
from recorder import contract

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_PATHS = {"AgentRuntime": "agentruntimes", "CodeInterpreter": "codeinterpreters"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack.start() as stack:
        for name in ("here", "gone", "cordoned"):
            _node(stack, name)
        stack.api.delete("/api/v1/nodes/gone")
        stack.api.patch("/api/v1/nodes/cordoned", {"spec": {"unschedulable": True}})
        for workload in _workloads():
            stack.api.post(
                f"/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/default/{_PATHS[workload['kind']]}", workload
            )
        yield stack


def test_list_shows_every_sticky_workload_and_why_its_node_would_not_be_used(stack: Stack) -> None:
    done = kubectl(stack.cp.kubeconfig, "list")
    rows = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert rows[0] == ["NAMESPACE", "KIND", "NAME", "LAST-NODE", "AGE", "STATUS"]
    status = {row[2]: (row[3], row[5]) for row in rows[1:]}
    assert status == {
        "comes-back": ("here", "valid"),
        "node-gone": ("gone", "node_gone"),
        "node-cordoned": ("cordoned", "here steps in"),
        "too-old": ("here", "expired"),
        "new": ("<none>", "nothing_remembered"),
        "bare": ("here", "valid"),
    }


def test_show_lists_the_whole_memory_of_one_workload(stack: Stack) -> None:
    done = kubectl(stack.cp.kubeconfig, "show", "node-cordoned")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "AgentRuntime default/node-cordoned: sticky"
    assert [line.split()[0] for line in lines[1:]] == ["NODE", "cordoned", "here"]
    assert lines[2].endswith("node_cordoned")
    assert lines[3].endswith("valid")


def test_a_shorter_ttl_lets_the_same_memory_expire(stack: Stack) -> None:
    assert "expired" in kubectl(stack.cp.kubeconfig, "--memory-ttl", "30m", "show", "comes-back").stdout


def test_a_workload_that_is_not_there_is_said_in_one_line_with_exit_code_1(stack: Stack) -> None:
    done = kubectl(stack.cp.kubeconfig, "show", "nobody")
    assert (done.returncode, done.stderr.strip()) == (1, "Error: no workload default/nobody")


def test_missing_permissions_are_said_in_one_line_with_exit_code_1(stack: Stack) -> None:
    done = kubectl(stack.cp.kubeconfig_for("nobody"), "list")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 403 ")
    assert len(done.stderr.splitlines()) == 1


def test_no_kubeconfig_is_a_wrong_call(tmp_path: Path) -> None:
    done = kubectl(tmp_path / "missing", "list")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172800, "2d"), (-5, "0s")],
)
def test_ages_are_in_kubectls_short_form(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_an_unknown_age_is_said() -> None:
    assert age(None, NOW) == "<unknown>"


def test_columns_are_aligned_without_trailing_blanks() -> None:
    assert columns([["A", "B"], ["long", "x"]]) == ["A      B", "long   x"]


def kubectl(kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kubectl_lastnode.program", "--kubeconfig", str(kubeconfig), *words]
    return subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


def _workloads() -> list[dict[str, object]]:
    remembering = {
        "comes-back": [("here", 1.0)],
        "node-gone": [("gone", 1.0)],
        "node-cordoned": [("cordoned", 1.0), ("here", 2.0)],
        "too-old": [("here", 30.0)],
    }
    made = [agent_runtime(name, sticky=True) for name in remembering]
    for workload, placements in zip(made, remembering.values(), strict=True):
        workload["metadata"]["annotations"] = _memory(placements)
    bare = code_interpreter("bare", sticky=True)
    bare["metadata"]["annotations"] = {contract.LAST_NODE_ANNOTATION: "here"}
    return [*made, bare, code_interpreter("new", sticky=True), agent_runtime("off")]


def _memory(placements: list[tuple[str, float]]) -> dict[str, str]:
    entries = [
        {"node": node, "hostname": node, "readyAt": (datetime.now(UTC) - timedelta(hours=hours)).isoformat()}
        for node, hours in placements
    ]
    return {contract.LAST_NODE_ANNOTATION: placements[0][0], contract.RECENT_NODES_ANNOTATION: json.dumps(entries)}


def _node(stack: Stack, name: str) -> None:
    stack.api.post("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
    stack.api.patch(f"/api/v1/nodes/{name}/status", {"status": {"conditions": [ready]}})
