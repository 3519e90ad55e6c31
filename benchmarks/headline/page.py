"""What the published results of the full size write into docs/: a block of docs/measured.md, and the plots in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.headline import plots, report
from benchmarks.headline.kept import Run

Worlds = Mapping[str, Sequence[Run]]

DOC: Final = Path(__file__).parents[2] / "docs" / "measured.md"
PLOTS: Final = DOC.with_suffix("")
BEGIN: Final = "<!-- full size: begin; written by python -m benchmarks.headline, not by hand -->\n"
END: Final = "<!-- full size: end -->\n"


def block(worlds: Worlds) -> str:
    """Of each world the table and links to its plots; says so where nothing was run."""
    if not any(worlds.values()):
        return "The full size was not run yet.\n"
    parts = []
    for world, runs in worlds.items():
        if runs:
            names = plots.files(runs)
            parts += [report.summary(runs), *(_image(f"{world}-{name}", plots.TITLES[name]) for name in names)]
    return "\n\n".join(parts) + "\n"


def with_block(doc: str, worlds: Worlds) -> str:
    """The document with the block between its markers written anew.

    :raises ValueError: it does not have each marker once.
    """
    before, rest = _cut(doc, BEGIN)
    _, after = _cut(rest, END)
    return f"{before}{BEGIN}\n{block(worlds)}\n{END}{after}"


def write_doc(worlds: Worlds, doc: Path = DOC) -> None:
    doc.write_text(with_block(doc.read_text("utf-8"), worlds), "utf-8")


def drawn(worlds: Worlds) -> dict[str, str]:
    """File name -> content, of every plot."""
    return {f"{world}-{name}": plot for world, runs in worlds.items() for name, plot in plots.files(runs).items()}


def write_plots(worlds: Worlds, folder: Path = PLOTS) -> list[Path]:
    """Answers the files; a plot that is there and has nothing to show any more goes."""
    made = drawn(worlds)
    for old in folder.glob("*.svg"):
        if old.name not in made:
            old.unlink()
    if made:
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in made.items():
        (folder / name).write_text(content, "utf-8")
    return [folder / name for name in made]


def _image(name: str, title: str) -> str:
    return f"![{title}]({PLOTS.name}/{name})"


def _cut(text: str, marker: str) -> tuple[str, str]:
    parts = text.split(marker)
    if len(parts) != 2:
        raise ValueError(f"expected once: {marker.strip()}")
    return parts[0], parts[1]
