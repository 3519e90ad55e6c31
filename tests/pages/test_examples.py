"""The programs in examples/, run as they are on a real control plane."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lastnode.contract import LAST_NODE_ANNOTATION, STICKINESS_ANNOTATION
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from testbed.webhook import OPT_OUT_LABEL
from testbed.workloads import agent_runtime
from tests.pages.loaded import make_least_liked
from tests.waiting import eventually

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))
RUNTIMES = "/apis/runtime.agentcube.volcano.sh/v1alpha1/namespaces/{}/agentruntimes"


class Example:
    """Runs an example in a directory of its own; says on which node each of its pods ran."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self._stack = stack
        self._directory = directory

    def __call__(self, name: str, *arguments: str) -> list[tuple[str, str]]:
        ran = subprocess.run(
            [sys.executable, str(REPOSITORY / "examples" / name), *arguments],
            env=os.environ | {"KUBECONFIG": str(self._stack.cp.kubeconfig)},
            cwd=self._directory, check=True, text=True, stdout=subprocess.PIPE, timeout=120,
        )  # fmt: skip
        return re.findall(r"([\w-]+) ran on ([\w-]+)", ran.stdout)

    def forget(self) -> None:
        (self._directory / "last-nodes.json").unlink()


@pytest.fixture
def example(stack: Stack, tmp_path: Path) -> Example:
    return Example(stack, tmp_path)


def test_a_loop_with_a_memory_of_its_own_brings_its_tasks_back(stack: Stack, namespace: str, example: Example) -> None:
    ran = example("own_memory.py", namespace)
    assert [task for task, _ in ran] == ["train", "judge"] * 3
    first = dict(ran[:2])
    assert [first[task] for task, _ in ran] == [node for _, node in ran]
    for node in set(first.values()):
        make_least_liked(stack, namespace, node)
    assert dict(example("own_memory.py", namespace)) == first
    example.forget()
    assert first.keys() == (elsewhere := dict(example("own_memory.py", namespace))).keys()
    assert not set(first.values()) & set(elsewhere.values())


def test_a_session_comes_back_to_the_node_that_the_recorder_has_written(
    stack: Stack, namespace: str, example: Example
) -> None:
    # The library has to do it, without the webhook.
    stack.api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": {OPT_OUT_LABEL: "disabled"}}})
    runtime = agent_runtime("writer", namespace=namespace, sticky=True, via="annotation")
    path = RUNTIMES.format(namespace)
    stack.api.post(path, runtime)

    ((name, node),) = example("recorded.py", namespace, "writer")
    assert name == "writer"

    def written() -> bool:
        annotations: dict[str, str] = stack.api.get(f"{path}/writer")["metadata"]["annotations"]
        return annotations.get(LAST_NODE_ANNOTATION) == node

    eventually(written, "the recorder to write the session down")
    make_least_liked(stack, namespace, node)
    assert example("recorded.py", namespace, "writer") == [("writer", node)]

    off = {"metadata": {"annotations": {STICKINESS_ANNOTATION: None}}}
    stack.api.patch(f"{path}/writer", off)
    ((_, elsewhere),) = example("recorded.py", namespace, "writer")
    assert elsewhere != node


def test_the_examples_stay_short_enough_to_copy() -> None:
    assert EXAMPLES
    assert {path.name: lines for path in EXAMPLES if (lines := len(path.read_text("utf-8").splitlines())) >= 60} == {}


def test_the_librarys_page_links_every_example_before_anything_else() -> None:
    page = (REPOSITORY / "docs" / "library.md").read_text(encoding="utf-8")
    first = [Path(target).name for target in re.findall(r"\]\(([^)#]+)", page)[: len(EXAMPLES)]]
    assert sorted(first) == [path.name for path in EXAMPLES]
