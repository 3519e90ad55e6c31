"""The extender before its view is complete: it starts without an API server, answers, and says that it is not ready."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.extender.cluster import (
    Wire,
    create,
    entry,
    favoured,
    make_nodes,
    session_pod,
    sticky_runtime,
)
from tests.waiting import eventually


class Forwarder:
    """A loopback port in front of another one. Nobody listens on it before :meth:`open`."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._listener: socket.socket | None = None
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.settimeout(0.1)
        self._start(self._accept, self._listener)

    def close(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        if self._listener:
            self._listener.close()

    def _start(self, work: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                self._start(self._forward, client, socket.create_connection(("127.0.0.1", self._target)))

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with client, server, contextlib.suppress(OSError):
            while not self._stopping.is_set():
                for readable in select.select([client, server], [], [], 0.1)[0]:
                    if not (data := readable.recv(65536)):
                        return
                    other[readable].sendall(data)


@pytest.fixture
def forwarder(stack: Stack) -> Iterator[Forwarder]:
    forwarder = Forwarder(stack.cp.free_port(), int(stack.cp.url.rpartition(":")[2]))
    yield forwarder
    forwarder.close()


def test_without_an_api_server_it_answers_nothing_is_not_ready_and_catches_up_later(
    stack: Stack, forwarder: Forwarder, namespace: str, tmp_path: Path
) -> None:
    node = f"{namespace}-node"
    nodes = make_nodes(stack, [node])
    create(stack, sticky_runtime("w", namespace, entry(nodes[node])))
    pod = session_pod(namespace, workload="w")
    kubeconfig = yaml.safe_load(stack.cp.kubeconfig.read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{forwarder.port}"
    path = tmp_path / "kubeconfig.yaml"
    path.write_text(yaml.safe_dump(kubeconfig))

    port = stack.cp.free_port()
    argv = ["-m", "extender.program", "--kubeconfig", str(path), "--bind", f"127.0.0.1:{port}"]
    url = f"http://127.0.0.1:{port}"
    program = stack.cp.spawn("late", [sys.executable, *argv], ready_url=f"{url}/livez", cwd=REPOSITORY)
    try:
        wire = Wire(url)
        assert wire.request("GET", "/readyz")[0] == 503
        assert b"not listed yet" in wire.request("GET", "/readyz")[1]
        assert wire.ask(pod, [node]) == (200, b"[]", "not_synced")
        assert wire.request("GET", "/livez") == (200, b"ok")
        forwarder.open()
        eventually(lambda: wire.request("GET", "/readyz") == (200, b"ok"), "the extender to be ready", 60)
        assert wire.expect("preferred", pod, [node]).hosts == favoured(node)
        forwarder.close()
        assert wire.request("GET", "/readyz") == (200, b"ok")  # what is known stays useful
        assert wire.expect("preferred", pod, [node]).hosts == favoured(node)
    finally:
        assert program.stop() == 0
        stack.api.delete(f"/api/v1/nodes/{node}")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("module", ["extender.program", "recorder.program"])
def test_both_programs_serve_all_addresses_of_both_families(stack: Stack, module: str) -> None:
    port = stack.cp.free_port()
    argv = [sys.executable, "-m", module, "--kubeconfig", str(stack.cp.kubeconfig), "--bind", f"[::]:{port}"]
    argv += ["--no-leader-elect"] if module.startswith("recorder") else []
    program = stack.cp.spawn(f"dual-{module}", argv, ready_url=f"http://127.0.0.1:{port}/livez", cwd=REPOSITORY)
    try:
        for host in ("127.0.0.1", "::1"):
            with contextlib.closing(http.client.HTTPConnection(host, port, timeout=30)) as connection:
                connection.request("GET", "/livez")
                assert connection.getresponse().read() == b"ok"
    finally:
        assert program.stop() == 0
