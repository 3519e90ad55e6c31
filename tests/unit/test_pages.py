"""What every program serves, and how it hangs up on slow clients."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from lastnode.daemon import http as served
from lastnode.daemon.http import CLIENTS, Deadlines, Pages, PageServer, answer, asked, served_at, written
from lastnode.daemon.large import SHARED_SECONDS, SMALL_BYTES, Few, Shared
from lastnode.daemon.settings import address
from lastnode.outcome import JOURNAL, TOKEN_HEADER, Outcome, SessionRecord
from recorder.journal import SessionLog, sessions_page
from tests.kubectl.journal import outward_address
from tests.waiting import eventually

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, HTTPStatus.OK, "text/csv", (asked(environ, "name") or "-").encode())


@contextlib.contextmanager
def serving(bind: str = "127.0.0.1:0", **pages: WSGIApplication) -> Iterator[PageServer]:
    paths = {f"/{name}": each for name, each in pages.items()}
    server = PageServer(address(bind), Pages({"loop": lambda: None}, {"list": lambda: "not yet"}, paths))
    thread = Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10)


@pytest.fixture
def server() -> Iterator[PageServer]:
    with serving(page=page) as server:
        yield server


def ask(
    server: PageServer, method: str, path: str, host: str = "127.0.0.1", **headers: str
) -> tuple[int, str | None, bytes]:
    with contextlib.closing(http.client.HTTPConnection(host, server.server_port, timeout=30)) as connection:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()


def test_probes_and_pages_are_answered_and_nothing_else_is(server: PageServer) -> None:
    assert ask(server, "GET", "/livez") == ask(server, "GET", "/healthz") == (200, served.TEXT, b"ok")
    assert ask(server, "GET", "/livez?verbose")[2] == b"[+]loop ok\nlivez check passed\n"
    assert ask(server, "GET", "/readyz")[0] == 503
    assert ask(server, "GET", "/page?name=a&name=b") == (200, "text/csv", b"a")
    assert ask(server, "HEAD", "/page?name=a") == (200, "text/csv", b"")
    assert ask(server, "POST", "/page")[0] == 405
    assert ask(server, "GET", "/pages")[0] == 404


def test_a_client_that_does_not_end_its_request_is_hung_up_on(
    server: PageServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.deadlines = Deadlines(0.5, CLIENTS)  # in the place of ten seconds
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as slow:
        slow.sendall(b"GET /livez HT")
        assert slow.recv(100) == b""
    assert ask(server, "GET", "/livez")[0] == 200


def test_only_requests_that_are_late_are_ended_counted_from_their_first_byte() -> None:
    now = [0.0]
    deadlines = Deadlines(5.0, 3, clock=lambda: now[0])
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


def test_of_a_request_only_its_first_kilobytes_are_read(server: PageServer) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=30) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 9000) for n in range(9)))
        with contextlib.suppress(OSError):
            assert b"200 OK" in client.recv(1000)
    assert ask(server, "GET", "/livez")[0] == 200


def test_where_there_are_too_many_those_that_take_longest_have_to_hurry() -> None:
    now = [0.0]
    deadlines = Deadlines(5.0, 2, 1.0, lambda: now[0])
    pairs = [socket.socketpair() for _ in range(4)]
    for number, (ours, theirs) in enumerate(pairs):
        theirs.settimeout(0.0)
        now[0] = number / 2
        deadlines.begin(ours, lambda ours=ours: ours)  # type: ignore[misc]
    assert [ended(theirs) for _, theirs in pairs] == [True, True, False, False]
    for pair in pairs:
        for end in pair:
            end.close()


def ended(theirs: socket.socket) -> bool:
    try:
        return theirs.recv(1) == b""
    except BlockingIOError:
        return False


def test_more_slow_clients_than_there_are_places_keep_nobody_waiting(server: PageServer) -> None:
    with contextlib.ExitStack() as slow:
        for _ in range(2 * CLIENTS):
            one = slow.enter_context(socket.create_connection(("127.0.0.1", server.server_port), timeout=30))
            one.sendall(b"GET /livez HT")
        assert ask(server, "GET", "/livez")[0] == 200


def test_of_a_page_for_few_the_next_one_is_told_to_come_again() -> None:
    started: list[str] = []
    few = Few(page, most=1, patience=0.0)
    first = few({"QUERY_STRING": "name=a"}, lambda status, _: started.append(status))  # type: ignore[arg-type, func-returns-value, return-value]
    with serving(page=few) as server:
        assert ask(server, "GET", "/page")[::2] == (503, b"others are reading it: try again\n")
        assert list(first) == [b"a"]
        first.close()  # type: ignore[attr-defined]
        first.close()  # type: ignore[attr-defined]
        for _ in range(2):  # the client may have read all of the former answer a moment before its place is free
            eventually(lambda: ask(server, "GET", "/page")[0] == 200 or None, "a free place")


def test_a_large_page_is_made_once_for_all_and_a_small_one_for_each() -> None:
    now, made = [0.0], [b"small", b"s", b"l" * (SMALL_BYTES + 1), b"not yet", b"then"]
    shared = Shared("text/plain", lambda: made.pop(0), lambda: now[0])

    def body() -> bytes:
        (only,) = shared({}, lambda *_: None)  # type: ignore[arg-type, func-returns-value, return-value]
        return only

    assert (body(), body()) == (b"small", b"s")
    large = body()
    assert body() is large
    now[0] += SHARED_SECONDS
    assert (body(), body()) == (b"not yet", b"then")


def journal(size: int = 2) -> SessionLog:
    log = SessionLog(10, "me")
    for number in range(size):
        log.add(
            SessionRecord(
                namespace="ns", pod=f"p{number}", pod_uid=f"u{number}", workload="w", kind="K", node="n",
                outcome=Outcome.FIRST,
            )
        )  # fmt: skip
    return log


def pods(body: bytes) -> list[str]:
    return [one.pod for one in JOURNAL.decode(body).sessions]


@pytest.mark.parametrize("size", [0, 1, 2, 10])
def test_all_sessions_are_given_to_whoever_asks_from_this_machine(size: int) -> None:
    with serving(sessions=sessions_page(journal(size), lambda: True, None)) as server:
        status, kind, body = ask(server, "GET", "/sessions")
        assert (status, kind, pods(body)) == (200, served.JSON, [f"p{number}" for number in range(size)])


def test_from_elsewhere_the_token_opens_all_sessions_and_a_pods_uid_its_own(tmp_path: Path) -> None:
    token, here = tmp_path / "token", outward_address()
    with serving("[::]:0", sessions=sessions_page(journal(), lambda: True, str(token))) as server:

        def asks(path: str = "/sessions", **headers: str) -> tuple[int, str | None, bytes]:
            return ask(server, "GET", path, here, **headers)

        header = TOKEN_HEADER.replace("-", "_")
        assert asks()[0] == asks(**{header: ""})[0] == 403
        token.write_text("\n")
        assert asks(**{header: ""})[0] == 403
        token.write_text("secret\n")
        assert asks()[0] == asks(**{header: "secre"})[0] == asks(Authorization="Bearer secret")[0] == 403
        assert pods(asks(**{header: "secret"})[2]) == ["p0", "p1"]
        token.write_text("another")
        assert asks(**{header: "secret"})[0] == 403
        assert pods(asks(**{header: "another"})[2]) == ["p0", "p1"]
        assert pods(asks("/sessions?pod_uid=u1")[2]) == ["p1"]
        assert pods(asks("/sessions?pod_uid=u")[2]) == []
        assert asks("/sessions?pod_uid=")[0] == 403


def test_without_a_token_nobody_elsewhere_gets_all_sessions() -> None:
    with serving("[::]:0", sessions=sessions_page(journal(), lambda: True, None)) as server:
        status, _, body = ask(server, "GET", "/sessions", outward_address(), **{TOKEN_HEADER.replace("-", "_"): ""})
        assert status == 403
        assert b"--sessions-token-file" in body


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize(("bind", "hosts"), [("[::]:0", ["127.0.0.1", "::1"]), ("[::1]:0", ["::1"])])
def test_ipv6_addresses_are_served_and_all_of_them_are_those_of_ipv4_too(bind: str, hosts: list[str]) -> None:
    with serving(bind, sessions=sessions_page(journal(), lambda: True, None)) as server:
        assert [ask(server, "GET", "/sessions", host)[0] for host in hosts] == [200] * len(hosts)


def test_without_ipv6_all_addresses_are_those_of_ipv4() -> None:
    assert served_at(("::", 8889), lambda: False) == ("0.0.0.0", 8889)
    assert served_at(("::", 8889), lambda: True) == ("::", 8889)
    assert served_at(("::1", 8889), lambda: False) == ("::1", 8889)
    assert [written(bind) for bind in (("::1", 1), ("10.0.0.1", 2))] == ["[::1]:1", "10.0.0.1:2"]
