"""Ages, durations and columns, as kubectl prints them."""

from datetime import UTC, datetime, timedelta

import pytest

from kubectl_lastnode.output import age, columns, measured

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172800, "2d"), (-5, "0s")],
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
