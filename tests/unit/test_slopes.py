"""What the page about large clusters says of what was measured."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.slopes import page

SIZES = (1000, 5000, 20_000, 100_000)


def test_the_page_and_its_plot_are_those_of_the_published_results() -> None:
    results, doc = page.published(), page.DOC.read_text("utf-8")
    assert page.with_block(doc, results) == doc, "python -m benchmarks.slopes"
    assert page.PLOT.read_text("utf-8") == page.plot(results.series), "python -m benchmarks.slopes"


def test_everything_that_grows_was_measured_at_four_sizes() -> None:
    for row in page.rows(page.published().series):
        assert len(row.points) == 4, row.what
        assert max(row.points) > min(row.points) > 0, row.what


@given(st.floats(0.01, 1000), st.floats(0, 1000))
def test_what_lies_on_a_line_is_foretold(slope: float, base: float) -> None:
    points = {size: base + slope * size for size in SIZES}
    assert page.foretold(points) == pytest.approx(0, abs=1e-6)
    assert page.line(points).at(1_000_000) == pytest.approx(base + slope * 1_000_000, rel=1e-6)


def test_what_grows_faster_than_a_line_is_foretold_too_low() -> None:
    assert page.foretold({size: float(size) ** 2 for size in SIZES}) < -0.5


def test_the_plot_shows_every_measured_point_in_both_colour_schemes() -> None:
    results = page.published()
    drawing = ElementTree.fromstring(page.plot(results.series))
    svg = "{http://www.w3.org/2000/svg}"
    lines = drawing.findall(f"{svg}g/{svg}g")
    assert [len(line.findall(f"{svg}circle")) for line in lines] == [5] * 6  # four, and one of the key
    assert "prefers-color-scheme: dark" in next(drawing.itertext())
