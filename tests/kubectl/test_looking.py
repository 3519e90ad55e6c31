"""`kubectl lastnode list` and `show` against a real API server, as a person calls them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lastnode import contract
from testbed.stack import Stack
from tests.kubectl.terminal import Terminal, parsed, run
from tests.recorder.httpproxy import HttpProxy, refusal
from tests.recorder.space import INTERPRETER, Space

HERE, GONE, CORDONED = "here", "gone", "cordoned"
OURS = "runtime.agentcube.volcano.sh"


@pytest.fixture(scope="module")
def remembering(stack: Stack) -> Space:
    """Workloads of every kind of memory there is, in a namespace that a kubeconfig can name."""
    space = Space(stack)
    here, gone, cordoned = (space.node(name) for name in (HERE, GONE, CORDONED))
    space.delete_node(gone)
    stack.api.patch(f"/api/v1/nodes/{cordoned}", {"spec": {"unschedulable": True}})
    for name, placements in {
        "comes-back": [(here, 1.0)],
        "node-gone": [(gone, 1.0)],
        "node-cordoned": [(cordoned, 1.0), (here, 2.0)],
        "too-old": [(here, 30.0)],
    }.items():
        space.workload(name, annotations=memory(placements))
    space.workload("bare", INTERPRETER, annotations={contract.LAST_NODE_ANNOTATION: here})
    space.workload("new", INTERPRETER)
    space.workload("off", enabled=None)
    return space


def test_list_shows_every_sticky_workload_and_why_its_node_would_not_be_used(remembering: Space) -> None:
    done = run(remembering.stack.cp.kubeconfig, "list", "-n", remembering.name)
    assert done.returncode == 0, done.stderr
    heading, *rows = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert heading == ["KIND", "NAME", "LAST-NODE", "AGE", "STATUS"]
    node = remembering.name + "-"
    assert {row[1]: (row[2], row[4]) for row in rows} == {
        "comes-back": (f"{node}here", "valid"),
        "node-gone": (f"{node}gone", "node_gone"),
        "node-cordoned": (f"{node}cordoned", f"{node}here steps in"),
        "too-old": (f"{node}here", "expired"),
        "new": ("<none>", "nothing_remembered"),
        "bare": (f"{node}here", "valid"),
    }


def test_all_namespaces_have_a_column_of_their_own_and_wide_has_more(remembering: Space) -> None:
    words = ("list", "-A", "-o", "wide")
    lines = run(remembering.stack.cp.kubeconfig, *words).stdout.splitlines()
    heading = "NAMESPACE KIND NAME LAST-NODE AGE HOSTNAME EXPIRES-IN ENTRIES STATUS"
    assert lines[0].split() == heading.split()
    (row,) = (line.split() for line in lines if remembering.name in line.split() and "comes-back" in line)
    assert row[6:] == ["22h", "1", "valid"]
    without = run(remembering.stack.cp.kubeconfig, *words, "--no-headers").stdout.splitlines()
    assert [line.split()[:3] for line in without] == [line.split()[:3] for line in lines[1:]]


def test_names_are_such_as_kubectl_takes(remembering: Space) -> None:
    names = run(remembering.stack.cp.kubeconfig, "list", "-n", remembering.name, "-o", "name").stdout.split()
    assert f"agentruntime.{OURS}/comes-back" in names
    assert f"codeinterpreter.{OURS}/bare" in names


def test_json_and_yaml_say_the_same_and_all_of_it(remembering: Space) -> None:
    words = ("list", "-n", remembering.name)
    found = parsed(remembering.stack.cp.kubeconfig, *words)
    assert yaml.safe_load(run(remembering.stack.cp.kubeconfig, *words, "-o", "yaml").stdout) == found
    (cordoned,) = (each for each in found["items"] if each["name"] == "node-cordoned")
    assert cordoned["preferred"] == f"{remembering.name}-here"
    assert cordoned["reason"] == "node_cordoned"
    assert [entry["status"] for entry in cordoned["memory"]] == ["node_cordoned", "valid"]


def test_a_namespace_without_any_is_said_as_kubectl_says_it(space: Space) -> None:
    done = run(space.stack.cp.kubeconfig, "list", "-n", space.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"No resources found in {space.name} namespace.\n")


def test_the_namespace_is_the_context_s_and_a_context_can_be_named(remembering: Space) -> None:
    content = yaml.safe_load(remembering.stack.cp.kubeconfig.read_text(encoding="utf-8"))
    (context,) = content["contexts"]
    other = {"name": "other", "context": context["context"] | {"namespace": remembering.name}}
    file = remembering.stack.cp.dir / f"{remembering.name}.yaml"
    file.write_text(yaml.safe_dump(content | {"contexts": [context, other]}), encoding="utf-8")
    assert "comes-back" in run(file, "list", "--context", "other").stdout
    assert "comes-back" in run(file, "--context", "other", "list").stdout
    assert "comes-back" not in run(file, "list").stdout
    assert "comes-back" not in run(file, "list", "--context", "other", "-n", "default").stdout
    assert run(file, "list", "--context", "nobody-s").returncode == 2


def test_show_lists_the_whole_memory_of_one_workload(remembering: Space) -> None:
    done = run(remembering.stack.cp.kubeconfig, "show", "node-cordoned", "-n", remembering.name)
    assert done.returncode == 0, done.stderr
    title, heading, first, second = done.stdout.splitlines()
    assert title == f"AgentRuntime {remembering.name}/node-cordoned: sticky"
    assert heading.split() == ["NODE", "HOSTNAME", "AGE", "EXPIRES-IN", "WEIGHT", "STATUS"]
    assert first.split()[-2:] == ["0", "node_cordoned"]
    assert second.split()[-2:] == ["100", "valid"]


def test_show_ranks_the_nodes_by_what_they_weigh_for_the_next_session_the_group_s_last(space: Space) -> None:
    last, older, theirs = (space.node(name) for name in ("last", "older", "theirs"))
    group = {f"{contract.AGENTCUBE_PREFIX}/{contract.CACHE_GROUP}": "images"}
    space.workload("w", annotations=group | memory([(last, 1.0), (older, 2.0)]))
    space.workload("relative", annotations=group | memory([(theirs, 1.0), (last, 1.0)]))
    space.workload("stranger", annotations=memory([(space.node("strange"), 1.0)]))
    found = parsed(space.stack.cp.kubeconfig, "show", "w", "-n", space.name)
    ranked = [(each["node"], each["weight"], each["standing"]) for each in found["ranked"]]
    assert ranked == [(last, 100, "last"), (older, 10, "older"), (theirs, 1, "group")]
    words = ("show", "w", "-n", space.name, "--older-weight", "100", "--group-weight", "0")
    lines = run(space.stack.cp.kubeconfig, *words).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == [last, older]
    assert [line.split()[-2] for line in lines[2:]] == ["100", "100"]


@pytest.fixture
def unheeded(space: Space) -> Iterator[Space]:
    """Workloads with annotations that mean nothing, gone again before others ask doctor."""
    for name in ("typo", "other-typo"):
        space.workload(name, enabled=None, annotations={contract.STICKINESS_ANNOTATION: "Enabld"})
    space.workload("off", enabled=None, annotations={contract.STICKINESS_ANNOTATION: "disabled"})
    space.workload("torn", annotations={
        contract.LAST_NODE_ANNOTATION: '{"node": "a"}', contract.RECENT_NODES_ANNOTATION: "[[[",
        f"{contract.AGENTCUBE_PREFIX}/{contract.OLDER_WEIGHT}": "lots",
        f"{contract.AGENTCUBE_PREFIX}/{contract.CACHE_GROUP}": "a b",
    })  # fmt: skip
    yield space
    for name in ("typo", "other-typo", "off", "torn"):
        space.delete(name)


def test_what_annotations_say_and_nobody_heeds_is_told(unheeded: Space) -> None:
    kubeconfig, words = unheeded.stack.cp.kubeconfig, ("-n", unheeded.name)
    listed = run(kubeconfig, "list", *words)
    told = f"{unheeded.name}/other-typo, {unheeded.name}/typo"
    assert listed.stderr == f"warning: not sticky, though annotated (see show): {told}\n"
    assert "typo" not in listed.stdout
    assert run(kubeconfig, "show", "typo", *words).stdout.splitlines() == [
        f"AgentRuntime {unheeded.name}/typo: not sticky", "  Nothing is remembered.",
        f"  Not heeded: {contract.STICKINESS_ANNOTATION} is 'Enabld'; only 'enabled' counts.",
    ]  # fmt: skip
    assert "Not heeded" not in run(kubeconfig, "show", "off", *words).stdout
    torn = parsed(kubeconfig, "show", "torn", *words)["ignored"]
    assert [line.partition("; ")[0].removeprefix("runtime.agentcube.io/") for line in torn] == [
        """last-node is '{"node": "a"}'""", "recent-nodes is '[[['", "older-weight is 'lots'", "cache-group is 'a b'"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["codeinterpreter", "CodeInterpreter", "codeinterpreters", f"codeinterpreters.{OURS}"])
def test_a_kind_may_be_named_in_every_way_that_kubectl_takes(remembering: Space, kind: str) -> None:
    found = parsed(remembering.stack.cp.kubeconfig, "show", f"{kind}/bare", "-n", remembering.name)
    assert (found["kind"], found["name"], found["lastNode"]) == ("CodeInterpreter", "bare", f"{remembering.name}-here")
    assert run(remembering.stack.cp.kubeconfig, "show", "agentruntime/bare", "-n", remembering.name).returncode == 1


def test_workloads_of_two_kinds_and_one_name_are_both_shown(space: Space) -> None:
    space.workload("twin")
    space.workload("twin", INTERPRETER)
    found = parsed(space.stack.cp.kubeconfig, "show", "twin", "-n", space.name)
    assert [each["kind"] for each in found["items"]] == ["AgentRuntime", "CodeInterpreter"]
    assert "Nothing is remembered." in run(space.stack.cp.kubeconfig, "show", "twin", "-n", space.name).stdout


def test_a_shorter_ttl_lets_the_same_memory_expire(remembering: Space) -> None:
    words = ("show", "comes-back", "-n", remembering.name)
    kubeconfig = remembering.stack.cp.kubeconfig
    assert "expired" in run(kubeconfig, "--memory-ttl", "30m", *words).stdout
    assert "expired" in run(kubeconfig, *words, "--memory-ttl", "30m").stdout
    assert "expired" in run(kubeconfig, *words, env={"LASTNODE_MEMORY_TTL": "30m"}).stdout
    assert "expired" not in run(kubeconfig, "--memory-ttl", "2h", *words, env={"LASTNODE_MEMORY_TTL": "30m"}).stdout


def test_a_workload_that_is_not_there_is_said_in_one_line_with_exit_code_1(stack: Stack) -> None:
    done = run(stack.cp.kubeconfig, "show", "nobody")
    assert (done.returncode, done.stderr) == (1, "error: no workload nobody in namespace default\n")
    assert run(stack.cp.kubeconfig, "show", "agentruntime/nobody").stderr.endswith("/nobody in namespace default\n")
    unknown = run(stack.cp.kubeconfig, "show", "statefulset/trainer").stderr
    told = "error: no workload statefulset/trainer in namespace default; kinds by configuration: --config FILE\n"
    assert unknown == told


def test_missing_permissions_are_said_in_one_line_with_exit_code_1(stack: Stack) -> None:
    done = run(stack.cp.kubeconfig_for("nobody"), "list", "-A")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 403 ")
    assert len(done.stderr.splitlines()) == 1


def test_who_may_not_list_nodes_sees_ages_only_and_is_told(remembering: Space) -> None:
    user = reader_of_workloads(remembering)
    done = run(remembering.stack.cp.kubeconfig_for(user), "list", "-n", remembering.name)
    assert done.returncode == 0, done.stderr
    said = sorted(line[:75] for line in done.stderr.splitlines())
    assert said == [
        "warning: a kind is left out: 403 sandboxes.agents.x-k8s.io is forbidden: Us",
        "warning: whether nodes are there and Ready is not looked at: 403 nodes is f",
    ]
    status = {line.split()[1]: line.split()[-1] for line in done.stdout.splitlines()}
    assert (status["node-gone"], status["too-old"]) == ("valid", "expired")


def test_an_api_server_that_asks_for_a_moment_is_given_it(space: Space, tmp_path: Path) -> None:
    space.workload("patient")
    with HttpProxy(space.stack.cp) as proxy:
        proxy.fault = lambda _: refusal(429, retry_after=1) if len(proxy.asked) <= 2 else None
        done = run(proxy.kubeconfig(tmp_path / "config"), "list", "-n", space.name)
    assert (done.returncode, done.stderr) == (0, "")
    assert "patient" in done.stdout


def test_an_api_server_that_is_away_is_said_in_one_line_with_exit_code_1(stack: Stack) -> None:
    content = yaml.safe_load(stack.cp.kubeconfig.read_text(encoding="utf-8"))
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = stack.cp.dir / "away.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    for words in (("list",), ("show", "w"), ("explain", "p"), ("report",), ("doctor",), ("forget", "w", "--yes")):
        done = run(file, *words)
        assert (done.returncode, done.stdout) == (1, ""), words
        assert done.stderr.splitlines()[-1].startswith("error: https://127.0.0.1:1: "), words


def test_no_kubeconfig_is_a_wrong_call(stack: Stack) -> None:
    done = run(stack.cp.dir / "missing", "list")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_colours_are_for_terminals_that_want_them(remembering: Space) -> None:
    words = ("list", "-n", remembering.name)
    assert "\x1b[" not in run(remembering.stack.cp.kubeconfig, *words).stdout
    for env, coloured in (({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(remembering.stack.cp.kubeconfig, *words, env=env)
        assert terminal.end() == 0
        assert ("\x1b[32mvalid" in terminal.said) is coloured


def reader_of_workloads(space: Space) -> str:
    """A ServiceAccount that may list agentcube's workloads of this namespace, and nothing else."""
    rules = [{"apiGroups": [OURS], "resources": ["agentruntimes", "codeinterpreters"], "verbs": ["get", "list"]}]
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": space.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    user = f"system:serviceaccount:{space.name}:reader"
    kubeconfig = space.stack.cp.kubeconfig_for(user)
    space.api.post(f"{base}/roles", {"metadata": {"name": "reader"}, "rules": rules})
    space.api.post(f"{base}/rolebindings", {"metadata": {"name": "reader"}, "subjects": [subject], "roleRef": role})
    space.stack.wait(lambda: run(kubeconfig, "list", "-n", space.name).returncode == 0, "the role to be in force")
    return user


def memory(placements: list[tuple[str, float]]) -> dict[str, str]:
    """The two annotations: nodes, and how many hours ago."""
    entries = [
        {"node": node, "hostname": node, "readyAt": (datetime.now(UTC) - timedelta(hours=hours)).isoformat()}
        for node, hours in placements
    ]
    return {contract.LAST_NODE_ANNOTATION: placements[0][0], contract.RECENT_NODES_ANNOTATION: json.dumps(entries)}
