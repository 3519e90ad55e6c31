"""The extender may read what it needs and nothing else: its own ServiceAccount, the real authorizer, the audit log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import Wire, entry, favoured, make_nodes
from tests.rbac import REFUSALS, ROWS, Account, Audit, Program, as_json, insists, keeps_the_pace, manifest, watched
from tests.recorder.tcpproxy import TcpProxy
from tests.subjects import needing

WATCHED = watched(manifest("extender", ROWS))
FLAGS = ("--kinds", as_json(ROWS))

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return Audit(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def audited(audit: Audit) -> Iterator[Stack]:
    with Stack.start(apiserver_flags=audit.flags) as stack:
        yield stack


@pytest.fixture(scope="module")
def shipped(audited: Stack, audit: Audit) -> Account:
    return Account(audited, audit, "extender", ROWS)


@pytest.fixture
def stack(audited: Stack) -> Stack:
    return audited


@pytest.fixture
def account(shipped: Account) -> Iterator[Account]:
    yield shipped
    shipped.restore()


@pytest.fixture
def proxy(stack: Stack) -> Iterator[TcpProxy]:
    with TcpProxy(int(stack.cp.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def extender(account: Account, proxy: TcpProxy, tmp_path: Path) -> Iterator[Program]:
    kubeconfig = proxy.kubeconfig(account.kubeconfig, tmp_path / "kubeconfig")
    extender = Program(account, "extender.program", kubeconfig, f"extender-{next(_numbers)}")
    yield extender
    extender.stop()


@pytest.fixture
def wire(extender: Program) -> Wire:
    return Wire(extender.url)


class Remembered(NamedTuple):
    """A session's pod, and the node that its workload remembers."""

    pod: Object
    node: str


def remembered(stack: Stack, namespace: str, collection: str = "") -> Remembered:
    """A new node, a workload that remembers it, a session's pod, what stands between: found only by who sees them all.

    ``collection``: one of a kind that needs it."""
    name = f"w{next(_numbers)}"
    node = make_nodes(stack, [f"{namespace}-{name}"])[f"{namespace}-{name}"]
    subject = needing(stack, collection, namespace, name)
    subject.remember(entry(node))
    return Remembered(subject.pod(f"p-{name}"), node["metadata"]["name"])


def prefers(wire: Wire, session: Remembered) -> bool:
    return bool(wire.ask(session.pod, [session.node]).hosts == favoured(session.node))


def test_it_uses_every_right_that_it_is_granted_and_no_other(
    stack: Stack, account: Account, extender: Program, wire: Wire, namespace: str
) -> None:
    extender.start(*FLAGS)
    stack.wait(extender.is_ready, "the extender to be ready")
    for collection in WATCHED:
        session = remembered(stack, namespace, collection)
        wire.expect_node(session.node, session.pod, [session.node])
    assert account.rights_asked() == account.granted
    assert account.all_refused() == []
    groups = {right.group for right in account.granted} - {""}
    assert all(path.split("/")[1] == "apis" and path.split("/")[2] in groups for path in account.other_paths())


def test_it_is_granted_nothing_that_changes_anything(account: Account) -> None:
    assert {right.verb for right in account.granted} == {"list", "watch"}


@pytest.mark.parametrize("collection", WATCHED)
def test_it_says_what_it_may_not_read_and_catches_up_when_it_may(
    stack: Stack, account: Account, extender: Program, wire: Wire, namespace: str, collection: str
) -> None:
    missing = {right.verb: right for right in account.granted if right.collection == collection}
    account.allow_only(account.granted - {missing["list"], missing["watch"]})
    first = remembered(stack, namespace, collection)
    extender.start(*FLAGS)
    stack.wait(lambda: extender.misses(collection), f"/readyz to name {collection}")
    stack.wait(lambda: extender.says_forbidden(collection), f"the log to name {collection}")
    counted = extender.refusals(collection)
    assert counted > 0
    assert wire.ask(first.pod, [first.node]).hosts == []

    account.allow_only(account.granted - {missing["watch"]})
    wire.expect_node(first.node, first.pod, [first.node])  # a list is enough for what is there already
    stack.wait(lambda: extender.refusals(collection) > counted, "the watch to be refused")
    assert extender.is_ready()  # it answers from its last view
    second = remembered(stack, namespace, collection)
    assert wire.ask(second.pod, [second.node]).hosts == []
    assert prefers(wire, first)

    account.restore()
    wire.expect_node(second.node, second.pod, [second.node])
    assert {asked.right for asked in account.all_refused()} == {missing["list"], missing["watch"]}
    (refused,) = account.refused(collection)
    assert len(refused) > 1
    assert keeps_the_pace(refused)


def test_a_running_extender_that_loses_every_right_answers_on_and_asks_seldom(
    stack: Stack, account: Account, extender: Program, wire: Wire, proxy: TcpProxy, namespace: str
) -> None:
    before = remembered(stack, namespace)
    extender.start(*FLAGS)
    wire.expect_node(before.node, before.pod, [before.node])
    account.allow_only(set())
    proxy.cut()  # the API server does not end a watch because its right has gone
    for collection in WATCHED:
        stack.wait(lambda c=collection: insists(account, c), f"{REFUSALS} refusals of {collection}")  # type: ignore[misc]
        assert extender.refusals(collection) > 0
        assert extender.says_forbidden(collection)
    since = remembered(stack, namespace)
    assert prefers(wire, before)
    assert not prefers(wire, since)

    account.restore()
    wire.expect_node(since.node, since.pod, [since.node])
    assert all(keeps_the_pace(stream) for collection in WATCHED for stream in account.refused(collection))
