"""Every panel is answered by a real Prometheus that scraped lastnode at work, and scrapes stay small."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.monitoring.observed import RULES, Observed, observed
from tests.monitoring.panels import PANELS, Panel, names_in, substituted

MOST_SERIES = 250
MOST_SECONDS = 0.05
OURS = ("recorder", "extender", "webhook", "certified")
# Made by Prometheus itself.
ITS_OWN = {"up", "ALERTS"}


@pytest.fixture(scope="module")
def at_work(prometheus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed(prometheus, tmp_path_factory.mktemp("observed")) as made:
        yield made


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_each_query_of_a_panel_finds_something(at_work: Observed, panel: Panel) -> None:
    for expr in panel.exprs:
        found = at_work.prometheus.ask(substituted(expr))
        assert found, f"{expr}\n{found}\n{at_work.stack.cp.logs_tail(5)}"


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_legends_name_labels_that_the_series_have(at_work: Observed, panel: Panel) -> None:
    for expr, legend in panel.queries:
        for label in re.findall(r"{{(\w+)}}", legend):
            # What is summed by a label may lack it, as without clusters.
            found = [label in series.labels for series in at_work.prometheus.ask(substituted(expr))]
            assert any(found) or re.search(rf"\bby \([^)]*\b{label}\b", expr), expr


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_a_panel_answers_for_one_cluster_too(at_work: Observed, panel: Panel) -> None:
    """The choice is in every selector: another cluster's name finds nothing, except zeros that stand for none."""
    for expr in panel.exprs:
        others = at_work.prometheus.ask(substituted(expr, cluster="another"))
        assert not [series for series in others if series.value != 0], expr


def test_every_metric_in_panels_and_rules_is_served_by_some_program(at_work: Observed) -> None:
    served = at_work.prometheus.values("__name__")
    asked = {name for panel in PANELS for expr in panel.exprs for name in names_in(expr)}
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    asked |= {name for group in groups for rule in group["rules"] for name in names_in(rule["expr"])}
    # Counters that appear with the first case of it.
    assert asked - served - ITS_OWN <= {"lastnode_watch_failures_total", "lastnode_objects_skipped_total"}


@pytest.mark.parametrize("program", OURS)
def test_promtool_has_nothing_to_say_about_what_a_program_serves(
    at_work: Observed, promtool: Path, program: str
) -> None:
    text, _ = at_work.exposition(program)
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("program", OURS)
def test_a_scrape_is_small_and_quick(at_work: Observed, program: str) -> None:
    """Label values are closed sets: with more workloads there are no more series."""
    scrapes = [at_work.exposition(program) for _ in range(5)]
    samples = [line for line in scrapes[-1][0].splitlines() if line and not line.startswith("#")]
    assert len(samples) < MOST_SERIES
    # The quickest: the others waited for a processor that other tests use as well.
    assert min(seconds for _, seconds in scrapes) < MOST_SECONDS
