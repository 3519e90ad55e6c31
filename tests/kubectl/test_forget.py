"""`kubectl lastnode forget`: what it takes, what it leaves, and that it asks first."""

from __future__ import annotations

import pytest

from lastnode import contract
from tests.kubectl.terminal import Terminal, run
from tests.kubectl.test_looking import memory
from tests.recorder.space import INTERPRETER, Space

OTHERS = {"team": "a"}


@pytest.fixture
def two(space: Space) -> Space:
    """Two workloads: one remembers a and b, the other only a bare a."""
    space.workload("one", annotations=memory([(f"{space.name}-a", 1), (f"{space.name}-b", 2)]) | OTHERS)
    space.workload("two", INTERPRETER, annotations={contract.LAST_NODE_ANNOTATION: f"{space.name}-a"} | OTHERS)
    return space


def forget(space: Space, *words: str) -> tuple[int, str, str]:
    done = run(space.stack.cp.kubeconfig, "forget", "-n", space.name, *words)
    return done.returncode, done.stdout, done.stderr


def annotations(space: Space, name: str, kind: str = "AgentRuntime") -> dict[str, str]:
    found: dict[str, str] = space.read(name, kind)["metadata"]["annotations"]
    return found


def test_a_workload_s_whole_memory_goes_and_its_other_annotations_stay(two: Space) -> None:
    code, said, _ = forget(two, "one", "--yes")
    assert (code, annotations(two, "one")) == (0, OTHERS)
    assert f"agentruntime.runtime.agentcube.volcano.sh/one in {two.name}: forgotten" in said.splitlines()
    assert two.last_node("two", INTERPRETER) == f"{two.name}-a"
    assert forget(two, "one", "--yes") == (0, "", "Nothing to forget.\n")


def test_a_node_goes_out_of_every_memory_and_older_ones_step_in(two: Space) -> None:
    code, said, _ = forget(two, "--node", f"{two.name}-a", "--yes")
    assert code == 0
    assert two.last_node("one") == f"{two.name}-b"
    assert [entry["node"] for entry in two.recent("one")] == [f"{two.name}-b"]
    assert annotations(two, "two", INTERPRETER) == OTHERS
    assert said.splitlines()[0].split() == ["NAMESPACE", "NAME", "FORGETS"]
    # Flux undoes what is written under a name that begins with kubectl.
    managers = [each["manager"] for each in two.read("one")["metadata"]["managedFields"]]
    assert "lastnode-forget" in managers
    assert not [manager for manager in managers if manager.startswith("kubectl")]


def test_a_node_is_looked_for_in_all_namespaces_unless_one_is_named(two: Space) -> None:
    elsewhere = Space(two.stack)
    elsewhere.workload(annotations=memory([(f"{two.name}-a", 1)]))
    assert forget(two, "--node", f"{two.name}-a", "--yes")[0] == 0
    assert elsewhere.last_node() == f"{two.name}-a"
    assert run(two.stack.cp.kubeconfig, "forget", "--node", f"{two.name}-a", "--yes").returncode == 0
    assert elsewhere.untouched()


def test_a_dry_run_is_checked_by_the_server_and_changes_nothing(two: Space) -> None:
    before = two.read("one")
    code, said, _ = forget(two, "one", "--dry-run")
    assert code == 0
    assert said.splitlines()[-1].endswith(": forgotten (server dry run)")
    assert two.read("one") == before


def test_without_a_terminal_it_refuses_to_write_unasked(two: Space) -> None:
    code, said, complaint = forget(two, "one")
    assert code == 2
    assert f"{two.name}-a, {two.name}-b" in said
    assert "add --yes" in complaint
    assert two.last_node("one") == f"{two.name}-a"


def test_on_a_terminal_it_lists_asks_and_takes_no_for_no(two: Space) -> None:
    terminal = Terminal(two.stack.cp.kubeconfig, "forget", "-n", two.name, "one")
    terminal.read_until("Forget this in 1 workload? [y/N]:")
    assert f"{two.name}-a, {two.name}-b" in terminal.said
    terminal.answer("n")
    assert terminal.end() == 1
    assert "nothing was changed" in terminal.said
    assert two.last_node("one") == f"{two.name}-a"


