"""What all Markdown of the repository has to keep: links that lead somewhere, tables that are the code's, few words."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from testbed.paths import REPOSITORY
from testbed.versions import offered
from tools import tables


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", *patterns], check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return [path for line in listed.stdout.splitlines() if (path := REPOSITORY / line).exists()]


PAGES = tracked("*.md")
TOLD = [path for path in PAGES if path.name != "CHANGELOG.md"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def prose(page: Path) -> str:
    """The text of a page without its code."""
    return re.sub(r"^( *)```.*?^\1 *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What can stand behind # in a link to a page, as GitHub makes it of the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        there = page.parent / path if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            yield target


@each_page
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


@each_page
def test_every_row_of_a_table_fits_its_heading(page: Path) -> None:
    lines = prose(page).splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"[ |:-]*-[ |:-]*", line) and "|" in line:
            columns = len(cells(line))
            assert len(cells(lines[number - 1])) == columns, lines[number - 1]
            for row in lines[number + 1 :]:
                if "|" not in row:
                    break
                assert len(cells(row)) <= columns, row


def cells(row: str) -> list[str]:
    return re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))


def test_every_page_that_the_code_names_exists() -> None:
    for path in tracked("*.py", "*.yaml", "*.json", "*.tpl", "*.txt", "Makefile", "Dockerfile"):
        for name in re.findall(r"\b(?:docs|deploy|scheduler-config|testbed)/[\w/-]*\w\.md\b", path.read_text("utf-8")):
            assert (REPOSITORY / name).exists(), f"{path.relative_to(REPOSITORY)} names {name}"


def test_the_documentation_stays_short() -> None:
    words = {page: len(page.read_text(encoding="utf-8").split()) for page in TOLD}
    assert words[REPOSITORY / "README.md"] <= 800
    assert sum(words.values()) <= 18_000


def rows(page: Path) -> dict[str, list[str]]:
    """The rows of a page's tables by their first cells."""
    found = [[cell.strip() for cell in cells(line)] for line in prose(page).splitlines() if "|" in line]
    return {first: rest for first, *rest in found}


def test_the_figures_that_one_chooses_by_are_the_measured_ones_and_what_follows_from_them() -> None:
    measured = rows(REPOSITORY / "scheduler-config" / "README.md")
    none, *columns = [measured[row] for row in (
        "none: kube-scheduler as it is",
        "`sticky.yaml`, `default-scheduler`",
        "`sticky.yaml`, `sticky-scheduler`",
        "`second-scheduler.yaml`, `lastnode-scheduler`",
    )]  # fmt: skip
    shown = rows(REPOSITORY / "docs" / "choose.md")

    def told(nodes: int, index: int) -> list[str]:
        """A row's cells: below 5,000 nodes measured ones, between 1,000 and 5,000 what follows from both."""
        of_none, *others = [paced(column, index) for column in (none, *columns)]
        shares = (f"{50 - nodes // 125} %", "100 %", "100 %") if index == BETWEEN else [c[index] for c in columns]
        cells = [f"{share}, {n} ({n / of_none:.2f})" for share, n in zip(shares, others, strict=True)]
        return [str(of_none), *cells]

    assert shown["100"] == [*told(100, 0)[:2], "not needed", "not needed"]
    assert shown["1,000"] == told(1000, 1)
    assert shown["3,000, estimated"] == told(3000, BETWEEN)
    assert shown["5,000"] == told(5000, 2)


BETWEEN = -1


def paced(column: list[str], index: int) -> int:
    """Pods a second; between 1,000 and 5,000 nodes by the mean of the times a pod."""
    if index == BETWEEN:
        return round(2 / sum(1 / int(pods) for pods in column[4:6]))
    return int(column[index + 3])


def test_what_ran_on_a_version_is_said_of_every_one_that_is_offered() -> None:
    said = [first.split(" ") for first in rows(REPOSITORY / "CONTRIBUTING.md")]
    assert [version for name, *version in said if name == "Kubernetes"] == [[version] for version in offered()]
    about = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = [line.split(" :: ")[-1] for line in about["classifiers"] if line.startswith("Programming Language")]
    assert [version for name, *version in said if name == "Python"] == [[version] for version in pythons]


def test_the_first_link_of_the_readme_helps_to_choose() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\(([^)]+)\)", readme)[0] == "docs/choose.md"


def test_the_tables_of_the_reference_are_the_codes() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert tables.rewritten(page) == page, "python -m tools.tables"


def test_the_reference_has_every_table_once() -> None:
    assert sorted(tables.named(tables.PAGE.read_text(encoding="utf-8"))) == sorted(tables.TABLES)


def test_the_labels_of_a_metric_are_known_before_it_has_a_series() -> None:
    registry = tables.Catalogue()
    Counter("a", "No series yet.", ["one", "two"], registry=registry)
    Gauge("b", "A closed set.", ["result"], registry=registry).labels("good")
    assert tables.metrics_table(registry).splitlines()[2:] == [
        "`a_total` | counter | one, two | No series yet",
        "`b` | gauge | result (`good`) | A closed set",
    ]
    assert isinstance(registry, CollectorRegistry)


def test_a_table_that_nothing_writes_is_refused() -> None:
    block = "<!-- table weather: begin; written by python -m tools.tables -->\n<!-- table weather: end -->\n"
    with pytest.raises(KeyError, match="weather"):
        tables.rewritten(block)


def test_checking_writes_nothing_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = tables.PAGE.read_text(encoding="utf-8").replace("`node_gone` |", "`node_went` |")
    page = tmp_path / "reference.md"
    page.write_text(stale, encoding="utf-8")
    monkeypatch.setattr(tables, "PAGE", page)
    monkeypatch.setattr(tables, "REPOSITORY", tmp_path)
    with pytest.raises(click.ClickException, match=r"reference.md is behind the code: python -m tools.tables"):
        tables.main.main(["--check"], standalone_mode=False)
    assert page.read_text(encoding="utf-8") == stale
    tables.main.main([], standalone_mode=False)
    assert "`node_gone` |" in page.read_text(encoding="utf-8")
