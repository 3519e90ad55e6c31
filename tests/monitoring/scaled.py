"""The shipped rules, quicker: the same expressions and thresholds, with every time in them divided. Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any, Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = r"(\d+)(ms|s|m|h|d)"
# Seconds that are compared with, written as plain numbers. Thresholds of answers' times are no such: what is slow for
# whoever waits stays slow.
_CONSTANTS: Final = (
    r"(lastnode_watch_age_seconds > )(\d+)", r"(_silence_seconds\) > )(\d+)", r"(- time\(\) < 7 \* )(\d+)"
)  # fmt: skip


def scaled(rules: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A rule file's document in which ``for``, ranges and compared times are divided by ``factor``."""
    document = copy.deepcopy(dict(rules))
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = expression(rule["expr"], factor)
            if "for" in rule:
                rule["for"] = duration(rule["for"], factor)
    return document


def expression(expr: str, factor: float) -> str:
    """PromQL with its ranges (``[5m]``) and the compared times divided; names such as ``rate5m`` stay."""
    expr = re.sub(rf"\[{_DURATION}\]", lambda found: f"[{duration(found[0][1:-1], factor)}]", expr)
    for constant in _CONSTANTS:
        expr = re.sub(constant, lambda found: f"{found[1]}{float(found[2]) / factor:g}", expr)
    return expr


def duration(text: str, factor: float) -> str:
    """``duration("5m", 60)`` is ``"5000ms"``. Raises ValueError for what is no duration of one unit."""
    found = re.fullmatch(_DURATION, text)
    if found is None:
        raise ValueError(f"not a duration: {text!r}")
    seconds = int(found[1]) * _UNITS[found[2]] / factor
    return f"{max(1, round(seconds * 1000))}ms"
