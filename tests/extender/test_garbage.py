"""Whatever is posted to the running extender gets a valid answer at once, and the next request the right one."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from extender.server import REQUEST_SECONDS, THREADS
from testbed.stack import Stack
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    extender_args,
    favoured,
    make_nodes,
    session_pod,
    sticky_runtime,
)
from tests.extender.standin import Drip
from tests.waiting import eventually

# More than an API server that creates pods as fast as it can has connections.
DRIPPING = THREADS + 32
HEAD = b"POST /prioritize HTTP/1.1\r\nHost: extender\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Good:
    """A request with a known right answer, to see that nothing broke."""

    def __init__(self, wire: Wire, pod: dict[str, Any], node: str) -> None:
        self.body = extender_args(pod, ["elsewhere", node])
        self.answer = favoured(node)
        self._wire = wire

    def still_answered(self) -> None:
        status, body = self._wire.request("POST", "/prioritize", self.body)
        assert (status, json.loads(body)) == (200, self.answer)
        assert self._wire.request("GET", "/livez") == (200, b"ok")


@pytest.fixture
def good(stack: Stack, wire: Wire, namespace: str) -> Iterator[Good]:
    """Checks after each test, too, that the very same process is healthy and answers right."""
    node = f"{namespace}-node"
    made = make_nodes(stack, [node])
    create(stack, sticky_runtime("w", namespace, entry(made[node])))
    pod = session_pod(namespace, workload="w")
    wire.expect("preferred", pod, [node])
    good = Good(wire, pod, node)
    worker = process_start(stack)
    yield good
    good.still_answered()
    assert process_start(stack) == worker, "the worker was replaced"
    stack.api.delete(f"/api/v1/nodes/{node}")


def process_start(stack: Stack) -> float:
    return stack.metrics(stack.extender_url)["process_start_time_seconds"]


def talk(wire: Wire, request: bytes) -> bytes:
    """Everything that is answered to these bytes, on a connection whose sending side ends after them."""
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b"42",
        b'"text"',
        b"{}",
        b'{"Pod": null}',
        b'{"Pod": []}',
        b'{"Pod": "x", "NodeNames": ["a"]}',
        b'{"Pod": {}}',
        b'{"Pod": {"metadata": null}}',
        b'{"Pod": {"metadata": {"labels": []}}}',
        b'{"Pod": {"metadata": {"labels": {"runtime.agentcube.io/session-id": 1}}}}',
        b'{"Pod": {"metadata": {"labels": "none"}}}',
        b'{"Pod": {"metadata": {"ownerReferences": {"kind": "Sandbox"}}}}',
        b'{"Pod": {"metadata": {}}',
        b"\xff\xfe\x00",
        b"\x00" * 1000,
        b"[" * 200_000,
        b'{"Pod":' * 50_000,
        b'{"Pod": {"metadata": {"labels": ' + b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_a_body_that_is_no_request_gets_an_empty_list_and_is_counted(wire: Wire, good: Good, body: bytes) -> None:
    assert wire.post(body) == (200, b"[]", "bad_request")


@pytest.mark.parametrize("names", ['"text"', "{}", "42", "true", "[1, 2]", '["a", null]', '["\\\\ud800"]', "[[[["])
def test_names_of_a_wrong_type_get_an_empty_list(wire: Wire, good: Good, names: str) -> None:
    whole = json.loads(good.body)
    body = json.dumps({"Pod": whole["Pod"]})[:-1] + f', "NodeNames": {names}}}'
    status, answer, result = wire.post(body.encode())
    assert (status, answer) == (200, b"[]")
    assert result in ("bad_request", "not_offered")


@pytest.mark.parametrize(
    "terms",
    ['"text"', "{}", "[1]", "[null]", '[{"weight": "100"}]', '[{"preference": []}]', "[" * 100_000 + "]" * 100_000],
    ids=lambda terms: terms[:40],
)
def test_preferred_terms_of_a_wrong_shape_cost_nobody_the_answer(
    wire: Wire, good: Good, namespace: str, terms: str
) -> None:
    affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": "TERMS"}}
    pod = json.dumps(session_pod(namespace, workload="w", spec={"affinity": affinity})).replace('"TERMS"', terms)
    status, answer, result = wire.post(b'{"Pod": %s, "NodeNames": ["%s-node"]}' % (pod.encode(), namespace.encode()))
    assert status == 200
    assert (result, json.loads(answer)) in [("preferred", favoured(f"{namespace}-node")), ("bad_request", [])]


@pytest.mark.parametrize(
    ("date", "result"),
    [
        ("0001-01-01T00:00:00+23:59", "unattributed"),  # older than its workload
        ("9999-12-31T23:59:59-23:59", "preferred"),
        ("0000-01-01T00:00:00Z", "preferred"),
        ("yesterday", "preferred"),
    ],
)
def test_a_date_outside_the_calendar_costs_nobody_the_answer(
    wire: Wire, good: Good, namespace: str, date: str, result: str
) -> None:
    pod = session_pod(namespace, workload="w")
    pod["metadata"]["creationTimestamp"] = date
    assert wire.ask(pod, [f"{namespace}-node"]).result == result


def test_ten_megabytes_get_an_empty_list(wire: Wire, good: Good) -> None:
    body = extender_args(session_pod("default"), [f"node-{number:06}" for number in range(800_000)])
    assert len(body) > 10_000_000
    assert wire.post(body) == (200, b"[]", "bad_request")


def test_a_pod_of_nobody_gets_an_empty_list(wire: Wire, good: Good) -> None:
    assert wire.ask({"metadata": {"name": "p", "namespace": "default"}}, ["a"]) == (200, b"[]", "not_ours")
    unknown = session_pod("no-such-namespace", workload="nobody")
    assert wire.ask(unknown, ["a"]) == (200, b"[]", "unattributed")


def test_decisions_are_told_of_one_pod_by_its_uid_and_of_no_other(wire: Wire, good: Good) -> None:
    asked, uid = json.loads(good.body), "uid-of-this-pod"
    asked["Pod"]["metadata"]["uid"] = uid
    assert wire.request("POST", "/prioritize", json.dumps(asked).encode())[0] == 200
    for path in ("/decisions", "/decisions?pod_uid="):
        status, said = wire.request("GET", path)
        assert (status, uid.encode() in said) == (400, False)
    assert uid.encode() in wire.request("GET", f"/decisions?pod_uid={uid}")[1]
    assert json.loads(wire.request("GET", "/decisions?pod_uid=another")[1])["decisions"] == []


def test_get_is_refused_and_no_other_verb_exists(wire: Wire, good: Good) -> None:
    before = wire.results()
    assert wire.request("GET", "/prioritize")[0] == 405
    for verb in ("/filter", "/bind", "/preempt", "/"):
        assert wire.request("POST", verb, good.body)[0] == 404
    assert wire.results() == before


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"\r\n",
        HEAD + b"Content-Length: 0\r\n\r\n",
        HEAD + b'Content-Length: 100\r\n\r\n{"Pod": ',
        CHUNKED,
        CHUNKED + b"0\r\n\r\n",
        CHUNKED + b'8\r\n{"Pod": \r\n',
        CHUNKED + b"5\r\n{",
        CHUNKED + b"no number\r\n{}",
        CHUNKED + b"2\r\n{}XX0\r\n\r\n",
    ],
)
def test_a_body_broken_off_or_in_bad_chunks_gets_an_empty_list(wire: Wire, good: Good, request_bytes: bytes) -> None:
    before = wire.results()["bad_request"]
    head, _, body = talk(wire, request_bytes).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b"[]"
    assert wire.results()["bad_request"] == before + 1


def test_a_body_in_good_chunks_is_read(wire: Wire, good: Good) -> None:
    half = len(good.body) // 2
    parts = (good.body[:half], good.body[half:], b"")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    assert json.loads(talk(wire, CHUNKED + chunks).partition(b"\r\n\r\n")[2]) == good.answer


def test_a_client_that_leaves_before_its_answer_harms_nobody(wire: Wire, good: Good) -> None:
    for _ in range(50):
        with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    good.still_answered()


def test_a_thousand_random_bodies_each_get_a_valid_answer(wire: Wire, good: Good) -> None:
    """Half are noise; half are the good request with a few bytes changed, cut out or doubled."""
    rng = random.Random(20261123)
    before = wire.results()
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=30)
    with contextlib.closing(connection):
        for number in range(1000):
            body = rng.randbytes(rng.randrange(300)) if number % 2 else damaged(good.body, rng)
            connection.request("POST", "/prioritize", body)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == 200
            assert json.loads(content) in ([], good.answer), body
    after = wire.results()
    assert sum(after.values()) == sum(before.values()) + 1000
    assert after["error"] == before["error"], "counted as a fault of ours"


def damaged(body: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at, length = rng.randrange(len(body)), rng.randrange(8)
        instead = rng.choice([b"", rng.randbytes(length), body[at : at + length] * 2, b'"', b"{", b"null", b"\\u0000"])
        body = body[:at] + instead + body[at + length :]
    return body


def test_answers_carry_their_length_and_no_newline_and_keep_the_connection(wire: Wire, good: Good) -> None:
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=30)
    with contextlib.closing(connection):
        connection.connect()
        first = connection.sock
        for body, expected in [(good.body, good.answer), (b"not json", []), (good.body, good.answer), (b"", [])]:
            connection.request("POST", "/prioritize", body)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Content-Length"] == str(len(content))
            assert "Transfer-Encoding" not in answer.headers
            assert not content.endswith(b"\n")
            assert json.loads(content) == expected
            assert connection.sock is first, "the connection was closed"


@pytest.mark.parametrize(
    "sent", [b"", b"POST", HEAD, HEAD + b"Content-Length: 50\r\n\r\n{"], ids=["silent", "word", "head", "body"]
)
def test_clients_that_stop_in_the_middle_do_not_block_the_others(wire: Wire, good: Good, sent: bytes) -> None:
    """Twice as many as there are threads, and all of them stay."""
    with contextlib.ExitStack() as connections:
        for _ in range(2 * THREADS):
            connection = connections.enter_context(socket.create_connection((wire.host, wire.port), timeout=30))
            connection.sendall(sent)

        def answered() -> bool:
            with contextlib.suppress(OSError):
                return wire.request("POST", "/prioritize", good.body, seconds=5)[0] == 200
            return False

        eventually(answered, "an answer beside clients that are stuck", 60)
        good.still_answered()


def test_clients_that_send_a_byte_a_second_are_hung_up_on_and_keep_nobody_waiting(wire: Wire, good: Good) -> None:
    with Drip(wire.host, wire.port, DRIPPING) as drip:
        until = time.monotonic() + 2 * REQUEST_SECONDS
        while time.monotonic() < until:
            assert wire.request("POST", "/prioritize", good.body, seconds=5)[0] == 200
            assert wire.request("GET", "/livez", seconds=5) == (200, b"ok")
            time.sleep(0.2)
        assert drip.sending.acquire(timeout=60), "none of them had to come back"
