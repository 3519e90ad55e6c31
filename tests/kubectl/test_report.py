"""`kubectl lastnode report` from recorders' journals on the wire."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from lastnode.reasons import Reason
from testbed.stack import Stack
from tests.kubectl.journal import journal, moved, older, record, reused, served
from tests.kubectl.terminal import parsed, run

NOW = datetime.now(UTC).replace(microsecond=0)
LONG_AGO, LATELY = NOW - timedelta(hours=3), NOW - timedelta(minutes=10)
TEAM = "team-a"
MOST = ["MOVED-MOST", "MOVED", "OF-RETURNING", "REUSE"]


@pytest.fixture(scope="module")
def urls() -> Iterator[str]:
    """Two recorders: the second took over, and both counted one session; the first knows less of it."""
    twice = moved("both", Reason.NO_ROOM, ready=LATELY, took=12)
    first = [record("f", ready=LONG_AGO), reused("r1", ready=LONG_AGO, took=1),
             moved("both", Reason.UNKNOWN, ready=LATELY, took=12, asked="")]  # fmt: skip
    second = [twice, older("r2", ready=LATELY, took=3, namespace=TEAM),
              moved("m", Reason.TAINTED, ready=LATELY, took=8, namespace=TEAM),
              record("c", ready=LATELY, kind="CodeInterpreter")]  # fmt: skip
    with ExitStack() as stack:
        ports = [
            stack.enter_context(served(journal(*first, since=NOW - timedelta(hours=4), dropped=7))),
            stack.enter_context(served(journal(*second, since=NOW - timedelta(hours=1), replica="r-2"))),
        ]
        yield ",".join(f"http://127.0.0.1:{port}" for port in ports)


def report(stack: Stack, urls: str, *words: str) -> Any:
    return parsed(stack.cp.kubeconfig, "report", "--recorder-url", urls, *words)


def test_reuse_is_counted_once_a_session_over_all_replicas(stack: Stack, urls: str) -> None:
    found = report(stack, urls)
    told = ("sessions", "first", "group", "reused", "older", "moved", "reuseRatio")
    assert {key: found["total"][key] for key in told} == {
        "sessions": 6, "first": 2, "group": 0, "reused": 1, "older": 1, "moved": 2, "reuseRatio": 0.5,
    }  # fmt: skip
    assert [each["name"] for each in found["byKind"]] == ["AgentRuntime", "CodeInterpreter"]
    assert {each["name"]: each["moved"] for each in found["byReason"]} == {"no_room": 1, "tainted": 1}
    assert {each["name"]: each["reuseRatio"] for each in found["byNamespace"]} == {"default": 0.5, TEAM: 0.5}


def test_start_up_times_are_told_by_outcome_and_the_time_saved_is_an_estimate(stack: Stack, urls: str) -> None:
    found = report(stack, urls)
    times = {each["name"]: each["startupSeconds"] for each in found["byOutcome"]}
    assert times["older"] == {"count": 1, "mean": 3.0, "p50": 3.0, "p95": 3.0}
    assert times["moved"] == {"count": 2, "mean": 10.0, "p50": 8.0, "p95": 12.0}
    assert found["savedEstimate"] == {"seconds": 2 * (10.0 - 2.0), "sessions": 2, "moved": 2, "first": 0}


def test_it_says_how_far_back_the_data_goes_and_what_is_missing(stack: Stack, urls: str) -> None:
    found = report(stack, urls)
    assert found["dropped"] == 7
    assert datetime.fromisoformat(found["since"]) == NOW - timedelta(hours=4)
    assert datetime.fromisoformat(found["completeSince"]) == NOW - timedelta(hours=1)
    first = run(stack.cp.kubeconfig, "report", "--recorder-url", urls).stdout.splitlines()[0]
    assert first.startswith("6 sessions since ")
    assert "complete from" in first
    assert "7 older ones are not kept any more" in first


def test_since_and_namespace_narrow_it(stack: Stack, urls: str) -> None:
    assert report(stack, urls, "--since", "1h")["total"]["sessions"] == 4
    assert report(stack, urls, "-n", TEAM)["total"]["sessions"] == 2
    empty = run(stack.cp.kubeconfig, "report", "--recorder-url", urls, "-n", "nobody-s")
    assert (empty.returncode, empty.stderr) == (0, "No session became Ready in this time.\n")


def test_the_table_is_for_people(stack: Stack, urls: str) -> None:
    text = run(stack.cp.kubeconfig, "report", "--recorder-url", urls).stdout
    rows = [line.split() for line in text.splitlines()]
    assert ["KIND", "SESSIONS", "FIRST", "GROUP", "REUSED", "OLDER", "MOVED", "REUSE"] in rows
    assert ["AgentRuntime", "5", "1", "0", "1", "1", "2", "50.0%"] in rows
    assert ["<all>", "6", "2", "0", "1", "1", "2", "50.0%"] in rows
    assert ["AgentRuntime", f"{TEAM}/agent", "1", "2", "50.0%"] in rows[rows.index(MOST) :]
    assert ["reused", "1", "1.0s", "1.0s", "1.0s"] in rows
    assert "tainted         1          50.0%   the node has a taint that the pod does not tolerate" in text
    counted = "2 of 2 sessions that came back, compared with 2 that moved"
    assert text.endswith(f"Time saved (an estimate): 16.0s of waiting, in {counted}.\n")


def test_csv_and_yaml_hold_the_same_numbers(stack: Stack, urls: str) -> None:
    words = ("report", "--recorder-url", urls, "-o")
    rows = list(csv.DictReader(io.StringIO(run(stack.cp.kubeconfig, *words, "csv").stdout)))
    assert (rows[0]["by"], rows[0]["sessions"], rows[0]["reuse_ratio"]) == ("total", "6", "0.5")
    assert {row["name"] for row in rows if row["by"] == "reason"} == {"no_room", "tainted"}
    told = yaml.safe_load(run(stack.cp.kubeconfig, *words, "yaml").stdout)
    assert told["byKind"] == report(stack, urls)["byKind"]


def test_a_recorder_that_does_not_answer_is_said_and_the_others_are_shown(stack: Stack, urls: str) -> None:
    with served(None) as port:
        more = f"{urls},http://127.0.0.1:1,http://127.0.0.1:{port}"
        done = run(stack.cp.kubeconfig, "report", "--recorder-url", more)
    assert done.returncode == 0
    refused, older = done.stderr.splitlines()
    assert refused.startswith("warning: recorder http://127.0.0.1:1 does not answer: ")
    assert "has no /sessions: an older version" in older
    assert done.stdout.startswith("6 sessions since ")


def test_names_in_a_journal_order_the_terminal_nothing(stack: Stack, tmp_path: Path) -> None:
    evil = "team\x1b]0;title\x07\x9b2J\u202e"
    file = tmp_path / "page.html"
    with served(journal(record("p", ready=LATELY, namespace=evil, kind=evil), since=LONG_AGO)) as port:
        words = ("report", "--recorder-url", f"http://127.0.0.1:{port}")
        forms = [run(stack.cp.kubeconfig, *words, *form).stdout for form in ((), ("-o", "csv"), ("-o", "json"))]
        run(stack.cp.kubeconfig, *words, "--html", str(file))
    for text in (*forms, file.read_text(encoding="utf-8")):
        assert "u001b]0;title" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_repeated_options_and_the_environment_name_recorders_too(stack: Stack, urls: str) -> None:
    one, two = urls.split(",")
    assert parsed(stack.cp.kubeconfig, "report", "--recorder", one, "--recorder", two)["total"]["sessions"] == 6
    done = run(stack.cp.kubeconfig, "report", env={"LASTNODE_RECORDER_URL": urls})
    assert done.stdout.startswith("6 sessions since ")


def test_no_recorder_at_all_is_said_with_exit_code_1(stack: Stack) -> None:
    nowhere = run(stack.cp.kubeconfig, "report", "--recorder-url", "http://127.0.0.1:1")
    assert (nowhere.returncode, nowhere.stderr.splitlines()[-1]) == (1, "error: no recorder's journal could be read")
    none = run(stack.cp.kubeconfig, "report")
    assert none.returncode == 1
    assert none.stderr.startswith("error: no recorder's pod found in namespace lastnode-system; elsewhere? ")
    assert none.stderr.rstrip().endswith("--recorder-url")


def test_a_wrong_call_has_exit_code_2(stack: Stack) -> None:
    assert run(stack.cp.kubeconfig, "report", "--since", "yesterday").returncode == 2
    assert run(stack.cp.kubeconfig, "report", "-o", "xml").returncode == 2


def test_a_page_for_a_browser_is_written_to_a_file(stack: Stack, urls: str, tmp_path: Path) -> None:
    file = tmp_path / "reuse.html"
    done = run(stack.cp.kubeconfig, "report", "--recorder-url", urls, "--html", str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}: 6 sessions\n"), done.stderr
    assert file.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")
    nowhere = run(stack.cp.kubeconfig, "report", "--recorder-url", urls, "--html", str(tmp_path / "missing" / "x"))
    assert nowhere.returncode == 1
    assert nowhere.stderr.endswith("cannot be written: No such file or directory\n")
