"""Every file of scheduler-config/ is one that kube-scheduler takes, and asks the extender only what it has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from extender.http import create_app
from extender.lookup import Lookup
from extender.metrics import PrioritizeMetrics
from extender.prioritize import Prioritizer
from lastnode.preference import EXTENDER_SCORE, EXTENDER_WEIGHT, POINTS
from lastnode.view import MemoryCache, View
from testbed.errors import StartError
from testbed.stack import SCHEDULER_CONFIG, Stack
from testbed.versions import chosen
from tests.extender.cluster import create, make_nodes, pod_spec, remove, scheduled
from tests.extender.schedulers import running

FILES = sorted(SCHEDULER_CONFIG.glob("*.yaml"))
# MaxNodeScore / MaxExtenderPriority, in kube-scheduler.
SCALE = 100 / 10
VERBS = ("filterVerb", "prioritizeVerb", "preemptVerb", "bindVerb")

MINOR = int(chosen(os.environ).split(".")[1])
# From 1.35 on kube-scheduler uses a decision for a second pod where the first one filled its node, from 1.37 on always.
knows_batching = pytest.mark.skipif(MINOR < 35, reason="kube-scheduler batches since 1.35")
batches_always = pytest.mark.skipif(MINOR < 37, reason="kube-scheduler batches pods that fill no node since 1.37")
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def document(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


EXTENDERS = [pytest.param(extender, id=path.name) for path in FILES for extender in document(path).get("extenders", ())]


def routes() -> set[str]:
    """Where the app takes a POST."""
    lookup = Lookup(View(), MemoryCache(0), 0, synced=lambda: True)
    app = create_app(Prioritizer(lookup, PrioritizeMetrics(CollectorRegistry())), {}, {}, lambda *_: ())
    return {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}


def test_there_are_files() -> None:
    names = ["extender", "lean-sticky", "managed-resources", "second-scheduler", "sticky"]
    assert [path.stem for path in FILES] == names


@each_file
def test_kube_scheduler_starts_with_the_file(stack: Stack, path: Path) -> None:
    scheduler = stack.start_scheduler(path.name, name=f"loads-{path.stem}")
    try:
        assert scheduler.returncode is None
    finally:
        scheduler.stop()


def test_kube_scheduler_would_refuse_a_file_with_a_mistake(stack: Stack) -> None:
    config = stack.scheduler_config("extender.yaml")
    config["extenders"][0]["wieght"] = config["extenders"][0].pop("weight")
    with pytest.raises(StartError, match="wieght"):
        stack.cp.start_scheduler("refuses", config)


@knows_batching
def test_an_extender_switches_kube_schedulers_batching_off_and_none_leaves_it_on(stack: Stack) -> None:
    """What README.md there says of the price. The scheduler says it of each profile when it starts."""
    for file, switched_off in [("extender.yaml", True), ("sticky.yaml", False)]:
        scheduler = stack.start_scheduler(file, name=f"batches-{file}", verbosity=5)
        scheduler.stop()
        for profile in ("default-scheduler", "sticky-scheduler"):
            line = f'because it has extenders configured." profile="{profile}"'
            assert (line in scheduler.log.read_text(encoding="utf-8")) is switched_off


@pytest.fixture
def equal_pods(stack: Stack) -> Iterator[list[dict[str, Any]]]:
    """Pods that wait for a scheduler, alike as a Deployment's replicas are, and nodes for them."""
    nodes = [f"alike-{number}" for number in range(5)]
    make_nodes(stack, nodes, "alike")
    metadata = {"namespace": "default", "labels": {"app": "alike"}}
    spec = pod_spec("alike", schedulerName="sticky-scheduler")
    spec["containers"][0]["resources"] = {"requests": {"cpu": "10m"}}
    pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": f"alike-{number}"}, "spec": spec}
            for number in range(40)]  # fmt: skip
    for pod in pods:
        create(stack, pod)
    yield pods
    for pod in pods:
        remove(stack, pod)
    for node in nodes:
        stack.api.delete(f"/api/v1/nodes/{node}")


@pytest.mark.parametrize(
    ("file", "spread", "batches"),
    [
        pytest.param("sticky.yaml", None, False, id="the default plugins never batch"),
        pytest.param("sticky.yaml", [], True, id="without default spreading they do", marks=batches_always),
        pytest.param("extender.yaml", [], False, id="an extender ends that"),
        pytest.param("managed-resources.yaml", [], False, id="even one that is never asked"),
    ],
)
def test_what_an_extender_takes_away_is_batching_where_there_was_any(
    stack: Stack, equal_pods: list[dict[str, Any]], file: str, spread: list[Any] | None, batches: bool
) -> None:
    """README.md there. `spread`: PodTopologySpread's default constraints, None for the scheduler's own."""
    config = stack.scheduler_config(file)
    if spread is not None:
        args = {"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": spread}}
        config["profiles"][1]["pluginConfig"] = [args]
    hints = 'scheduler_batch_attempts_total{profile="sticky-scheduler",result="hint_used"}'
    with running(stack.cp.start_scheduler(f"alike-{file}-{spread}", config)) as scheduler:

        def batched() -> bool:
            for pod in equal_pods:
                scheduled(stack, pod)
            return stack.metrics(scheduler.url).get(hints, 0.0) > 0

        def once_more() -> bool:
            # The scheduler forgets its last decision after half a second: on a busy machine it may be one pod a time.
            for pod in equal_pods:
                remove(stack, pod)
                create(stack, pod)
            return batched()

        if batches:
            stack.wait(lambda: batched() or once_more(), "kube-scheduler to use a decision for a second pod", 90)
        else:
            assert not batched()


@each_file
def test_every_profile_of_ours_scores_every_node_and_the_default_one_is_left_as_it_is(path: Path) -> None:
    profiles = {profile["schedulerName"]: profile for profile in document(path)["profiles"]}
    default = profiles.pop("default-scheduler", None)
    assert default in (None, {"schedulerName": "default-scheduler"})
    assert [profile["percentageOfNodesToScore"] for profile in profiles.values()] == [100]


def test_the_lean_profile_leaves_out_wishes_and_keeps_every_requirement() -> None:
    """Nothing may be disabled that filters, nor what renders the preference or heeds PreferNoSchedule."""
    plugins = document(SCHEDULER_CONFIG / "lean-sticky.yaml")["profiles"][1]["plugins"]
    assert set(plugins) == {"preScore", "score"}
    disabled = {entry["name"] for point in plugins.values() for entry in point["disabled"]}
    assert not disabled & {"NodeAffinity", "TaintToleration", "NodeResourcesFit"}


@pytest.mark.parametrize("extender", EXTENDERS)
def test_the_extender_is_asked_for_what_it_serves_and_nothing_else(extender: dict[str, Any]) -> None:
    assert {f"/{extender[verb]}" for verb in VERBS if verb in extender} == {"/prioritize"}
    assert "/prioritize" in routes()


@pytest.mark.parametrize("extender", EXTENDERS)
def test_the_weight_makes_it_the_injected_term(extender: dict[str, Any]) -> None:
    assert extender["weight"] == EXTENDER_WEIGHT
    assert extender["weight"] * EXTENDER_SCORE * SCALE == POINTS


@pytest.mark.parametrize("extender", EXTENDERS)
def test_an_extender_that_is_down_or_slow_holds_up_no_pod(extender: dict[str, Any]) -> None:
    assert extender["ignorable"] is True
    assert extender["httpTimeout"].endswith("ms")
    assert extender["nodeCacheCapable"] is True
