"""The time saved is one estimate: command line, page and recording rule say the same of the same sessions."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from kubectl_lastnode import output
from kubectl_lastnode.commands.report import time_saved
from kubectl_lastnode.page import page
from kubectl_lastnode.summary import summarise
from lastnode.outcome import Outcome, SessionRecord
from lastnode.reasons import Reason
from recorder.metrics import SessionMetrics
from tests.kubectl.journal import moved, older, record, reused
from tests.kubectl.sessions import NOW
from tests.monitoring.test_rules import RULES_FILE, run

SINCE = NOW - timedelta(hours=1)
SAVED = "kind:lastnode_session_startup_seconds:saved_estimate_rate1h"


def several(count: int, kind: str, outcome: Outcome, took: float) -> list[SessionRecord]:
    """Sessions of a kind that were Ready, each after so many seconds."""
    makes = {Outcome.REUSED: reused, Outcome.OLDER: older}.get(outcome, record)
    if outcome is Outcome.MOVED:
        return [moved(f"{kind}-{n}", Reason.NO_ROOM, ready=NOW, took=took, kind=kind) for n in range(count)]
    return [makes(f"{kind}-{n}", ready=NOW, took=took, kind=kind) for n in range(count)]


STRAYING = [*several(20, "Straying", Outcome.REUSED, 2), *several(10, "Straying", Outcome.OLDER, 5),
            *several(6, "Straying", Outcome.MOVED, 13), *several(5, "Straying", Outcome.FIRST, 99)]  # fmt: skip
PERFECT = [*several(30, "Perfect", Outcome.REUSED, 1), *several(3, "Perfect", Outcome.FIRST, 21)]
INCOMPARABLE = several(7, "Incomparable", Outcome.REUSED, 1)
SLOWER = [*several(2, "Slower", Outcome.REUSED, 9), *several(1, "Slower", Outcome.MOVED, 4)]

THREE = "3 first ones, as none of their kind moved"
# Sessions -> kind -> (seconds saved, compared with which ones), and how the counted ones are named.
CASES = {
    "moved": (STRAYING, {"Straying": (300, "moved")}, "30 of 30 sessions", "6 that moved"),
    "always back": (PERFECT, {"Perfect": (600, "first")}, "30 of 30 sessions", THREE),
    "both": ([*STRAYING, *PERFECT], {"Straying": (300, "moved"), "Perfect": (600, "first")}, "60 of 60 sessions",
             f"6 that moved and {THREE}"),
    "some": ([*PERFECT, *INCOMPARABLE], {"Perfect": (600, "first")}, "30 of 37 sessions",
             THREE),
    "slower": (SLOWER, {"Slower": (-10, "moved")}, "2 of 2 sessions", "1 that moved"),
    "none": (INCOMPARABLE, {}, "", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_command_line_page_and_rule_agree_on_the_time_saved(case: str, promtool: Path, tmp_path: Path) -> None:
    sessions, by_kind, counted, against = CASES[case]
    total = sum(seconds for seconds, _ in by_kind.values())
    line = time_saved(summarise(sessions, since=SINCE, complete_since=SINCE, until=NOW))
    tile = text_of(page(sessions, title="Sessions", now=NOW, since=SINCE)).partition("time saved (estimate) ")[2]
    if by_kind:
        told = f"{output.measured(total)} of waiting, in {counted} that came back, compared with {against}."
        assert line == f"Time saved (an estimate): {told}"
        assert tile.startswith(f"≈ {output.roughly(total)} {counted} that came back, each ".replace("\u00a0", " "))
        assert f" than {against}" in tile
    else:
        assert line.startswith("Time saved: no estimate")
        assert tile.startswith("– needs ")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(promtool_test(sessions, by_kind)), encoding="utf-8")
    assert "SUCCESS" in run(promtool, "test", "rules", file)


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).replace("\u00a0", " ").split())


def promtool_test(sessions: list[SessionRecord], by_kind: dict[str, tuple[int, str]]) -> dict[str, object]:
    """Of what a recorder's counters show which saw these sessions within an hour, evenly."""
    registry = CollectorRegistry()
    metrics = SessionMetrics(registry)
    for session in sessions:
        metrics.session(session)
    samples = [sample for metric in registry.collect() for sample in metric.samples if sample.labels]
    series = [{"series": each.name + labels(each.labels), "values": f"0+{each.value / 60}x120"} for each in samples]
    expected = [
        {"labels": labels({"kind": kind, "compared_with": those}), "value": seconds}
        for kind, (seconds, those) in by_kind.items()
    ]
    asked = {"expr": f"round({SAVED} * 3600, 0.001)", "eval_time": "90m", "exp_samples": expected}
    return {
        "rule_files": [str(RULES_FILE)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}],
    }


def labels(values: dict[str, str]) -> str:
    """As PromQL writes them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in values.items()) + "}"
