"""The testbed's own client: what it makes of an API server that is not ready for a request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from testbed.api import Api
from testbed.certificates import Authority
from testbed.errors import ApiError

MADE = {"kind": "Pod"}


class Server(ThreadingHTTPServer):
    """Answers with these statuses, one after the other; the last one stays."""

    statuses: list[int]
    asked: list[bytes]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        status = self.server.statuses.pop(0) if len(self.server.statuses) > 1 else self.server.statuses[0]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(MADE if status == 201 else {"message": "not now"}).encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    path.write_bytes(Authority("any").pem)
    return path


@pytest.mark.parametrize("status", [429, 503])
def test_not_now_is_asked_again_until_it_is_answered(server: Server, ca: Path, status: int) -> None:
    server.statuses = [status, status, 201]
    assert Api(f"http://127.0.0.1:{server.server_port}", ca, "token").post("/pods", {"n": 1}) == MADE
    assert server.asked == [b'{"n": 1}'] * 3


@pytest.mark.parametrize(("status", "most"), [(503, 10), (409, 1), (500, 1)])
def test_what_stays_refused_is_told(server: Server, ca: Path, status: int, most: int) -> None:
    server.statuses = [status]
    with pytest.raises(ApiError, match=f"{status}: not now") as error:
        Api(f"http://127.0.0.1:{server.server_port}", ca, "token", patience=0.5).post("/pods", {})
    assert error.value.status == status
    assert 1 <= len(server.asked) <= most
