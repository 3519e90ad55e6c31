"""What every program serves, and how it hangs up on slow clients."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from threading import Thread

import pytest

from lastnode.daemon import http as served
from lastnode.daemon.http import Deadlines, Pages, PageServer


@pytest.fixture
def server() -> Iterator[PageServer]:
    pages = {"/page": lambda query: ("text/csv", ",".join(query.get("name", ())).encode())}
    server = PageServer(("127.0.0.1", 0), Pages({"loop": lambda: None}, {"list": lambda: "not yet"}, pages))
    thread = Thread(target=server.run)
    thread.start()
    yield server
    server.stop()
    thread.join(10)


def ask(server: PageServer, method: str, path: str) -> tuple[int, str | None, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_probes_and_pages_are_answered_and_nothing_else_is(server: PageServer) -> None:
    assert ask(server, "GET", "/livez") == ask(server, "GET", "/healthz") == (200, served.TEXT, b"ok")
    assert ask(server, "GET", "/livez?verbose")[2] == b"[+]loop ok\nlivez check passed\n"
    assert ask(server, "GET", "/readyz")[0] == 503
    assert ask(server, "GET", "/page?name=a&name=b") == (200, "text/csv", b"a,b")
    assert ask(server, "HEAD", "/page?name=a") == (200, "text/csv", b"")
    assert ask(server, "POST", "/page")[0] == 405
    assert ask(server, "GET", "/pages")[0] == 404


def test_a_client_that_does_not_end_its_request_is_hung_up_on(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.deadlines = Deadlines(0.5)  # in the place of ten seconds
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as slow:
        slow.sendall(b"GET /livez HT")
        assert slow.recv(100) == b""
    assert ask(server, "GET", "/livez")[0] == 200


def test_only_requests_that_are_late_are_ended_counted_from_their_first_byte() -> None:
    now = [0.0]
    deadlines = Deadlines(5.0, lambda: now[0])
    pairs = [socket.socketpair() for _ in range(3)]
    for number, (ours, theirs) in enumerate(pairs):
        theirs.settimeout(0.0)
        now[0] = float(number)
        deadlines.begin(ours, lambda ours=ours: ours)  # type: ignore[misc]
    deadlines.begin(pairs[0][0], lambda: pairs[1][0])  # goes on
    deadlines.end(pairs[2][0])
    now[0] = 5.5
    deadlines.look()
    assert pairs[0][1].recv(1) == b""
    for _, theirs in pairs[1:]:
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
    now[0] = 99.0
    deadlines.look()
    assert pairs[1][1].recv(1) == b""
    with pytest.raises(BlockingIOError):
        pairs[2][1].recv(1)
    for pair in pairs:
        for end in pair:
            end.close()
