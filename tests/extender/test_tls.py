"""The extender behind TLS: who is let in, and a certificate that is renewed on disk while requests go on."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from extender.server import REQUEST_SECONDS, THREADS
from testbed.certificates import Authority
from testbed.component import Component
from testbed.stack import Stack
from tests.extender import pki
from tests.extender.cluster import (
    create,
    entry,
    extender_args,
    favoured,
    make_nodes,
    place,
    session_pod,
    sticky_runtime,
)
from tests.extender.pki import Mounted, trusting
from tests.extender.schedulers import running
from tests.extender.standin import Drip
from tests.extender.tlsclient import TlsExtender, ask, hosts, refused, reloads
from tests.waiting import eventually

NODES = [f"tls-{number:02}" for number in range(12)]
WANTED = NODES[7]
STALLED = THREADS + 20
DRIPPING = THREADS + 32

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Stack]:
    with Stack.start() as stack:
        nodes = make_nodes(stack, NODES)
        create(stack, sticky_runtime("w", "default", entry(nodes[WANTED])))
        yield stack


@pytest.fixture
def stack(cluster: Stack) -> Stack:
    return cluster


@pytest.fixture(scope="module")
def servers() -> Authority:
    return Authority("servers")


@pytest.fixture(scope="module")
def clients() -> Authority:
    return Authority("clients")


@pytest.fixture(scope="module")
def guarded(
    cluster: Stack, servers: Authority, clients: Authority, tmp_path_factory: pytest.TempPathFactory
) -> TlsExtender:
    """One extender for the tests that change nothing on disk."""
    files = mounted(tmp_path_factory.mktemp("guarded"), servers, clients)
    return started(cluster, "guarded", files, trusting(servers.pem))


@pytest.fixture
def known(servers: Authority, clients: Authority, tmp_path: Path) -> ssl.SSLContext:
    """A client with a certificate that is let in."""
    return trusting(servers.pem, clients.client(), tmp_path)


@pytest.fixture
def unknown(servers: Authority) -> ssl.SSLContext:
    """A client without any certificate."""
    return trusting(servers.pem)


@pytest.fixture
def files(tmp_path: Path, servers: Authority, clients: Authority) -> Mounted:
    return mounted(tmp_path, servers, clients)


@pytest.fixture
def extender(stack: Stack, files: Mounted, unknown: ssl.SSLContext) -> Iterator[TlsExtender]:
    """One whose files a test may change."""
    extender = started(stack, f"tls-{next(_numbers)}", files, unknown)
    yield extender
    assert extender.component.stop() == 0


def mounted(directory: Path, servers: Authority, clients: Authority) -> Mounted:
    cert, key = servers.server()
    return Mounted(directory / "tls", cert=cert, key=key, ca=clients.pem)


def started(stack: Stack, name: str, files: Mounted, context: ssl.SSLContext) -> TlsExtender:
    flags = ("--tls-cert", files / "cert", "--tls-key", files / "key", "--client-ca", files / "ca")
    extender = TlsExtender(stack, name, *map(str, flags))
    extender.until_ready(context)
    return extender


def body() -> bytes:
    return extender_args(session_pod("default", workload="w"), NODES)


def prefers(extender: TlsExtender, context: ssl.SSLContext) -> bool:
    return bool(hosts(extender.request(context, "POST", "/prioritize", body())) == favoured(WANTED))


def said_to(extender: TlsExtender, context: ssl.SSLContext, alert: str) -> None:
    """That alert ends the handshake; a client of TLS 1.3 hears of it only once it reads."""
    with extender.handshake(context) as connection, pytest.raises(ssl.SSLError, match=alert):
        connection.recv(1)


# Who is let in


def test_a_client_with_a_certificate_of_the_ca_is_answered(guarded: TlsExtender, known: ssl.SSLContext) -> None:
    assert prefers(guarded, known)


def test_one_without_is_told_so_and_counted_but_may_probe(guarded: TlsExtender, unknown: ssl.SSLContext) -> None:
    before = refused(guarded.metrics(unknown), "no_certificate")
    assert guarded.request(unknown, "POST", "/prioritize", body()) == (403, b"a client certificate is needed\n")
    assert refused(guarded.metrics(unknown), "no_certificate") == before + 1
    for path in ("/livez", "/readyz", "/healthz"):
        assert guarded.request(unknown, "GET", path) == (200, b"ok")
    assert guarded.request(unknown, "GET", "/decisions?pod_uid=u")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "//prioritize", "/prioritize/", "/%70rioritize", "/anything", "/metrics/../prioritize"]
)
def test_no_spelling_of_a_path_goes_round_the_check(guarded: TlsExtender, unknown: ssl.SSLContext, path: str) -> None:
    assert guarded.request(unknown, "POST", path, body())[0] == 403


def test_a_verb_may_be_left_open_for_an_api_server_without_a_certificate(
    guarded: TlsExtender, unknown: ssl.SSLContext
) -> None:
    """By default a certificate is asked for prioritize alone. What the webhook says to this is another test's."""
    assert guarded.request(unknown, "POST", "/mutate", b"{}")[0] != 403


