"""The dashboards as files: that Grafana can show them, and that panels say all that a reader needs."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.binaries import find_tools
from testbed.paths import REPOSITORY
from tests.monitoring.panels import DASHBOARDS, FOLDER, PANELS, Panel
from tests.monitoring.test_rules import ALERTS
from tools.render import setup

COLUMNS = 24


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_is_stored_so_that_a_change_shows_as_one(path: Path) -> None:
    """Keys sorted, two spaces: what Grafana exports is brought to that by json.tool --sort-keys."""
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_panels_have_ids_and_places_of_their_own(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [cell for panel in panels for cell in cells(panel["gridPos"])]
    assert len(set(taken)) == len(taken)
    assert all(x < COLUMNS for x, _ in taken)


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_rows_are_filled_to_the_edge(dashboard: dict[str, Any]) -> None:
    panels = (panel for panel in dashboard["panels"] if panel["type"] != "row")
    for _, line in itertools.groupby(panels, key=lambda panel: panel["gridPos"]["y"]):
        assert sum(panel["gridPos"]["w"] for panel in line) == COLUMNS


def test_dashboards_have_addresses_of_their_own_and_lead_to_each_other() -> None:
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS.values():
        (others,) = dashboard["links"]
        assert set(others["tags"]) <= set(dashboard["tags"])


@pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
def test_every_choice_is_used_by_a_query_and_offers_all(dashboard: dict[str, Any]) -> None:
    source, *choices = dashboard["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    queries = json.dumps([panel.get("targets") for panel in dashboard["panels"]])
    for choice in choices:
        assert f"${choice['name']}" in queries
        assert (choice["includeAll"], choice["allValue"]) == (True, ".*")


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_a_panel_says_what_a_reader_needs(panel: Panel) -> None:
    defaults = panel.spec["fieldConfig"]["defaults"]
    assert panel.spec["description"].endswith((".", "!"))
    assert defaults["unit"]
    assert defaults["noValue"]
    assert panel.spec["datasource"]["uid"] == "${datasource}"
    assert all(legend for _, legend in panel.queries) or panel.spec["type"] == "table"


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_a_panel_names_entries_of_the_runbook_that_exist(panel: Panel) -> None:
    assert set(re.findall(r"Lastnode\w+", panel.spec["description"])) <= ALERTS.keys()


def test_estimates_are_called_so() -> None:
    estimates = [panel for panel in PANELS if any("saved_estimate" in expr for expr in panel.exprs)]
    assert len(estimates) == 2
    for panel in estimates:
        assert "(estimate)" in panel.title
        assert "mean start-up time" in panel.spec["description"]


def test_panels_that_the_runbook_names_exist() -> None:
    runbook = (REPOSITORY / "docs" / "runbook.md").read_text(encoding="utf-8")
    named = re.findall(r"dashboard's\s+\"([^\"]+)\"", runbook)
    assert named
    assert set(named) <= {panel.title for panel in PANELS}


@pytest.mark.parametrize("base", ["", "https://git.example/lastnode/blob/main/"])
def test_the_chart_ships_them_with_links_to_where_the_user_keeps_the_runbook_or_none(base: str) -> None:
    helm = find_tools().helm.path
    rendered = setup(helm, "everything", "--set", f"monitoring.prometheusRule.runbookBase={base}")
    maps = [obj for obj in rendered if (obj["metadata"].get("labels") or {}).get("grafana_dashboard") == "1"]
    shipped = {name: yaml.safe_load(text) for obj in maps for name, text in obj["data"].items()}
    texts = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    expected = {name: json.loads(text) for name, text in texts.items()}
    for panel in (panel for each in expected.values() for panel in each["panels"] if base):
        for alert in re.findall(r"Lastnode\w+", panel.get("description", "")):
            url = f"{base}docs/runbook.md#{alert.lower()}"
            panel["links"] = [{"title": alert, "url": url, "targetBlank": True}]
    assert shipped == expected


def test_the_chart_ships_none_unless_asked() -> None:
    rendered = setup(find_tools().helm.path, "webhook")
    assert not [obj for obj in rendered if "grafana_dashboard" in (obj["metadata"].get("labels") or {})]


def cells(place: dict[str, int]) -> list[tuple[int, int]]:
    """Every (x, y) of the grid that a panel covers."""
    columns, lines = (range(place[at], place[at] + place[size]) for at, size in (("x", "w"), ("y", "h")))
    return list(itertools.product(columns, lines))
