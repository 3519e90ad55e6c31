"""A coverage-guided fuzz target: ``python -m tests.fuzz.fuzz_bytes [libFuzzer's options] [corpus directories]``.

The first byte of an input says what the rest is: the body of a prioritize request; changes to be made to a golden one
(JSON is decoded in C, where no coverage leads the way, so most changed bytes would only be bad JSON); the two texts
that a workload's annotations hold; or changes to a story that watches and lists tell to both programs.
Requests go through the WSGI app. An exception, an answer that is not 200 with a
valid list, or a request counted as a fault of ours ends the run, and libFuzzer writes the input down.
Needs atheris, which there is for Linux only.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["extender", "lastnode", "recorder"]):
    from prometheus_client import CollectorRegistry

    from extender.http import create_app
    from extender.waiting import Patience
    from lastnode.contract import AGENTCUBE_PREFIX, MOST_RECENT_NODES, is_hostname_value, is_node_name
    from lastnode.memory import merge, parse, parse_text, render
    from tests.extender.golden import NODES, WANTED, known, load
    from tests.extender.golden.edits import FIELDS, parent, places
    from tests.fuzz.story import STORY
    from tests.fuzz.wild import DATES, NUMBERS, TEXTS
    from tests.fuzz.world import World, now

T = TypeVar("T")

BODY, CHANGES, ANNOTATIONS, TOLD = b"B", b"C", b"A", b"T"
MAX_CHANGES = 6
MAX_MORE = 4  # events than the story has
NAMES = [WANTED, *NODES, "golden", "w", "a", "Ready"]
VALUES: list[Any] = [None, True, False, [], {}, [[]], *NAMES, *NUMBERS, *TEXTS, *DATES]
_EMPTY = b"[]"
_PREFERRED = json.dumps([{"Host": WANTED, "Score": 10}], separators=(",", ":")).encode()


class Target:
    """Keeps one app for all inputs: it holds no state but its counters."""

    def __init__(self) -> None:
        self._golden = load()
        self._registry = CollectorRegistry()
        self._app = create_app(known.service(self._registry, Patience(0.0, 1)), {}, {}, lambda *_: ()).test_client()

    def one_input(self, data: bytes) -> None:
        match data[:1]:
            case b"A":
                read_and_write(data[1:])
            case b"C":
                choices = atheris.FuzzedDataProvider(data[1:])
                self.body(text_of(changed(pick(self._golden, choices).args, choices), choices))
            case b"T":
                tell(atheris.FuzzedDataProvider(data[1:]))
            case _:
                self.body(data[1:])

    def body(self, body: bytes) -> None:
        answer = self._app.post("/prioritize", data=body)
        assert answer.status_code == 200, answer.status
        assert answer.data in (_EMPTY, _PREFERRED), answer.data
        faults = self._registry.get_sample_value("lastnode_prioritize_total", {"result": "error"})
        assert not faults, "counted as a fault of ours"


def pick(among: Sequence[T], choices: Any) -> T:
    return among[choices.ConsumeIntInRange(0, len(among) - 1)]


def changed(document: Any, choices: Any, least: int = 1) -> Any:
    """A copy in which ``choices`` has replaced, removed, renamed, wrapped or swapped a few values."""
    document = copy.deepcopy(document)
    for _ in range(choices.ConsumeIntInRange(least, MAX_CHANGES)):
        all_places = places(document)
        if not all_places:
            break
        at, other = pick(all_places, choices), pick(all_places, choices)
        holder, key = parent(document, at), at[-1]
        match choices.ConsumeIntInRange(0, 6):
            case 0:
                # A copy: a list put into two places, then into itself, is no JSON, and would last for later inputs.
                holder[key] = copy.deepcopy(pick(VALUES, choices))
            case 1:
                holder[key] = choices.ConsumeUnicode(40)
            case 2:
                del holder[key]
            case 3:
                holder[key] = copy.deepcopy(parent(document, other)[other[-1]])
            case 4 if isinstance(holder, dict):
                holder[pick(FIELDS, choices)] = holder.pop(key)
            case 5:
                at = pick([at for at in all_places if is_date(parent(document, at)[at[-1]])] or [at], choices)
                parent(document, at)[at[-1]] = pick(DATES, choices)
            case _:
                holder[key] = [holder[key]]
    return document


def is_date(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("20")


def text_of(document: Any, choices: Any) -> bytes:
    return json.dumps(document, ensure_ascii=choices.ConsumeBool()).encode("utf-8", "surrogatepass")


def tell(choices: Any) -> None:
    """The story, of which some events are left out, changed, told again or out of turn; then all that follows."""
    world = World(now())
    events = [*STORY, *(pick(STORY, choices) for _ in range(choices.ConsumeIntInRange(0, MAX_MORE)))]
    for resource, document in events:
        match choices.ConsumeIntInRange(0, 5):  # 0 where the input has ended: as it stands
            case 4:
                document = changed(document, choices)
            case 5:
                continue
        kind = pick(["ADDED", "MODIFIED", "DELETED", "LIST"], choices)
        if kind == "LIST":
            world.page(resource, text_of({"metadata": {"resourceVersion": "9"}, "items": [document]}, choices))
        else:
            world.event(resource, text_of({"type": kind, "object": document}, choices))
    world.settle()


def read_and_write(data: bytes) -> None:
    """What is read is a memory, and what is written of it reads the same."""
    last_node, _, recent = data.decode("utf-8", "surrogateescape").partition("\x00")
    memory = parse_text(last_node, recent)
    assert memory == merge(memory)
    assert len(memory) <= MOST_RECENT_NODES
    for entry in memory:
        assert is_node_name(entry.node)
        assert not entry.hostname or is_hostname_value(entry.hostname)
    written = {name: text for name, text in render(memory, AGENTCUBE_PREFIX).items() if text is not None}
    if memory and memory[0].ready_at is not None:
        assert parse(written, AGENTCUBE_PREFIX) == memory


SEEDS = [
    b"golden-2\x00",
    b'\x00[{"node":"golden-2","hostname":"golden-2","nodeUID":"u","readyAt":"2026-11-23T10:00:00Z","podUID":"p"}]',
    b'a\x00[{"node":"a","readyAt":"0001-01-01T00:00:00Z"},{"node":"b","readyAt":"9999-12-31T23:59:59.999+00:00"}]',
]


def write_seeds(directory: Path) -> None:
    """The golden requests and a few annotations, one input a file."""
    for golden in load():
        (directory / golden.name).write_bytes(BODY + golden.body)
    for number, seed in enumerate(SEEDS):
        (directory / f"annotations-{number}").write_bytes(ANNOTATIONS + seed)
    for number in range(8):
        (directory / f"changes-{number}").write_bytes(CHANGES + bytes(range(number, number + 64)))
        # Choices are taken from the end; a number that is not there is the least one: no change.
        (directory / f"story-{number}").write_bytes(TOLD + bytes(range(number, number + 64)))


def write_dictionary(path: Path) -> None:
    """Words that mutations may put in, in libFuzzer's form."""
    words = [json.dumps(word) for word in FIELDS] + [json.dumps(value) for value in VALUES]
    path.write_text("".join(json.dumps(word) + "\n" for word in words), encoding="utf-8")


def main() -> None:
    atheris.Setup(sys.argv, Target().one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