def test_or_not(stack: Stack, files: Mounted, unknown: ssl.SSLContext) -> None:
    flags = ("--tls-cert", files / "cert", "--tls-key", files / "key", "--client-ca", files / "ca")
    extender = TlsExtender(stack, "both", *map(str, flags), "--client-ca-verbs", "prioritize,mutate")
    extender.until_ready(unknown)
    assert extender.request(unknown, "POST", "/mutate", b"{}")[0] == 403
    extender.component.stop()


def stranger(servers: Authority, _clients: Authority, directory: Path) -> ssl.SSLContext:
    return trusting(servers.pem, Authority("clients").client(), directory)


def late(servers: Authority, clients: Authority, directory: Path) -> ssl.SSLContext:
    return trusting(servers.pem, clients.client(timedelta(seconds=-5)), directory)


def server(servers: Authority, clients: Authority, directory: Path) -> ssl.SSLContext:
    return trusting(servers.pem, clients.server(), directory)


@pytest.mark.parametrize(
    ("client", "alert"),
    [
        pytest.param(stranger, "UNKNOWN_CA", id="another-ca"),
        pytest.param(late, "CERTIFICATE_EXPIRED", id="expired"),
        pytest.param(server, "UNSUPPORTED_CERTIFICATE", id="for-servers"),
    ],
)
def test_a_wrong_certificate_is_refused_in_the_handshake(
    guarded: TlsExtender, known: ssl.SSLContext, unknown: ssl.SSLContext, servers: Authority, clients: Authority,
    tmp_path: Path, client: Any, alert: str,
) -> None:  # fmt: skip
    before = refused(guarded.metrics(unknown), "handshake")
    said_to(guarded, client(servers, clients, tmp_path), alert)
    eventually(lambda: refused(guarded.metrics(unknown), "handshake") == before + 1, "the refusal to be counted")
    assert prefers(guarded, known)


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_an_old_version_of_tls_is_refused(guarded: TlsExtender, unknown: ssl.SSLContext, version: str) -> None:
    unknown.set_ciphers("ALL:@SECLEVEL=0")  # else the client would refuse by itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        unknown.minimum_version = unknown.maximum_version = ssl.TLSVersion[version]
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        guarded.served(unknown)


def test_tls_1_2_is_taken(guarded: TlsExtender, known: ssl.SSLContext) -> None:
    known.maximum_version = ssl.TLSVersion.TLSv1_2
    assert prefers(guarded, known)


@pytest.mark.parametrize(
    "sent", [b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 500, b"\x16\x03\x01\xff\xff" + b"x" * 500, b"\n"],
    ids=["plain-http", "zeros", "no-hello", "newline"],
)  # fmt: skip
def test_what_is_no_tls_gets_no_answer(guarded: TlsExtender, known: ssl.SSLContext, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=30) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"HTTP" not in answer
    assert b"lastnode" not in answer
    assert prefers(guarded, known)


# Clients that stop in the middle


