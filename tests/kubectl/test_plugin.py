"""kubectl itself finds the plug-in, and completes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.binaries import find_tools
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.recorder.space import Space

HERE = Path(sys.executable).parent


@pytest.fixture(scope="module")
def kubectl() -> Path:
    return find_tools().kubectl.path


def ask(kubectl: Path, stack: Stack, *words: str, namespace: str = "default") -> subprocess.CompletedProcess[str]:
    """kubectl with our programs on PATH, and a kubeconfig by its usual variable."""
    env = os.environ | {"PATH": f"{HERE}:{os.environ['PATH']}", "KUBECONFIG": str(stack.cp.kubeconfig)}
    return subprocess.run([kubectl, *words], env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


def test_kubectl_finds_it_by_its_name_and_passes_exit_codes_on(kubectl: Path, space: Space) -> None:
    space.workload("agent")
    done = ask(kubectl, space.stack, "lastnode", "list", "-n", space.name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["AgentRuntime", "agent"]
    assert ask(kubectl, space.stack, "lastnode", "show", "nobody", "-n", space.name).returncode == 1
    assert ask(kubectl, space.stack, "lastnode", "nonsense").returncode == 2


def test_its_name_is_what_kubectl_can_hand_on(kubectl: Path, space: Space) -> None:
    node = space.node("n")
    space.workload("agent", annotations={"runtime.agentcube.io/last-node": node})
    (name,) = ask(kubectl, space.stack, "lastnode", "list", "-n", space.name, "-o", "name").stdout.split()
    assert ask(kubectl, space.stack, "get", name, "-n", space.name, "-o", "name").stdout.strip() == name


def completed(kubectl: Path, stack: Stack, *words: str) -> list[str]:
    """What kubectl's own completion script asks kubectl, which asks us."""
    done = ask(kubectl, stack, "__complete", "lastnode", *words)
    assert done.returncode == 0, done.stderr
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


def test_kubectl_completes_commands_options_and_names(kubectl: Path, space: Space) -> None:
    space.workload("agent-1")
    space.workload("agent-2")
    node = space.node("n")
    pod = space.pod("session-1", node, workload="agent-1")
    where = ("-n", space.name)
    assert completed(kubectl, space.stack, "sh") == ["show", ":4"]
    assert "--no-headers" in completed(kubectl, space.stack, "list", "--")
    assert completed(kubectl, space.stack, "list", "-o", "w") == ["wide", ":4"]
    assert completed(kubectl, space.stack, "show", *where, "ag") == ["agent-1", "agent-2", ":4"]
    assert completed(kubectl, space.stack, "show", *where, "agentruntime/") == [
        "agentruntime/agent-1", "agentruntime/agent-2", ":4",
    ]  # fmt: skip
    assert completed(kubectl, space.stack, "explain", *where, "") == [pod["metadata"]["name"], ":4"]
    assert completed(kubectl, space.stack, "forget", "--node", node[:-1]) == [node, ":4"]
    assert completed(kubectl, space.stack, "report", "--html", "")[-1] == ":0", "the shell offers files"


def test_completion_says_nothing_where_the_cluster_does_not_answer(kubectl: Path, stack: Stack) -> None:
    done = ask(kubectl, stack, "__complete", "lastnode", "show", "--kubeconfig", "missing", "ag")
    assert (done.returncode, done.stdout.splitlines()) == (0, [":4"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_for_the_program_itself(shell: str) -> None:
    done = subprocess.run([HERE / "kubectl-lastnode", "completion", shell], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "_KUBECTL_LASTNODE_COMPLETE" in done.stdout


def test_the_script_completes_in_a_real_bash(stack: Stack) -> None:
    """bash calls the function that the script registered, and we read what it would offer."""
    lines = (
        'source <(kubectl-lastnode completion bash)',
        'COMP_WORDS=(kubectl-lastnode sh) COMP_CWORD=1',
        '_kubectl_lastnode_completion kubectl-lastnode',
        'echo "offered: ${COMPREPLY[*]}"',
    )  # fmt: skip
    env = os.environ | {"PATH": f"{HERE}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", "\n".join(lines)], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "offered: show", done.stderr


def test_every_command_teaches_with_examples() -> None:
    overview = subprocess.run([HERE / "kubectl-lastnode", "-h"], capture_output=True, text=True, timeout=60).stdout
    for command in ("list", "show", "explain", "report", "doctor", "forget", "completion"):
        assert f"  {command} " in overview
        argv = [HERE / "kubectl-lastnode", command, "--help"]
        assert "Examples:\n" in subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
