"""Whether an installation fits together: one finding a check, with what to do about it.

``facts`` is what the checks look at; every other module is one subject of checks, ``kubectl_lastnode.commands.doctor``
their order. A check that is refused an answer says that it cannot know, and the others go on.
"""

from collections.abc import Iterator
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


def ok(text: str) -> Finding:
    return Finding("", Level.OK, text)


def warn(text: str, remedy: str, check: str = "") -> Finding:
    return Finding(check, Level.WARN, text, remedy)


def fail(text: str, remedy: str) -> Finding:
    return Finding("", Level.FAIL, text, remedy)


def named(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings of one check under its name, and one more where the API server did not answer in the middle."""
    try:
        for found in findings:
            yield msgspec.structs.replace(found, check=found.check or check)
    except KubeError as error:
        yield warn(f"cannot know: {error}", "Ask somebody who may read this to run doctor.", check)