def hello(context: ssl.SSLContext) -> bytes:
    """The first message of a handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1").do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("part", ["nothing", "a byte", "half a hello", "a hello"])
def test_handshakes_that_stop_do_not_hold_up_the_others(guarded: TlsExtender, known: ssl.SSLContext, part: str) -> None:
    whole = hello(known)
    sent = {"nothing": b"", "a byte": whole[:1], "half a hello": whole[: len(whole) // 2], "a hello": whole}[part]
    with contextlib.ExitStack() as stalled, contextlib.closing(guarded.connection(known)) as kept:
        assert hosts(ask(kept, "POST", "/prioritize", body())) == favoured(WANTED)
        for _ in range(STALLED):
            connection = stalled.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=30))
            connection.sendall(sent)
        assert prefers(guarded, known)
        assert hosts(ask(kept, "POST", "/prioritize", body())) == favoured(WANTED)
        assert prefers(guarded, known)


@pytest.mark.parametrize("sent", [b"", b"P", b"POST /prioritize HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"])
def test_nor_do_requests_that_stop_behind_a_good_handshake(
    guarded: TlsExtender, known: ssl.SSLContext, sent: bytes
) -> None:
    with contextlib.ExitStack() as stalled:
        for _ in range(STALLED):
            stalled.enter_context(guarded.handshake(known)).sendall(sent)
        assert prefers(guarded, known)


def test_nor_do_clients_that_send_a_byte_a_second(guarded: TlsExtender, known: ssl.SSLContext) -> None:
    with Drip("127.0.0.1", guarded.port, DRIPPING, known) as drip:
        until = time.monotonic() + 2 * REQUEST_SECONDS
        while time.monotonic() < until:
            assert prefers(guarded, known)
            assert guarded.request(known, "GET", "/livez") == (200, b"ok")
            time.sleep(0.2)
        assert drip.sending.acquire(timeout=60), "none of them had to come back"


def test_a_request_in_small_pieces_is_answered(guarded: TlsExtender, known: ssl.SSLContext) -> None:
    """One byte to a TLS record, all of them ready at once or not."""
    content = body()
    request = b"POST /prioritize HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(content)
    with guarded.handshake(known) as connection:
        for byte in request + content:
            connection.sendall(bytes([byte]))
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert WANTED.encode() in answer


# Renewal


def test_a_renewed_certificate_is_served_to_new_handshakes_and_open_connections_go_on(
    extender: TlsExtender, files: Mounted, servers: Authority, known: ssl.SSLContext, unknown: ssl.SSLContext
) -> None:
    expiry = "lastnode_certificate_expiry_timestamp_seconds"
    with contextlib.closing(extender.connection(known)) as kept:
        assert hosts(ask(kept, "POST", "/prioritize", body())) == favoured(WANTED)
        first = kept.sock
        for number in (1, 2):
            cert, key = servers.server(timedelta(days=number + 1))
            files.replace(cert=cert, key=key, ca=(files / "ca").read_bytes())
            eventually(lambda cert=cert: extender.served(unknown) == pki.der(cert), "the new certificate")  # type: ignore[misc]
            assert extender.metrics(unknown)[expiry] == pki.not_after(cert)
            assert hosts(ask(kept, "POST", "/prioritize", body())) == favoured(WANTED)
            assert kept.sock is first
    assert reloads(extender.metrics(unknown), "loaded") == 2
    assert reloads(extender.metrics(unknown), "failed") == 0


def test_requests_meet_no_failure_while_it_is_renewed_again_and_again(
    extender: TlsExtender, files: Mounted, servers: Authority, known: ssl.SSLContext, unknown: ssl.SSLContext
) -> None:
    answers: list[object] = []
    done = Event()

    def keep_asking() -> None:
        while not done.is_set():
            try:
                answers.append(hosts(extender.request(known, "POST", "/prioritize", body())))
            except Exception as error:
                answers.append(error)

    asking = Thread(target=keep_asking)
    asking.start()
    try:
        for _ in range(5):
            cert, key = servers.server()
            files.replace(cert=cert, key=key, ca=(files / "ca").read_bytes())
            eventually(lambda cert=cert: extender.served(unknown) == pki.der(cert), "the new certificate")  # type: ignore[misc]
    finally:
        done.set()
        asking.join()
    assert len(answers) > 5
    assert [answer for answer in answers if answer != favoured(WANTED)] == []


def test_what_cannot_be_used_is_left_alone_said_once_and_counted(
    extender: TlsExtender, files: Mounted, servers: Authority, unknown: ssl.SSLContext
) -> None:
    """A certificate without its key, garbage, no files at all; then the pair is complete."""
    before = extender.served(unknown)
    cert, key = servers.server()
    half = {"cert": cert, "ca": (files / "ca").read_bytes()}
    for number, bad in enumerate([half | {"key": (files / "key").read_bytes()}, half | {"key": b"garbage"}, {}], 1):
        files.replace(**bad)
        eventually(lambda n=number: reloads(extender.metrics(unknown), "failed") == n, f"failure {number}")  # type: ignore[misc]
        assert extender.served(unknown) == before
    reasons = ["the key is not that of the certificate", "no such PEM content", "No such file"]
    assert [len(extender.log_lines(reason)) for reason in reasons] == [1, 1, 1]
    files.replace(**half, key=key)
    eventually(lambda: extender.served(unknown) == pki.der(cert), "the complete pair")
    assert reloads(extender.metrics(unknown), "failed") == 3


def test_files_written_in_place_one_after_the_other_are_taken_when_both_are_there(
    extender: TlsExtender, files: Mounted, servers: Authority, unknown: ssl.SSLContext
) -> None:
    before = extender.served(unknown)
    cert, key = servers.server()
    files.write(key=key)
    eventually(lambda: reloads(extender.metrics(unknown), "failed") == 1, "the half to be seen")
    assert extender.served(unknown) == before
    files.write(cert=cert)
    eventually(lambda: extender.served(unknown) == pki.der(cert), "the pair")


def test_the_clients_ca_is_renewed_as_well(
    extender: TlsExtender, files: Mounted, servers: Authority, known: ssl.SSLContext, tmp_path: Path
) -> None:
    successor = Authority("clients")
    new = trusting(servers.pem, successor.client(), tmp_path)
    pair = {"cert": (files / "cert").read_bytes(), "key": (files / "key").read_bytes()}
    with contextlib.closing(extender.connection(known)) as kept:
        assert hosts(ask(kept, "POST", "/prioritize", body())) == favoured(WANTED)
        said_to(extender, new, "UNKNOWN_CA")
        files.replace(**pair, ca=(files / "ca").read_bytes() + successor.pem)
        eventually(lambda: is_let_in(extender, new), "the new CA to be taken")
        assert prefers(extender, known)  # while both are in the file
        files.replace(**pair, ca=successor.pem)
        eventually(lambda: not is_let_in(extender, known), "the old CA to be dropped")
        assert prefers(extender, new)
        assert hosts(ask(kept, "POST", "/prioritize", body())) == favoured(WANTED)  # let in before


def is_let_in(extender: TlsExtender, context: ssl.SSLContext) -> bool:
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        return prefers(extender, context)
    return False


# At the start


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ({"key": b"garbage"}, "no such PEM content"),
        ({"cert": b""}, "no such PEM content"),
        ({"ca": b"garbage"}, "no certificate in it"),
    ],
    ids=["key", "cert", "ca"],
)
def test_files_that_cannot_be_used_end_the_start_in_one_line(files: Mounted, bad: dict[str, bytes], line: str) -> None:
    files.write(**bad)
    assert line in start(files)


def test_a_key_of_another_certificate_does_too(files: Mounted, servers: Authority) -> None:
    files.write(key=servers.server()[1])
    assert "the key is not that of the certificate" in start(files)


def test_and_so_does_an_encrypted_key_without_a_question_on_the_terminal(files: Mounted) -> None:
    files.write(key=pki.encrypted((files / "key").read_bytes()))
    assert "the key is encrypted" in start(files)


def start(files: Mounted) -> str:
    """The one line that a start with these files ends with."""
    flags = ["--tls-cert", files / "cert", "--tls-key", files / "key", "--client-ca", files / "ca"]
    argv = [sys.executable, "-m", "extender.program", *map(str, flags)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    return ended.stderr


# The real kube-scheduler


def config(stack: Stack, extender: TlsExtender, servers: Authority, client: Path | None) -> dict[str, Any]:
    stack.extender_url = extender.url
    document = stack.scheduler_config("extender.yaml")
    (directory := stack.cp.dir / "tls").mkdir(exist_ok=True)
    (ca := directory / "servers.pem").write_bytes(servers.pem)
    tls = {"caFile": str(ca)} | ({"certFile": f"{client}.crt", "keyFile": f"{client}.key"} if client else {})
    document["extenders"][0] |= {"enableHTTPS": True, "tlsConfig": tls, "httpTimeout": "20s"}
    return document


@pytest.fixture
def scheduler(
    stack: Stack, extender: TlsExtender, servers: Authority, clients: Authority, tmp_path: Path
) -> Iterator[Component]:
    cert, key = clients.client()
    (tmp_path / "scheduler.crt").write_bytes(cert)
    (tmp_path / "scheduler.key").write_bytes(key)
    document = config(stack, extender, servers, tmp_path / "scheduler")
    with running(stack.cp.start_scheduler(f"scheduler-{next(_numbers)}", document)) as scheduler:
        yield scheduler


def session(name: str) -> dict[str, Any]:
    return session_pod("default", name, workload="w")


def test_sessions_come_back_through_the_schedulers_client_certificate_also_after_a_renewal(
    stack: Stack,
    extender: TlsExtender,
    scheduler: Component,
    files: Mounted,
    servers: Authority,
    unknown: ssl.SSLContext,
) -> None:
    preferred = 'lastnode_prioritize_total{result="preferred"}'
    assert place(stack, session("before")) == WANTED
    cert, key = servers.server()
    files.replace(cert=cert, key=key, ca=(files / "ca").read_bytes())
    eventually(lambda: extender.served(unknown) == pki.der(cert), "the new certificate")
    assert place(stack, session("after")) == WANTED
    extender.component.restart()  # so that the scheduler has to shake hands anew
    extender.until_ready(unknown)
    assert place(stack, session("anew")) == WANTED
    assert extender.metrics(unknown)[preferred] == 1


def test_a_scheduler_without_a_certificate_gets_nothing_and_schedules_all_the_same(
    stack: Stack, extender: TlsExtender, servers: Authority, unknown: ssl.SSLContext
) -> None:
    document = config(stack, extender, servers, None)
    with running(stack.cp.start_scheduler("bare", document)):
        for number in range(3):
            place(stack, session(f"bare-{number}"))
    after = extender.metrics(unknown)
    assert refused(after, "no_certificate") == 3
    assert after['lastnode_prioritize_total{result="preferred"}'] == 0