def test_what_was_written_while_it_asked_is_read_again_and_kept(two: Space) -> None:
    terminal = Terminal(two.stack.cp.kubeconfig, "forget", "-n", two.name, "--node", f"{two.name}-a")
    terminal.read_until("[y/N]:")
    two.change({"metadata": {"annotations": memory([(f"{two.name}-c", 0), (f"{two.name}-a", 1)])}}, "one")
    terminal.answer("y")
    assert terminal.end() == 0, terminal.said
    assert two.last_node("one") == f"{two.name}-c"
    assert [entry["node"] for entry in two.recent("one")] == [f"{two.name}-c"]
    assert two.untouched("two", INTERPRETER)


def test_a_workload_that_was_made_again_while_it_asked_is_left_alone(two: Space) -> None:
    terminal = Terminal(two.stack.cp.kubeconfig, "forget", "-n", two.name, "one")
    terminal.read_until("[y/N]:")
    two.delete("one")
    two.workload("one", annotations=memory([(f"{two.name}-a", 0)]))
    terminal.answer("y")
    assert terminal.end() == 0
    assert "replaced by another of its name meanwhile; left alone" in terminal.said
    assert two.last_node("one") == f"{two.name}-a"


def test_what_is_refused_is_said_the_rest_is_done_and_the_exit_code_is_1(two: Space) -> None:
    user = patcher_of_interpreters(two)
    words = ("forget", "-n", two.name, "--node", f"{two.name}-a", "--yes")
    done = run(two.stack.cp.kubeconfig_for(user), *words)
    assert done.returncode == 1
    assert f"agentruntime.runtime.agentcube.volcano.sh/one in {two.name}: not forgotten: 403 " in done.stderr
    assert done.stderr.endswith("error: 1 of 2 workloads could not be written\n")
    assert two.last_node("one") == f"{two.name}-a"
    assert two.untouched("two", INTERPRETER)


def test_unreadable_text_is_forgotten_too(space: Space) -> None:
    space.workload(annotations={contract.RECENT_NODES_ANNOTATION: "{nonsense"})
    code, said, _ = forget(space, "w", "--yes")
    assert code == 0
    assert "<unreadable>" in said
    assert space.untouched()


@pytest.mark.parametrize("words", [(), ("one", "--node", "a")])
def test_neither_and_both_are_wrong_calls(space: Space, words: tuple[str, ...]) -> None:
    assert forget(space, *words)[0] == 2


def patcher_of_interpreters(space: Space) -> str:
    """A ServiceAccount that may read all workloads of this namespace, and patch those of one kind."""
    group = "runtime.agentcube.volcano.sh"
    rules = [
        {"apiGroups": [group], "resources": ["agentruntimes", "codeinterpreters"], "verbs": ["get", "list"]},
        {"apiGroups": ["agents.x-k8s.io"], "resources": ["sandboxes"], "verbs": ["get", "list"]},
        {"apiGroups": [group], "resources": ["codeinterpreters"], "verbs": ["patch"]},
    ]
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    subject = {"kind": "ServiceAccount", "name": "patcher", "namespace": space.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "patcher"}
    user = f"system:serviceaccount:{space.name}:patcher"
    kubeconfig = space.stack.cp.kubeconfig_for(user)
    space.api.post(f"{base}/roles", {"metadata": {"name": "patcher"}, "rules": rules})
    space.api.post(f"{base}/rolebindings", {"metadata": {"name": "patcher"}, "subjects": [subject], "roleRef": role})
    words = ("forget", "codeinterpreter/two", "-n", space.name, "--dry-run")
    space.stack.wait(lambda: "(server dry run)" in run(kubeconfig, *words).stdout, "the role to be in force")
    return user
