"""Tenants and clients who cost a recorder what they can, until they are left; nobody else shall notice."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from threading import Event, Thread

from testbed.errors import ApiError
from testbed.stack import Stack
from tests.fuzz.tenant import Tenant
from tests.fuzz.wild import Wild
from tests.recorder.space import Space

HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
WORKLOADS = 40  # of each tenant whose writes fail
SLOW_SECONDS = 3
UNREAD = 40
DEPTH = 20_000  # of calls: this process writes objects that are too deep for the recorder
_PAUSE = 0.02


@contextmanager
def hostile_tenants(plane: Stack, dice: random.Random) -> Iterator[None]:
    """One writes anything, one makes sessions of a single workload and never stops, and of two the writes are refused,
    at once or after a while, by a webhook of their own. Each in a namespace and a thread of its own."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    with ExitStack() as left:
        left.callback(sys.setrecursionlimit, before)
        closed, silent = (left.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512)) for _ in range(2))
        anything = Tenant(plane.api, Space(plane).name, Wild(random.Random(dice.random()), datetime.now(UTC)))
        refused, slow, many = Space(plane), Space(plane), Space(plane)
        for space, listener in ((refused, closed), (slow, silent)):
            for number in range(WORKLOADS):
                space.workload(f"w{number}")
            plane.api.post(HOOKS, refusing(space.name, listener.getsockname()[1]))
        closed.close()
        many.workload("w0")
        for step in (anything.step, sessions(refused, WORKLOADS), sessions(slow, WORKLOADS), sessions(many, 1)):
            left.enter_context(again_and_again(step))
        yield


def refusing(namespace: str, port: int) -> dict[str, object]:
    """A policy for all changes of workloads there, which is down: nobody listens on ``port``, or nobody answers."""
    rule = {"apiGroups": ["runtime.agentcube.volcano.sh"], "apiVersions": ["*"], "operations": ["UPDATE"]}
    webhook = {
        "name": "policy.example.com",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
        "rules": [rule | {"resources": ["*"]}],
        "failurePolicy": "Fail",
        "timeoutSeconds": SLOW_SECONDS,
        "sideEffects": "None",
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"policy-{namespace}"},
        "webhooks": [webhook],
    }


def sessions(space: Space, workloads: int) -> Callable[[], None]:
    """What runs one more session at each call, each workload in turn."""
    node = space.node("n")
    numbers = itertools.count(1)

    def step() -> None:
        number = next(numbers)
        pod = space.pod(f"p{number}", node, workload=f"w{number % workloads}", kind="AgentRuntime")
        space.status(pod, "Running", number)
        if number % 2:
            space.delete_pod(pod)

    return step


@contextmanager
def again_and_again(step: Callable[[], None]) -> Iterator[None]:
    """In a thread; whatever the API server says is put up with."""
    over = Event()

    def run() -> None:
        while not over.wait(_PAUSE):
            with contextlib.suppress(ApiError):
                step()

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(90)
        assert not thread.is_alive()


@contextmanager
def unread(host: str, port: int) -> Iterator[None]:
    """So many clients that ask for all sessions and never read the answer; hung up on, they come back."""
    clients: dict[int, socket.socket] = {}
    numbers = itertools.cycle(range(UNREAD))

    def step() -> None:
        number = next(numbers)
        with contextlib.suppress(OSError):
            if number in clients and not gone(clients[number]):
                return
            if number in clients:
                clients.pop(number).close()
            client = clients[number] = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(5)
            client.connect((host, port))
            client.sendall(b"GET /sessions HTTP/1.1\r\nHost: recorder\r\n\r\n")

    try:
        with again_and_again(step):
            yield
    finally:
        for client in clients.values():
            client.close()


def gone(client: socket.socket) -> bool:
    """Whether the other side has ended, as far as can be seen without taking what it sent."""
    try:
        return not client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
