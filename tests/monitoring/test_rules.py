"""The rules as files: what promtool says of them, and that runbook, tests and chart know every alert."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from testbed.binaries import find_tools
from testbed.paths import REPOSITORY
from tools.render import CHART, setup

RULES_FILE = CHART / "files" / "rules" / "lastnode.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDS = {rule["record"] for rule in RULES if "record" in rule}
TEST_FILES = sorted(Path(__file__).with_name("rules").glob("*.yaml"))
RUNBOOK = (REPOSITORY / "docs" / "runbook.md").read_text(encoding="utf-8")
CASES: list[dict[str, Any]] = [
    case for path in TEST_FILES for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
]


def run(promtool: Path, *arguments: str | Path) -> str:
    done = subprocess.run([promtool, *arguments], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_has_nothing_to_say_about_the_rules(promtool: Path) -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in run(promtool, "check", "rules", "--lint-fatal", RULES_FILE)


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_alerts_fire_and_stop_as_their_tests_say(promtool: Path, path: Path) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", path)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_where_it_fires_and_where_it_does_not(alert: str) -> None:
    tests = [test for case in CASES for test in case.get("alert_rule_test", []) if test["alertname"] == alert]
    assert {bool(test["exp_alerts"]) for test in tests} == {True, False}


def test_every_recording_rule_is_tested() -> None:
    asked = " ".join(test["expr"] for case in CASES for test in case.get("promql_expr_test", []))
    through_an_alert = {
        "kind_outcome:lastnode_session_startup_seconds:mean1h",  # in the estimate
        "verb:lastnode_extender_duration_seconds:p99_5m",
        "verb:lastnode_extender_session_requests:increase15m",
        "verb:lastnode_extender_failures:increase15m",
    }
    assert {name for name in RECORDS if name not in asked} == through_an_alert


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_whoever_gets_it_needs(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert rule["annotations"].keys() == {"summary", "description"}
    assert all(text.strip() and "\n" not in text.strip() for text in rule["annotations"].values())


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    assert re.findall(r"^## (.*)$", RUNBOOK, re.MULTILINE) == list(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_entry_says_what_it_means_what_users_notice_where_to_look_and_what_to_do(alert: str) -> None:
    entry = RUNBOOK.partition(f"\n## {alert}\n")[2].partition("\n## ")[0]
    said = re.findall(r"^\*\*(Means|Users notice|Look|Do)\*\*[.,]|^\*\*(Means|Users notice|Look|Do)\.\*\*", entry, re.M)
    assert [one or other for one, other in said] == ["Means", "Users notice", "Look", "Do"]


@pytest.mark.parametrize("base", ["", "https://git.example/lastnode/blob/main/"])
def test_the_charts_alerts_link_to_where_the_user_keeps_the_runbook_or_nowhere(base: str) -> None:
    helm = find_tools().helm.path
    rendered = setup(helm, "everything", "--set", f"monitoring.prometheusRule.runbookBase={base}")
    (shipped,) = (obj for obj in rendered if obj["kind"] == "PrometheusRule")
    expected = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))
    for rule in (rule for group in expected["groups"] for rule in group["rules"] if base and "alert" in rule):
        rule["annotations"]["runbook_url"] = f"{base}docs/runbook.md#{rule['alert'].lower()}"
    assert shipped["spec"] == expected
