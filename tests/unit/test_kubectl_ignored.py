"""What annotations say that the programs pass over. Pure."""

import json

import pytest

from kubectl_lastnode.ignored import ignored
from lastnode.contract import MAX_RECENT_NODES_BYTES, STICKINESS, STICKINESS_ENABLED
from lastnode.kinds import BUILT_IN

SANDBOX = BUILT_IN[-1]
ENTRY = {"node": "a", "readyAt": "2026-11-24T12:00:00Z"}


def told(name: str, text: str, *, sticky: bool = True) -> bool:
    """Whether it is said that this is not heeded, and under its name."""
    found = ignored(SANDBOX, {f"lastnode.dev/{name}": text, "else": "nonsense"}, sticky=sticky)
    return [line.startswith(f"lastnode.dev/{name} is ") for line in found] == [True]


@pytest.mark.parametrize("text", ["true", "Enabled", "enabled ", "yes", "x" * 1000])
def test_an_opt_in_by_another_word_is_told(text: str) -> None:
    assert told(STICKINESS, text, sticky=False)


@pytest.mark.parametrize("text", ["", "disabled", "false", STICKINESS_ENABLED])
def test_who_means_to_be_out_is_not_bothered(text: str) -> None:
    assert not told(STICKINESS, text, sticky=False)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("last-node", ["a.b", ""], ["A_", "[]", "a" * 254]),
        ("recent-nodes", ["[]", " [ ]", json.dumps([ENTRY, 1]), ""],
         ["not json", "[[[", "{}", "[1]", json.dumps([ENTRY]) + " " * MAX_RECENT_NODES_BYTES]),
        ("older-weight", ["0", "100"], ["101", "-1", "lots"]),
        ("cache-group", ["images"], ["a b", "x" * 64]),
    ],
)  # fmt: skip
def test_what_counts_is_silent_and_all_else_is_told(name: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if told(name, text)] == []
    assert [text for text in bad if not told(name, text)] == []
