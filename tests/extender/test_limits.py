"""How much the running extender takes: of a line, of headers, of a body. Connections and slow clients: test_garbage.py,
test_harmless.py and test_tls.py."""

from __future__ import annotations

import contextlib
import socket

import pytest

from extender.http import LARGE_AT_ONCE, MAX_BODY_BYTES
from extender.server import HEADER_FIELD_BYTES, HEADER_FIELDS, REQUEST_LINE_BYTES
from testbed.stack import Stack
from tests.extender.cluster import Wire

BODY = b"{}"
HEAD = b"POST /prioritize HTTP/1.1\r\nHost: extender\r\nContent-Length: %d\r\n" % len(BODY)


def status_of(wire: Wire, request: bytes) -> int:
    """Of the answer to these bytes, which have to end in a whole request."""
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(request)
        answer = connection.makefile("rb").readline()
    return int(answer.split()[1])


def line_of(length: int) -> bytes:
    """A request whose line, without its end, has that many bytes."""
    start, end = b"GET /livez?", b" HTTP/1.1"
    return start + b"x" * (length - len(start) - len(end)) + end + b"\r\nHost: extender\r\n\r\n"


def alive(wire: Wire) -> bool:
    return wire.request("GET", "/livez") == (200, b"ok")


@pytest.mark.parametrize(
    ("length", "status"), [(REQUEST_LINE_BYTES // 2, 200), (2 * REQUEST_LINE_BYTES, 414), (100_000, 414)]
)
def test_a_request_line_that_is_too_long_is_refused(wire: Wire, length: int, status: int) -> None:
    assert status_of(wire, line_of(length)) == status
    assert alive(wire)


@pytest.mark.parametrize(("fields", "status"), [(HEADER_FIELDS - 2, 200), (HEADER_FIELDS + 1, 431)])
def test_too_many_header_fields_are_refused(wire: Wire, fields: int, status: int) -> None:
    more = b"".join(b"X-%d: y\r\n" % number for number in range(fields))
    assert status_of(wire, HEAD + more + b"\r\n" + BODY) == status
    assert alive(wire)


@pytest.mark.parametrize(("size", "status"), [(HEADER_FIELD_BYTES // 2, 200), (HEADER_FIELD_BYTES + 1, 431)])
def test_a_header_field_that_is_too_large_is_refused(wire: Wire, size: int, status: int) -> None:
    assert status_of(wire, HEAD + b"X: " + b"y" * size + b"\r\n\r\n" + BODY) == status
    assert alive(wire)


@pytest.mark.parametrize("verb", ["prioritize", "mutate"])
def test_a_body_that_is_too_large_is_answered_as_one_that_cannot_be_read(wire: Wire, verb: str) -> None:
    size = MAX_BODY_BYTES + 1
    head = f"POST /{verb} HTTP/1.1\r\nHost: extender\r\nContent-Length: {size}\r\n\r\n".encode()
    assert status_of(wire, head + b" " * size) == 200
    assert alive(wire)


def test_large_bodies_of_many_clients_do_not_fill_the_memory(wire: Wire, stack: Stack) -> None:
    def resident() -> float:
        return stack.metrics(stack.extender_url)["process_resident_memory_bytes"]

    before = resident()
    head = f"POST /prioritize HTTP/1.1\r\nHost: extender\r\nContent-Length: {MAX_BODY_BYTES}\r\n\r\n".encode()
    with contextlib.ExitStack() as clients:
        for _ in range(64):
            client = clients.enter_context(socket.create_connection((wire.host, wire.port), timeout=30))
            client.sendall(head + b" " * (MAX_BODY_BYTES - 1))
        # A body is in memory up to three times while it is read.
        assert resident() - before < 4 * LARGE_AT_ONCE * MAX_BODY_BYTES
        assert status_of(wire, HEAD + b"\r\n" + BODY) == 200
    assert alive(wire)
