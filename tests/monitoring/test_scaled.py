"""Rules made quicker for the tests of alerts are the shipped ones in everything but their times."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.monitoring.scaled import duration, expression, scaled
from tests.monitoring.test_rules import RULES, RULES_FILE, run

SHIPPED = yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "factor", "expected"),
    [("5m", 60, "5000ms"), ("1h", 120, "30000ms"), ("1d", 86400, "1000ms"), ("15m", 120, "7500ms"), ("1s", 1e6, "1ms")],
)
def test_durations_are_divided(text: str, factor: float, expected: str) -> None:
    assert duration(text, factor) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1h30m", "5y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(text, 2)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("rate(x[5m])", "rate(x[5000ms])"),
        ("verb:x:rate5m > 0.1", "verb:x:rate5m > 0.1"),
        ("increase(a[15m]) / increase(b[1h]) >= 20", "increase(a[15000ms]) / increase(b[60000ms]) >= 20"),
        ("lastnode_watch_age_seconds > 180 < +Inf", "lastnode_watch_age_seconds > 3 < +Inf"),
        ("max(lastnode_scheduler_silence_seconds) > 120", "max(lastnode_scheduler_silence_seconds) > 2"),
        ("min(y > 0) - time() < 7 * 86400", "min(y > 0) - time() < 7 * 1440"),
        ('verb:p99_5m{verb="prioritize"} > 0.15', 'verb:p99_5m{verb="prioritize"} > 0.15'),
    ],
)
def test_times_in_expressions_are_divided_and_nothing_else(expr: str, expected: str) -> None:
    assert expression(expr, 60) == expected


def test_with_a_factor_of_one_only_the_spelling_changes() -> None:
    def spelt(rules: object) -> str:
        return re.sub(r"\b(\d+)([smhd])\b", lambda found: duration(found[0], 1), str(rules))

    assert str(scaled(SHIPPED, 1)) == spelt(SHIPPED)


def test_every_compared_time_of_the_shipped_rules_is_divided() -> None:
    before = [rule["expr"] for rule in RULES]
    assert sum(expression(expr, 7) != re.sub(r"\[\w+\]", lambda found: f"[{duration(found[0][1:-1], 7)}]", expr)
               for expr in before) == 3  # fmt: skip


def test_promtool_takes_the_quicker_rules(promtool: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(scaled(SHIPPED, 120)), encoding="utf-8")
    assert "SUCCESS" in run(promtool, "check", "rules", path)
