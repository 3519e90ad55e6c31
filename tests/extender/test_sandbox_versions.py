"""The extender asks which version of Sandbox is served, and does without any where none is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lastnode.contract import WORKLOAD_NAME_LABEL
from testbed.sandboxversions import VERSIONS
from testbed.stack import Stack
from tests.extender.cluster import Wire, create, entry, favoured, make_nodes, sandbox, session_pod, sticky_runtime


@pytest.fixture(scope="module")
def without_sandboxes() -> Iterator[Stack]:
    with Stack.start(sandbox=()) as stack:
        stack.start_extender()
        yield stack


@pytest.fixture
def stack(without_sandboxes: Stack) -> Stack:
    return without_sandboxes


def test_without_the_crd_labels_are_enough_and_once_v1beta1_is_served_it_is_followed(stack: Stack, wire: Wire) -> None:
    nodes = make_nodes(stack, ["a", "b"])
    create(stack, sticky_runtime("w", "default", entry(nodes["a"])))
    labelled = session_pod("default", workload="w")
    assert wire.expect("preferred", labelled, ["a", "b"]).hosts == favoured("a")

    stack.serve_sandboxes(*VERSIONS)
    for version in VERSIONS:
        made = sandbox(version, "default", {WORKLOAD_NAME_LABEL: "w"}, f"agents.x-k8s.io/{version}")
        pod = session_pod("default", owner=create(stack, made))
        assert wire.expect("preferred", pod, ["a", "b"], seconds=90).hosts == favoured("a")
