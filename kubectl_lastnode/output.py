"""How answers look, in a terminal and on the page: columns, numbers, spans and moments, JSON and YAML. Pure.

In a terminal times and shares have kubectl's form (5h, 12.3s), on the page that of a text (4 h 10 min, 12.3 s).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import yaml

from lastnode.contract import CLOCK_TOLERANCE
from lastnode.outcome import WARM, Outcome
from lastnode.reasons import NO_PREFERENCE, Reason

NBSP: Final = "\u00a0"
# More than any sentence of ours; an Event's message may have 1,024, an annotation a quarter of a million.
MOST_CHARACTERS: Final = 2000
_UNITS: Final = (("d", "day", 86400), ("h", "hour", 3600), ("min", "minute", 60), ("s", "second", 1))
# ANSI's red, green and yellow; click takes them away where the output is no terminal. The first that fits counts.
_COLOURS: Final[Mapping[int, Sequence[str]]] = {
    31: (Reason.NODE_GONE, Reason.NODE_REPLACED, "FAIL"),
    32: (Reason.VALID, *WARM, "OK"),
    33: (*NO_PREFERENCE, Outcome.MOVED, "WARN"),
}


def visible(text: str) -> str:
    """Somebody else's text as it may be printed: every character that cannot be seen (control, direction, lone
    surrogate) written out as \\uXXXX, and what is beyond ``MOST_CHARACTERS`` cut off.

    So nothing in a name or a message can hide, turn the text around it, write lines of its own, or tell a terminal what
    to do.
    """
    kept = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
    return "".join(c if c.isprintable() or c == NBSP else f"\\u{ord(c):04x}" for c in kept)


def columns(rows: Sequence[Iterable[str]]) -> list[str]:
    """Rows, of anybody's text, as lines with aligned columns, three spaces between them, as kubectl prints."""
    cells = [list(map(visible, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["   ".join(map(str.ljust, row, widths)).rstrip() for row in cells]


def table(rows: Sequence[Iterable[str]], *, headers: bool = True) -> str:
    """Rows, the first of them the headings; the last column of the others in its colour."""
    heading, *lines = columns(rows)
    parts = (line.rpartition(" ") for line in lines)
    return "\n".join([*([heading] if headers else []), *(f"{body}{gap}{tinted(word)}" for body, gap, word in parts)])


def tinted(word: str) -> str:
    """A status word in its colour, if it has one."""
    colour = next((code for code, words in _COLOURS.items() if word.strip() in words), None)
    return f"\033[{colour}m{word}\033[0m" if colour else word


def document(value: object, form: str) -> str:
    """A struct or builtins as ``json`` or ``yaml``, in ASCII: what could not be seen is escaped; times in RFC 3339."""
    plain: Any = msgspec.to_builtins(value)
    return json.dumps(plain, indent=4) if form == "json" else yaml.safe_dump(plain, sort_keys=False).rstrip()


def plural(count: int, noun: str) -> str:
    """1 session, 2,000 sessions."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some(names: Sequence[str], most: int = 3) -> str:
    """a, b, c and 12 more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def moment(when: datetime) -> str:
    """2026-11-24 09:30 UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age(then: datetime | None, now: datetime) -> str:
    """How long ago, in kubectl's short form: 45s, 12m, 5h, 3d; or "in 3d", ahead by more than clocks differ."""
    if then is None:
        return "<unknown>"
    span = (now - then).total_seconds()
    return f"in {short(-span)}" if then - now > CLOCK_TOLERANCE else short(span)


def short(span: float) -> str:
    """Seconds in that form."""
    for unit, _, length in _UNITS[:3]:
        if span >= 2 * length:
            return f"{int(span // length)}{unit[0]}"
    return f"{max(0, int(span))}s"


def measured(seconds: float | None) -> str:
    """A measured time in a terminal: 0.4s, 12.3s, 5m, 2h; ``-`` where there is none. Negative ones keep their sign."""
    if seconds is None:
        return "-"
    sign, size = ("-" if seconds < 0 else ""), abs(seconds)
    return sign + (f"{size:.1f}s" if size < 120 else short(size))


def share(ratio: float | None) -> str:
    """A ratio as percentage in a terminal; ``-`` where there is none."""
    return "-" if ratio is None else f"{ratio:.1%}"


def percent(part: float, whole: float = 1) -> str:
    """A share on the page. Only nothing is 0 % and only all is 100 %, however many there are."""
    if not whole:
        return "–"
    if part in (0, whole):
        return f"{100 if part else 0}{NBSP}%"
    tenths = 100 * part / whole
    if tenths < 0.1:
        return f"<{NBSP}0.1{NBSP}%"
    return f">{NBSP}99.9{NBSP}%" if tenths > 99.9 else f"{tenths:.1f}{NBSP}%"


def duration(seconds: float) -> str:
    """A span in its two largest units: 8 s, 4 h 10 min, 3 d 4 h; below ten seconds with a decimal where it has one."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 10:
        return brief(seconds)
    larger = next(i for i, (*_, length) in enumerate(_UNITS) if seconds >= length)
    (unit, _, length), (lesser, _, grain) = (*_UNITS, _UNITS[-1])[larger : larger + 2]
    whole = round(seconds / grain) * grain
    if whole != seconds:  # 59.6 s are a minute
        return duration(whole)
    count, rest = divmod(whole, length)
    return f"{count}{NBSP}{unit}" + (f" {rest // grain}{NBSP}{lesser}" if rest else "")


def roughly(seconds: float) -> str:
    """An estimated span, in one unit and two digits: 45 s, 1.5 min, 12 h."""
    size = abs(seconds)
    unit, length = next(((unit, length) for unit, _, length in _UNITS if size >= length), ("s", 1))
    count = size / length
    return f"{'−' if seconds < 0 else ''}{count:,.{0 if count >= 9.95 else 1}f}{NBSP}{unit}".replace(f".0{NBSP}", NBSP)


def brief(seconds: float) -> str:
    """A start-up time, in seconds whatever its size, so that a column of them can be compared."""
    return f"{seconds:,.1f}".removesuffix(".0") + f"{NBSP}s"


def every(width: timedelta) -> str:
    """The width of a bucket after "per": hour, 5 minutes."""
    span = width.total_seconds()
    noun, length = next((noun, length) for _, noun, length in _UNITS if span % length == 0)
    return noun if span == length else plural(int(span // length), noun)
