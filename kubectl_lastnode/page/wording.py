"""How the page writes numbers, spans and moments. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

NBSP: Final = "\u00a0"
NOTHING: Final = "–"
_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_NOUNS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def plural(count: int, noun: str) -> str:
    """1 session, 2,000 sessions."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def percent(part: float, whole: float = 1) -> str:
    """A share with one decimal. Only nothing is 0 % and only all is 100 %, however many there are."""
    if not whole:
        return NOTHING
    if part in (0, whole):
        return f"{100 if part else 0}{NBSP}%"
    share = 100 * part / whole
    if share < 0.1:
        return f"<{NBSP}0.1{NBSP}%"
    return f">{NBSP}99.9{NBSP}%" if share > 99.9 else f"{share:.1f}{NBSP}%"


def duration(seconds: float) -> str:
    """A span in its two largest units: 8 s, 4 h 10 min, 3 d 4 h; below ten seconds with a decimal where it has one."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 10:
        return brief(seconds)
    larger = next(i for i, (_, length) in enumerate(_UNITS) if seconds >= length)
    (unit, length), (lesser, grain) = _UNITS[larger], _UNITS[min(larger + 1, len(_UNITS) - 1)]
    whole = round(seconds / grain) * grain
    if whole != seconds:  # 59.6 s are a minute
        return duration(whole)
    count, rest = divmod(whole, length)
    return f"{count}{NBSP}{unit}" + (f" {rest // grain}{NBSP}{lesser}" if rest else "")


def roughly(seconds: float) -> str:
    """An estimated span, in one unit and two digits: 45 s, 1.5 min, 12 h."""
    size = abs(seconds)
    unit, length = next(((unit, length) for unit, length in _UNITS if size >= length), _UNITS[-1])
    count = size / length
    return f"{'−' if seconds < 0 else ''}{count:,.{0 if count >= 9.95 else 1}f}{NBSP}{unit}".replace(f".0{NBSP}", NBSP)


def brief(seconds: float) -> str:
    """A start-up time, in seconds whatever its size, so that a column of them can be compared."""
    return f"{seconds:,.1f}".removesuffix(".0") + f"{NBSP}s"


def every(width: timedelta) -> str:
    """The width of a bucket after "per": hour, 5 minutes."""
    span = width.total_seconds()
    noun, length = next((noun, length) for noun, length in _NOUNS if span % length == 0)
    return noun if span == length else plural(int(span // length), noun)


def moment(when: datetime) -> str:
    """2026-11-24 09:30 UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def visible(text: str) -> str:
    """Text with every character that cannot be seen (control, direction, lone surrogate) written out as \\uXXXX.

    So nothing in a name can hide, or turn the text around it.
    """
    return "".join(c if c.isprintable() or c == NBSP else f"\\u{ord(c):04x}" for c in text)
