"""The one client for plain URLs: what it raises, whom it asks, and that it ends in time."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from lastnode.kube.errors import NotFound, Unreachable
from lastnode.kube.fetch import fetch
from testbed.certificates import Authority

LIMIT = 1.0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/endless":
            while True:
                self.wfile.write(b"H")
                time.sleep(0.1)
        self.send_response(404 if self.path == "/nothing" else 200)
        self.end_headers()
        self.wfile.write(f"{self.path} of {self.headers['Host']}".encode())

    def log_message(self, format: str, *args: object) -> None: ...


class Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None: ...


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    server = Quiet(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def ca(server: ThreadingHTTPServer, tmp_path: Path) -> str:
    """The server speaks TLS with a certificate for 127.0.0.1 of this CA."""
    authority = Authority("ca")
    (tmp_path / "server.pem").write_bytes(b"".join(authority.server()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    return str(tmp_path / "ca.pem")


def test_a_body_comes_back_and_a_refusal_is_raised_by_its_status(server: ThreadingHTTPServer) -> None:
    where = f"127.0.0.1:{server.server_port}"
    assert fetch(f"http://{where}/a?b=c", seconds=30) == f"/a?b=c of {where}".encode()
    with pytest.raises(NotFound):
        fetch(f"http://{where}/nothing", seconds=30)


def test_one_address_of_a_name_is_asked_by_that_name(server: ThreadingHTTPServer) -> None:
    where = f"replicas.invalid:{server.server_port}"
    assert fetch(f"http://{where}/", seconds=30, address="127.0.0.1") == f"/ of {where}".encode()


def test_a_certificate_has_to_be_of_the_ca_and_for_the_url_s_name(server: ThreadingHTTPServer, ca: str) -> None:
    port = server.server_port
    assert fetch(f"https://127.0.0.1:{port}/", seconds=30, ca=ca)
    with pytest.raises(Unreachable, match="verify failed"):
        fetch(f"https://127.0.0.1:{port}/", seconds=30)
    with pytest.raises(Unreachable, match="verify failed"):
        fetch(f"https://replicas.invalid:{port}/", seconds=30, ca=ca, address="127.0.0.1")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://replicas.invalid/", "http://[", "nonsense"])
def test_where_nobody_answers_is_one_error(url: str) -> None:
    with pytest.raises(Unreachable):
        fetch(url, seconds=5)


def test_a_ca_that_is_not_there_is_the_same_error(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        fetch("https://127.0.0.1:1/", seconds=5, ca=str(tmp_path / "nowhere"))


def test_an_answer_without_end_is_given_up(server: ThreadingHTTPServer) -> None:
    """Each byte comes well before the time-out of a single wait."""
    with pytest.raises(Unreachable):
        fetch(f"http://127.0.0.1:{server.server_port}/endless", seconds=LIMIT)
