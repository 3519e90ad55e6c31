"""What a pod's annotations ask of its kubelet: pure, from text to numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.agent import names


class ScriptError(ValueError):
    """An annotation of ours that cannot be followed; one line that names it."""


@dataclass(frozen=True, slots=True)
class Script:
    """Seconds of the model and bytes; None: as the model has it. ``fail``: "", "pull" or "start"."""

    ready_after: float | None = None
    fail: str = ""
    crash_after: float | None = None
    unready_after: float | None = None
    image_size: int | None = None


PLAIN = Script()


def parse(annotations: Mapping[str, str]) -> Script:
    """The script of a pod with these annotations; others' are ignored.

    :raises ScriptError: a value of the wrong form, or an annotation under our prefix that does not exist.
    """
    if not annotations:
        return PLAIN
    unknown = sorted(key for key in annotations if key.startswith(names.PREFIX) and key not in _KNOWN)
    if unknown:
        raise ScriptError(f"unknown annotation {unknown[0]}")
    fail = annotations.get(names.FAIL, "")
    if fail not in ("", "pull", "start"):
        raise ScriptError(f"{names.FAIL}: {fail!r} is neither 'pull' nor 'start'")
    size = _number(annotations, names.IMAGE_SIZE)
    return Script(
        ready_after=_number(annotations, names.READY_AFTER),
        fail=fail,
        crash_after=_number(annotations, names.CRASH_AFTER),
        unready_after=_number(annotations, names.UNREADY_AFTER),
        image_size=None if size is None else int(size),
    )


def _number(annotations: Mapping[str, str], key: str) -> float | None:
    text = annotations.get(key)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise ScriptError(f"{key}: {text!r} is not a number of at least 0")
    return value


_KNOWN = {names.READY_AFTER, names.FAIL, names.CRASH_AFTER, names.UNREADY_AFTER, names.IMAGE_SIZE}
