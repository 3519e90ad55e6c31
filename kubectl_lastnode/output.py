"""How answers look: kubectl's columns and ages, JSON and YAML, colours. Pure, but for the colours of a terminal."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec
import yaml

_GOOD, _MIDDLING, _BAD = "green", "yellow", "red"
_COLOURS = {
    "valid": _GOOD, "reused": _GOOD, "OK": _GOOD,
    "expired": _MIDDLING, "nothing_remembered": _MIDDLING, "node_not_ready": _MIDDLING, "node_cordoned": _MIDDLING,
    "moved": _MIDDLING, "WARN": _MIDDLING,
    "node_gone": _BAD, "node_replaced": _BAD, "FAIL": _BAD,
}  # fmt: skip


def columns(rows: Sequence[Iterable[str]]) -> list[str]:
    """Rows as lines with aligned columns, three spaces between them, as kubectl prints."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def table(rows: Sequence[Iterable[str]], *, headers: bool = True) -> None:
    """Print rows, the first of them the headings; the last column of the others in its colour."""
    heading, *lines = columns(rows)
    if headers:
        click.echo(heading)
    for line in lines:
        body, gap, word = line.rpartition(" ")
        click.echo(f"{body}{gap}{tinted(word)}")


def tinted(word: str) -> str:
    """A status word in its colour; click takes the colour away again where the output is no terminal."""
    colour = _COLOURS.get(word.strip())
    return click.style(word, fg=colour) if colour else word


def wants_colour(environ: Mapping[str, str] = os.environ) -> bool | None:
    """For click's context: False where NO_COLOR (no-color.org) is set and not empty, else as the terminal is."""
    return False if environ.get("NO_COLOR") else None


def document(value: object, form: str) -> str:
    """A struct or builtins as ``json`` or ``yaml``; times in RFC 3339."""
    plain: Any = msgspec.to_builtins(value)
    if form == "json":
        return json.dumps(plain, indent=4, ensure_ascii=False)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True).rstrip()


def age(then: datetime | None, now: datetime) -> str:
    """How long ago, in kubectl's short form: 45s, 12m, 5h, 3d."""
    return "<unknown>" if then is None else short((now - then).total_seconds())


def short(span: float) -> str:
    """Seconds in that form."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if span >= 2 * length:
            return f"{int(span // length)}{unit}"
    return f"{max(0, int(span))}s"


def duration(seconds: float | None) -> str:
    """A measured time: 0.4s, 12.3s, 5m, 2h; ``-`` where there is none. Negative ones keep their sign."""
    if seconds is None:
        return "-"
    sign, size = ("-" if seconds < 0 else ""), abs(seconds)
    return sign + (f"{size:.1f}s" if size < 120 else short(size))


def counted(number: int, noun: str) -> str:
    """``1 session``, ``2 sessions``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def share(ratio: float | None) -> str:
    """A ratio as percentage; ``-`` where there is none."""
    return "-" if ratio is None else f"{ratio:.1%}"
