"""Ages, durations and columns, as kubectl prints them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubectl_lastnode.commands import doctor, explain
from kubectl_lastnode.doctor import Finding, Level
from kubectl_lastnode.explanation import Explanation, Source
from kubectl_lastnode.output import MOST_CHARACTERS, age, columns, document, measured, tinted, visible
from lastnode.outcome import RETURNING
from lastnode.reasons import NO_PREFERENCE

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172800, "2d"),
        (-5, "0s"),
        (-300, "0s"),
        (-301, "in 5m"),
    ],
)
def test_ages_are_in_kubectls_short_form(seconds: int, text: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == text


def test_an_unknown_age_is_said() -> None:
    assert age(None, NOW) == "<unknown>"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.44, "0.4s"), (119.0, "119.0s"), (300.0, "5m"), (-3.0, "-3.0s")]
)
def test_measured_times_keep_what_matters(seconds: float | None, text: str) -> None:
    assert measured(seconds) == text


def test_columns_are_aligned_without_trailing_blanks() -> None:
    assert columns([["A", "B"], ["long", "x"]]) == ["A      B", "long   x"]


def test_every_reason_against_an_entry_and_every_return_has_its_colour() -> None:
    assert [word for word in (*NO_PREFERENCE, *RETURNING, *Level) if tinted(word) == word] == []


# What a terminal could take for an order, what turns the text around it, and what begins a line of its own.
HOSTILE = st.text(st.sampled_from("a \x1b\x9b[2J\n\r\t\x00\u202e\u2066\u200b\u2028\x7f\ud800\U000e0001"), min_size=1)


def is_harmless(text: str) -> bool:
    return text.isprintable()


@given(HOSTILE)
def test_nothing_of_somebody_elses_text_reaches_the_terminal_as_it_is(text: str) -> None:
    assert is_harmless(visible(text))
    assert all(map(is_harmless, columns([["HEAD", "B"], [text, "x"]])))
    finding = doctor.line(Finding("check", Level.OK, text, text))
    assert is_harmless(finding.replace("\033[32m", "").replace("\033[0m", ""))
    said = Explanation(
        namespace=text, pod=text, pod_uid=text, exists=True, workload=text, kind=text, source=Source.EVENT,
        last_node=text, asked=text, node=text, outcome=text, reason=text, meaning=text, notes=[text],
    )  # fmt: skip
    assert all(map(is_harmless, explain.lines(said, NOW)))


@given(HOSTILE)
def test_data_keeps_it_and_shows_nothing_of_it(text: str) -> None:
    written = {form: document({"name": text}, form) for form in ("json", "yaml")}
    assert all(is_harmless(line) for one in written.values() for line in one.split("\n"))
    assert json.loads(written["json"]) == {"name": text}
    if "\ud800" not in text:  # which YAML cannot say
        assert yaml.safe_load(written["yaml"]) == {"name": text}


def test_a_text_without_end_is_cut() -> None:
    assert len(visible("x" * 1_000_000)) == MOST_CHARACTERS + 1
    assert len(columns([["y" * 1_000_000]])[0]) == MOST_CHARACTERS + 1
