"""What the published results of the full size write into docs/: a block of docs/measured.md, and the plots in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.headline import plots, report
from benchmarks.headline.kept import Run

DOC: Final = Path(__file__).parents[2] / "docs" / "measured.md"
PLOTS: Final = DOC.with_suffix("")
BEGIN: Final = "<!-- full size: begin; written by python -m benchmarks.headline, not by hand -->\n"
END: Final = "<!-- full size: end -->\n"


def block(runs: Sequence[Run]) -> str:
    """Tables, and links to the plots; says so where nothing was run."""
    if not runs:
        return "The full size was not run yet.\n"
    images = [f"![{plots.TITLES[name]}]({PLOTS.name}/{name})" for name in plots.files(runs)]
    return "\n\n".join([report.summary(runs), *images]) + "\n"


def with_block(doc: str, runs: Sequence[Run]) -> str:
    """The document with the block between its markers written anew.

    :raises ValueError: it does not have each marker once.
    """
    before, rest = _cut(doc, BEGIN)
    _, after = _cut(rest, END)
    return f"{before}{BEGIN}\n{block(runs)}\n{END}{after}"


def write_doc(runs: Sequence[Run], doc: Path = DOC) -> None:
    doc.write_text(with_block(doc.read_text("utf-8"), runs), "utf-8")


def write_plots(runs: Sequence[Run], folder: Path = PLOTS) -> list[Path]:
    """Answers the files; a plot that is there and has nothing to show any more goes."""
    made = plots.files(runs)
    for old in folder.glob("*.svg"):
        if old.name not in made:
            old.unlink()
    if made:
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (folder / name).write_text(content, "utf-8")
    return [folder / name for name in made]


def _cut(text: str, marker: str) -> tuple[str, str]:
    parts = text.split(marker)
    if len(parts) != 2:
        raise ValueError(f"expected once: {marker.strip()}")
    return parts[0], parts[1]
