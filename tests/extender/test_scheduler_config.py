"""Every file of scheduler-config/ is one that kube-scheduler takes, and asks the extender only what it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.local.errors import StartError
from deploy.local.stack import SCHEDULER_CONFIG, Stack
from extender.app import create_app
from extender.lookup import Lookup
from extender.metrics import PrioritizeMetrics
from extender.preference import EXTENDER_SCORE, EXTENDER_WEIGHT, POINTS
from extender.service import Service
from recorder.cache import MemoryCache
from recorder.view import View

FILES = sorted(SCHEDULER_CONFIG.glob("*.yaml"))
# MaxNodeScore / MaxExtenderPriority, in kube-scheduler.
SCALE = 100 / 10
VERBS = ("filterVerb", "prioritizeVerb", "preemptVerb", "bindVerb")

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def document(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


EXTENDERS = [pytest.param(extender, id=path.name) for path in FILES for extender in document(path).get("extenders", ())]


def routes() -> set[str]:
    """Where the app takes a POST."""
    lookup = Lookup(View(), MemoryCache(0), 0, synced=lambda: True)
    app = create_app(Service(lookup, PrioritizeMetrics(CollectorRegistry())), {}, {}, lambda: ("", b""))
    return {rule.rule for rule in app.url_map.iter_rules() if "POST" in (rule.methods or ())}


def test_there_are_files() -> None:
    assert [path.name for path in FILES] == ["extender.yaml", "sticky.yaml"]


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


def test_an_extender_switches_kube_schedulers_batching_off_and_none_leaves_it_on(stack: Stack) -> None:
    """What README.md there says of the price. The scheduler says it of each profile when it starts."""
    for file, switched_off in [("extender.yaml", True), ("sticky.yaml", False)]:
        scheduler = stack.start_scheduler(file, name=f"batches-{file}", verbosity=5)
        scheduler.stop()
        for profile in ("default-scheduler", "sticky-scheduler"):
            line = f'because it has extenders configured." profile="{profile}"'
            assert (line in scheduler.log.read_text(encoding="utf-8")) is switched_off


@each_file
def test_the_sticky_profile_scores_every_node_and_the_default_one_is_left_as_it_is(path: Path) -> None:
    profiles = {profile["schedulerName"]: profile for profile in document(path)["profiles"]}
    assert profiles["sticky-scheduler"]["percentageOfNodesToScore"] == 100
    assert profiles["default-scheduler"] == {"schedulerName": "default-scheduler"}


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
