"""An extender that serves TLS, and what is said to it over the wire."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testbed.component import Component
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.waiting import eventually


class TlsExtender:
    """A started one. ``component`` ends with the control plane at the latest."""

    def __init__(self, stack: Stack, name: str, *flags: str, kubeconfig: Path | None = None) -> None:
        self.port = stack.cp.free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        argv = [sys.executable, "-m", "extender.program", "--kubeconfig", str(kubeconfig or stack.cp.kubeconfig)]
        argv += ["--bind", f"127.0.0.1:{self.port}", "--log-level", "debug", *flags]
        self.component: Component = stack.cp.spawn(name, argv, cwd=REPOSITORY)

    def connection(self, context: ssl.SSLContext, seconds: float = 30.0) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=seconds)

    def request(self, context: ssl.SSLContext, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """On a connection of its own."""
        with contextlib.closing(self.connection(context)) as connection:
            return ask(connection, method, path, body)

    def served(self, context: ssl.SSLContext) -> bytes:
        """The certificate of a new handshake, DER."""
        with self.handshake(context) as connection:
            return connection.getpeercert(binary_form=True) or b""

    @contextmanager
    def handshake(self, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            yield connection

    def metrics(self, context: ssl.SSLContext) -> dict[str, float]:
        status, page = self.request(context, "GET", "/metrics")
        assert status == 200
        samples = (line.rsplit(" ", 1) for line in page.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def until_ready(self, context: ssl.SSLContext, seconds: float = 60.0) -> None:
        def ready() -> bool:
            assert self.component.alive, self.component.tail()
            with contextlib.suppress(ConnectionRefusedError):
                return self.request(context, "GET", "/readyz")[0] == 200
            return False

        eventually(ready, "the extender to be ready", seconds)

    def log_lines(self, part: str) -> list[str]:
        return [line for line in self.component.log.read_text(encoding="utf-8").splitlines() if part in line]


def ask(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection.request(method, path, body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def hosts(answer: tuple[int, bytes]) -> Any:
    """What a 200 holds; the status of anything else."""
    return json.loads(answer[1]) if answer[0] == 200 else answer[0]


def refused(metrics: Mapping[str, float], reason: str) -> float:
    return metrics[f'lastnode_clients_refused_total{{reason="{reason}"}}']


def reloads(metrics: Mapping[str, float], result: str) -> float:
    return metrics[f'lastnode_certificate_reloads_total{{result="{result}"}}']
