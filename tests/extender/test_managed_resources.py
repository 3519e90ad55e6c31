"""managed-resources.yaml: only pods that name the marker resource reach the extender."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from testbed.component import Component
from testbed.errors import ApiError
from testbed.stack import Stack
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    make_nodes,
    place,
    pod_spec,
    remove,
    session_pod,
    sticky_runtime,
)
from tests.extender.schedulers import running, unschedulable

MARKER = "lastnode.dev/session"
NODES = [f"marked-{number:02}" for number in range(12)]
WANTED = NODES[7]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Stack]:
    with Stack.start() as stack:
        nodes = make_nodes(stack, NODES)
        create(stack, sticky_runtime("known", "default", entry(nodes[WANTED])))
        stack.start_extender()
        Wire(stack.extender_url).expect("preferred", session_pod("default", workload="known"), NODES)
        yield stack


@pytest.fixture
def stack(cluster: Stack) -> Stack:
    return cluster


@pytest.fixture
def wire(stack: Stack) -> Wire:
    return Wire(stack.extender_url)


@pytest.fixture
def scheduler(stack: Stack) -> Iterator[Component]:
    config = stack.scheduler_config("managed-resources.yaml")
    config["extenders"][0]["httpTimeout"] = "20s"  # on a busy machine no time-out shall decide a test
    with running(stack.cp.start_scheduler("managed", config)) as scheduler:
        yield scheduler


@pytest.fixture
def unaware(stack: Stack) -> Iterator[Component]:
    """A scheduler that was never told of the resource."""
    with running(stack.start_scheduler("sticky.yaml", name="unaware")) as scheduler:
        yield scheduler


def session(name: str, **resources: dict[str, str]) -> dict[str, Any]:
    """A session's pod whose container has these resources: limits={…}, requests={…}."""
    spec = pod_spec()
    for kind, amounts in resources.items():
        spec["containers"][0]["resources"].setdefault(kind, {}).update(amounts)
    return session_pod("default", name, workload="known", spec=spec)


@pytest.mark.parametrize("amount", ["0", "1"])
def test_a_session_that_names_the_resource_is_asked_about_and_comes_back(
    stack: Stack, scheduler: Component, wire: Wire, amount: str
) -> None:
    before = wire.results()["preferred"]
    pod = session(f"marked-{amount}", limits={MARKER: amount})
    assert place(stack, pod) == WANTED
    remove(stack, pod)
    assert wire.results()["preferred"] == before + 1


def test_pods_without_it_never_reach_the_extender_whoever_they_are(
    stack: Stack, scheduler: Component, wire: Wire
) -> None:
    before = wire.results()
    for number in range(5):
        place(stack, session(f"unmarked-{number}"))
    assert wire.results() == before


def test_a_scheduler_that_does_not_know_the_resource_places_a_pod_that_asks_for_none_of_it(
    stack: Stack, unaware: Component
) -> None:
    place(stack, session("zero", limits={MARKER: "0"}))


def test_and_never_places_one_that_asks_for_some(stack: Stack, unaware: Component) -> None:
    pod = session("one", limits={MARKER: "1"})
    create(stack, pod)
    assert f"Insufficient {MARKER}" in unschedulable(stack, pod)
    remove(stack, pod)


@pytest.mark.parametrize(
    ("resources", "refusal"),
    [
        pytest.param({"requests": {MARKER: "0"}}, "Limit must be set", id="no-limit"),
        pytest.param({"requests": {MARKER: "0"}, "limits": {MARKER: "1"}}, "must be equal", id="unequal"),
        pytest.param({"limits": {MARKER: "500m"}}, "must be an integer", id="fraction"),
    ],
)
def test_the_api_server_wants_a_limit_that_is_whole_and_the_same_as_the_request(
    stack: Stack, resources: dict[str, dict[str, str]], refusal: str
) -> None:
    with pytest.raises(ApiError, match=refusal):
        create(stack, session("refused", **resources))


def test_a_limit_alone_is_enough(stack: Stack) -> None:
    pod = session("limit-alone", limits={MARKER: "0"})
    made = create(stack, pod)
    assert made["spec"]["containers"][0]["resources"]["requests"][MARKER] == "0"
    remove(stack, pod)
