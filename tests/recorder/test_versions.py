"""A kind whose definition is somebody's own: served in another version while the recorder runs, and of any shape."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lastnode.contract import LAST_NODE_ANNOTATION
from testbed.component import Component
from testbed.errors import ApiError
from testbed.stack import Stack
from tests.recorder.httpproxy import HttpProxy
from tests.recorder.space import OPTED_IN, Space

GROUP, KIND, PLURAL = "runtime.agentcube.volcano.sh", "AgentRuntime", "agentruntimes"
DEFINITION = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"


def versions(*served: str) -> list[dict[str, Any]]:
    """v1 and v2 of the definition, of which ``served`` are served; the newest of those is stored."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return [
        {"name": name, "served": name in served, "storage": name == served[-1], "schema": schema}
        for name in ("v1", "v2")
    ]


def answers(plane: Stack, path: str) -> bool:
    try:
        plane.api.get(path)
    except ApiError:
        return False
    return True


@pytest.fixture(scope="module")
def plane() -> Iterator[Stack]:
    """Without any definition."""
    with Stack.start(crds=(), sandbox=()) as stack:
        yield stack


@pytest.fixture
def space(plane: Stack) -> Iterator[Space]:
    names = {"plural": PLURAL, "singular": KIND.lower(), "kind": KIND, "listKind": f"{KIND}List"}
    spec = {"group": GROUP, "scope": "Namespaced", "names": names, "versions": versions("v1")}
    plane.api.post(
        DEFINITION.rpartition("/")[0],
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
         "metadata": {"name": f"{PLURAL}.{GROUP}"}, "spec": spec},
    )  # fmt: skip
    yield Space(plane)
    plane.api.delete(DEFINITION)
    plane.wait(lambda: not answers(plane, DEFINITION), "the definition to be gone")


@pytest.fixture
def proxy(plane: Stack) -> Iterator[HttpProxy]:
    with HttpProxy(plane.cp) as proxy:
        yield proxy


@pytest.fixture
def recorder(plane: Stack, proxy: HttpProxy, space: Space, tmp_path: Path) -> Iterator[Component]:
    component = plane.start_recorder(
        "--workload-resources", f"{PLURAL}.{GROUP}", "--kubeconfig", str(proxy.kubeconfig(tmp_path / "config")),
        name=f"recorder-{time.monotonic_ns()}",
    )  # fmt: skip
    yield component
    component.kill()


@pytest.mark.usefixtures("recorder")
def test_a_workload_that_moved_to_another_version_is_written_there(space: Space, proxy: HttpProxy) -> None:
    plane = space.stack

    def collection(version: str) -> str:
        return f"/apis/{GROUP}/{version}/namespaces/{space.name}/{PLURAL}"

    def last_node(version: str) -> str | None:
        annotations = plane.api.get(f"{collection(version)}/w")["metadata"]["annotations"]
        return annotations.get(LAST_NODE_ANNOTATION)  # type: ignore[no-any-return]

    def session(name: str, second: int) -> str:
        node = space.node(name)
        space.status(space.pod(name, node, workload="w", kind=KIND), "Running", second)
        return node

    plane.wait(lambda: answers(plane, collection("v1")), "v1 to be served")
    workload = {"metadata": {"name": "w", "annotations": OPTED_IN}}
    plane.api.post(collection("v1"), {"apiVersion": f"{GROUP}/v1", "kind": KIND} | workload)
    first = session("first", 1)
    plane.wait(lambda: last_node("v1") == first, "the first session to be written", within=60)

    plane.api.patch(DEFINITION, {"spec": {"versions": versions("v2")}})
    plane.wait(
        lambda: answers(plane, collection("v2")) and not answers(plane, collection("v1")), "v2 to be served alone"
    )
    second = session("second", 2)
    plane.wait(lambda: last_node("v2") == second, "the second session to be written", within=60)
    written = [asked.path.split("/")[3] for asked in proxy.writes(f"/{space.name}/")]
    assert (written[0], written[-1]) == ("v1", "v2")


@pytest.mark.usefixtures("recorder")
def test_a_workload_that_cannot_be_read_any_more_is_left_alone_until_it_can(
    space: Space, proxy: HttpProxy, recorder: Component
) -> None:
    plane, collection = space.stack, f"/apis/{GROUP}/v1/namespaces/{space.name}/{PLURAL}"

    def create(name: str) -> None:
        # A field of a built-in kind, in which this one keeps something else.
        body = {"metadata": {"name": name, "annotations": OPTED_IN}, "spec": {"warmPoolSize": "many"}}
        plane.api.post(collection, {"apiVersion": f"{GROUP}/v1", "kind": KIND} | body)

    def written(workload: str, pod: str, second: int) -> None:
        node = space.node(pod)
        space.status(space.pod(pod, node, workload=workload, kind=KIND), "Running", second)
        plane.wait(lambda: last_node(workload) == node, f"{pod} to be written on {workload}", within=60)

    def last_node(workload: str) -> object:
        return plane.api.get(f"{collection}/{workload}")["metadata"]["annotations"].get(LAST_NODE_ANNOTATION)

    def about_it() -> int:
        return sum(asked.path.endswith(f"/{space.name}/{PLURAL}/w") for asked in list(proxy.asked))

    plane.wait(lambda: answers(plane, collection), "the kind to be served")
    create("w")
    create("other")
    written("w", "first", 1)
    first = last_node("w")
    plane.api.patch(f"{collection}/w", {"spec": ["of another shape"]})
    plane.wait(lambda: "an object is skipped" in recorder.tail(20), "the recorder to see that")
    asked = about_it()
    node = space.node("second")
    space.status(space.pod("second", node, workload="w", kind=KIND), "Running", 2)
    written("other", "later", 3)
    assert last_node("w") == first
    assert about_it() == asked
    plane.api.patch(f"{collection}/w", {"spec": {}})
    plane.wait(lambda: last_node("w") == node, "the session of that time to be written", within=60)
