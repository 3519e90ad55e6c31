"""Questions to several at a time: nobody waits for the silent ones, and they are left alone for a while."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Event

import pytest

from recorder.why import extenders
from recorder.why.asking import MOST_SILENT_SECONDS, SILENT_SECONDS, Asking
from recorder.why.extenders import Extenders, Found

LIMIT = 0.05
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Asked:
    """Who answers is asked beside one who hangs until told; the clock of their being left alone moves when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asking = Asking(lambda: self.now)
        self.questions: list[str] = []
        self.go = Event()

    def silent(self) -> str:
        self.questions.append("silent")
        self.go.wait(10)
        return "at last"

    def quick(self) -> str:
        self.questions.append("quick")
        return "at once"

    def broken(self) -> str:
        self.questions.append("broken")
        raise OSError("refused")

    def all(self, *names: str) -> dict[str, str | None]:
        return self.asking.all({name: getattr(self, name) for name in names}, LIMIT)

    def until_it_ended(self) -> None:
        self.go.set()
        for thread in self.asking._threads.values():
            thread.join(10)
        self.go.clear()


@pytest.fixture
def asked() -> Iterator[Asked]:
    asked = Asked()
    yield asked
    asked.until_it_ended()


def test_the_others_answers_are_there_though_one_is_silent_and_one_refuses(asked: Asked) -> None:
    assert asked.all("silent", "quick", "broken") == {"silent": None, "quick": "at once", "broken": None}


def test_who_was_silent_is_left_alone_twice_as_long_each_time_and_who_refuses_is_not(asked: Asked) -> None:
    asked_at = []
    for _ in range(250):
        before = asked.questions.count("silent")
        asked.all("silent", "broken")
        asked.until_it_ended()
        if asked.questions.count("silent") > before:
            asked_at.append(asked.now)
        asked.now += 10
    assert [later - earlier for earlier, later in itertools.pairwise(asked_at)] == [30, 60, 120, 240, 480, 600, 600]
    assert (SILENT_SECONDS, MOST_SILENT_SECONDS) == (30, 600)
    assert asked.questions.count("broken") == 250


def test_who_answers_again_is_asked_each_time_again(asked: Asked) -> None:
    asked.all("silent")
    asked.until_it_ended()
    asked.now += SILENT_SECONDS
    asked.go.set()
    assert asked.all("silent") == {"silent": "at last"}
    assert asked.all("silent") == {"silent": "at last"}


def test_a_question_that_still_hangs_is_not_asked_a_second_time(asked: Asked) -> None:
    asked.all("silent")
    asked.now += MOST_SILENT_SECONDS
    assert asked.all("silent", "quick") == {"silent": None, "quick": "at once"}
    assert asked.questions.count("silent") == 1


def taken_by(ask: Callable[[], object]) -> float:
    begun = time.monotonic()
    ask()
    return time.monotonic() - begun


def test_a_replica_that_takes_the_connection_and_says_nothing_is_not_waited_for_twice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asked = Extenders(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert taken_by(lambda: asked.decided("p", NOW)) < 3 * extenders.SECONDS
        first = [asked.decided("p", NOW).found for _ in range(1000)]
        assert set(first) == {Found.FAILED}
        assert taken_by(lambda: [asked.decided("p", NOW) for _ in range(100)]) < extenders.SECONDS


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    go = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go.wait(10))
    asked = Extenders("http://extender.example:8888")
    try:
        assert taken_by(lambda: asked.decided("p", NOW)) < 3 * extenders.SECONDS
        assert taken_by(lambda: [asked.decided("p", NOW) for _ in range(100)]) < extenders.SECONDS
    finally:
        go.set()
