"""What answers cost that nobody reads: the recorder's page with a full journal, in a process that is measured."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.paths import REPOSITORY
from tests.waiting import eventually

SESSIONS = 10_000
CLIENTS = 300
MEGABYTE = 1024 * 1024

PROGRAM = f"""
from lastnode.daemon.http import Pages, PageServer
from lastnode.outcome import Outcome, SessionRecord
from recorder.journal import SessionLog, sessions_page

log = SessionLog({SESSIONS}, "me")
for number in range({SESSIONS}):
    log.add(SessionRecord(namespace="namespace", pod=f"pod-{{number}}", pod_uid=f"{{number:036}}", workload="w" * 60,
                          kind="AgentRuntime", node="n" * 60, last_node="n" * 60, outcome=Outcome.REUSED))
server = PageServer(("127.0.0.1", 0), Pages({{}}, {{}}, {{"/sessions": sessions_page(log, lambda: True, None)}}))
print(server.server_port, flush=True)
server.run()
"""


@pytest.fixture
def served() -> Iterator[tuple[int, int]]:
    """Its port and its process."""
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
        process.kill()


def largest(pid: int) -> int:
    """The most memory that the process had so far, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) * 1024


def ask(port: int, path: str) -> tuple[int, int]:
    """Status and length of an answer that is read."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, len(answer.read())


def test_hundreds_of_answers_that_nobody_reads_cost_no_memory_and_keep_no_probe_waiting(
    served: tuple[int, int],
) -> None:
    port, pid = served
    status, length = ask(port, "/sessions")
    assert status == 200
    assert length > 3 * MEGABYTE
    before = largest(pid)
    with contextlib.ExitStack() as clients:
        for number in range(CLIENTS):
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.sendall(b"GET /sessions HTTP/1.1\r\nHost: recorder\r\n\r\n")
            if number % 50 == 0:
                assert ask(port, "/livez")[0] == 200
        eventually(lambda: ask(port, "/sessions") == (200, length), "the page to be given to a client that reads", 60)
    assert largest(pid) - before < 50 * MEGABYTE


def test_requests_without_end_cost_no_memory_either(served: tuple[int, int]) -> None:
    port, pid = served
    before = largest(pid)
    field = b"X: " + b"x" * 60_000 + b"\r\n"
    with contextlib.ExitStack() as clients:
        for _ in range(100):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with contextlib.suppress(OSError):  # hung up on
                client.sendall(b"GET /livez HTTP/1.1\r\n")
                for _ in range(90):
                    client.sendall(field)
        assert ask(port, "/livez")[0] == 200
    assert largest(pid) - before < 50 * MEGABYTE
