"""What a check says."""

from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from lastnode.kube.errors import KubeError


class Level(StrEnum):
    """OK; WARN: it costs something, or cannot be known; FAIL: sessions do not come back, or others suffer."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """``check``: which one, in a word; ``text``: what was found; ``remedy``: what to do, if anything."""

    check: str
    level: Level
    text: str
    remedy: str = ""


def ok(check: str, text: str) -> Finding:
    return Finding(check, Level.OK, text)


def warn(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Level.WARN, text, remedy)


def fail(check: str, text: str, remedy: str) -> Finding:
    return Finding(check, Level.FAIL, text, remedy)


def guarded(check: str, findings: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of one check, and one more where the API server did not answer in the middle of it."""
    try:
        yield from findings()
    except KubeError as error:
        yield warn(check, f"cannot know: {error}", "Ask somebody who may read this to run doctor.")
