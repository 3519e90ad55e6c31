"""The recorder may do what it needs and nothing else: its own ServiceAccount, the real authorizer, the audit log."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest

from lastnode.kube.lease import Timing
from testbed.apply import apply
from testbed.errors import ApiError
from testbed.stack import Stack
from tests.extender.cluster import create, pod_spec
from tests.rbac import (
    NAMESPACE,
    REFUSALS,
    ROWS,
    Account,
    Audit,
    Program,
    Right,
    as_json,
    granted,
    insists,
    keeps_the_pace,
    manifest,
    watched,
)
from tests.recorder.conftest import _running as running
from tests.recorder.space import Space
from tests.recorder.tcpproxy import TcpProxy
from tests.subjects import KINDS, Subject, needing

EACH_KIND = pytest.mark.parametrize("resource", KINDS)
WATCHED = watched(manifest("recorder", ROWS))
FLAGS = ("--lease-namespace", NAMESPACE, "--kinds", as_json(ROWS))
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEASE = {"metadata": {"name": "lastnode-recorder"}, "spec": {}}  # nobody's

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return Audit(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="module")
def stack(audit: Audit) -> Iterator[Stack]:
    yield from running(Stack.start(apiserver_flags=audit.flags))


@pytest.fixture(scope="module")
def shipped(stack: Stack, audit: Audit) -> Account:
    return Account(stack, audit, "recorder", ROWS)


@pytest.fixture
def account(shipped: Account) -> Iterator[Account]:
    yield shipped
    shipped.restore()


@pytest.fixture
def proxy(stack: Stack) -> Iterator[TcpProxy]:
    with TcpProxy(int(stack.cp.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.fixture
def recorder(account: Account, proxy: TcpProxy, tmp_path: Path) -> Iterator[Program]:
    kubeconfig = proxy.kubeconfig(account.kubeconfig, tmp_path / "kubeconfig")
    recorder = Program(account, "recorder.program", kubeconfig, f"recorder-{next(_numbers)}")
    yield recorder
    recorder.stop()
    remove_lease(account.stack)


def start(stack: Stack, recorder: Program) -> None:
    recorder.start(*FLAGS)
    stack.wait(recorder.is_ready, "the recorder to be ready")


def remove_lease(stack: Stack) -> None:
    """Otherwise the next recorder would wait for one that ended without the right to give it back."""
    try:
        stack.api.delete(f"{LEASES}/{LEASE['metadata']['name']}")
    except ApiError as error:
        if error.status != 404:
            raise


def right(verb: str, resource: str) -> Right:
    plural, _, group = resource.partition(".")
    return Right(verb, group, plural)


def session(space: Space, subject: Subject, name: str, node: str, ready_at: float) -> None:
    """Its pod on that node, Ready since so many seconds after START."""
    pod = create(space.stack, subject.pod(name, pod_spec(nodeName=node)))
    space.status(pod, "Running", ready_at)


@contextmanager
def disturbed(subject: Subject) -> Iterator[None]:
    """Somebody else writes to the workload all the time, so the version that the recorder knows is an old one: 409."""
    over = Event()

    def write() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            subject.change({"metadata": {"annotations": {"example.com/count": str(number)}}})

    other = Thread(target=write)
    other.start()
    try:
        yield
    finally:
        over.set()
        other.join(30)


def sessions_until_asked(account: Account, space: Space, subject: Subject, wanted: Right) -> str:
    """Sessions on one new node after the other until that request was seen; returns the last one's node."""
    nodes: list[str] = []

    def reached() -> bool:
        nodes.append(space.node(f"n{len(nodes)}"))
        session(space, subject, f"s{len(nodes)}", nodes[-1], ready_at=len(nodes))
        return wanted in account.rights_asked()

    with disturbed(subject):
        account.stack.wait(reached, f"{wanted} in the audit log")
    return nodes[-1]


def test_it_uses_every_right_that_it_is_granted_and_no_other(stack: Stack, account: Account, recorder: Program) -> None:
    start(stack, recorder)
    for resource in KINDS:
        space = Space(stack)
        subject = Subject(stack, resource, space.name)
        subject.remembers(sessions_until_asked(account, space, subject, right("get", resource)))
    # A session that ran elsewhere than the one before it, whatever there was above.
    space = Space(stack)
    space.workload()
    for second, name in enumerate(("a", "b"), 1):
        node = space.node(name)
        space.session(f"s{second}", node, second)
        space.written(node)
    space.pod("waits", "")  # to be placed; nobody has asked for nominations
    # What follows the writes: the lease is renewed, and the owner of a session that moved is told.
    later = {Right("update", "coordination.k8s.io", "leases"), Right("create", "", "events")}
    stack.wait(lambda: later <= account.rights_asked(), "the lease to be renewed and an Event to be created")
    assert account.rights_asked() == account.granted
    assert account.all_refused() == []
    groups = {right.group for right in account.granted} - {""}
    assert all(path.split("/")[1] == "apis" and path.split("/")[2] in groups for path in account.other_paths())


@pytest.mark.parametrize("collection", WATCHED)
def test_it_says_what_it_may_not_read_and_catches_up_when_it_may(
    stack: Stack, account: Account, recorder: Program, collection: str
) -> None:
    space = Space(stack)
    subject = needing(stack, collection, space.name)
    missing = {right.verb: right for right in account.granted if right.collection == collection}
    account.allow_only(account.granted - {missing["list"], missing["watch"]})
    recorder.start(*FLAGS)
    stack.wait(lambda: recorder.misses(collection), f"/readyz to name {collection}")
    stack.wait(lambda: recorder.says_forbidden(collection), f"the log to name {collection}")
    counted = recorder.refusals(collection)
    assert counted > 0
    first = space.node("a")
    session(space, subject, "s1", first, ready_at=1)

    account.allow_only(account.granted - {missing["watch"]})
    subject.remembers(first)  # a list is enough for what is there already
    stack.wait(lambda: recorder.refusals(collection) > counted, "the watch to be refused")
    stack.wait(lambda: recorder.misses(collection), f"/readyz to name {collection}")
    second = space.node("b")
    session(space, subject, "s2", second, ready_at=2)

    account.restore()
    subject.remembers(second)
    stack.wait(recorder.is_ready, "the recorder to be ready again")
    assert subject.nodes() == [second, first]
    assert {asked.right for asked in account.all_refused()} == {missing["list"], missing["watch"]}
    refused = account.refused(collection)
    assert any(len(stream) > 1 for stream in refused)
    assert all(map(keeps_the_pace, refused))


@EACH_KIND
def test_a_forbidden_write_is_asked_for_once_a_session_and_made_up_for_later(
    stack: Stack, account: Account, recorder: Program, resource: str
) -> None:
    space, patch = Space(stack), right("patch", resource)
    first, second = space.node("a"), space.node("b")
    subject = Subject(stack, resource, space.name)
    start(stack, recorder)
    account.allow_only(account.granted - {patch})
    session(space, subject, "s1", first, ready_at=1)
    stack.wait(lambda: recorder.says_forbidden(resource), f"the log to name {resource}")
    assert recorder.metric('lastnode_record_writes_total{result="refused"}') == 1
    assert recorder.metric("lastnode_record_pending_workloads") == 1

    account.restore()
    session(space, subject, "s2", second, ready_at=2)
    subject.remembers(second)
    assert subject.nodes() == [second, first]
    assert [asked.right for asked in account.all_refused()] == [patch]


@EACH_KIND
def test_without_the_fresh_state_after_a_conflict_it_waits_for_the_watch(
    stack: Stack, account: Account, recorder: Program, resource: str
) -> None:
    space, get, patch = Space(stack), right("get", resource), right("patch", resource)
    subject = Subject(stack, resource, space.name)
    start(stack, recorder)
    account.allow_only(account.granted - {get})
    subject.remembers(sessions_until_asked(account, space, subject, get))
    assert {asked.right for asked in account.all_refused()} == {get}
    assert recorder.says_forbidden("not read after a conflict")
    conflicts = [asked for asked in account.asked() if asked.right == patch and asked.code == 409]
    assert 1 <= len(account.all_refused()) <= len(conflicts)
    assert recorder.metric('lastnode_record_writes_total{result="conflict"}') == len(conflicts)


@pytest.mark.parametrize(
    "verb", sorted(right.verb for right in granted(manifest("recorder")) if right.resource == "leases")
)
def test_without_a_right_on_its_lease_it_does_not_write_and_makes_up_for_it_later(
    stack: Stack, account: Account, recorder: Program, verb: str
) -> None:
    space, needed = Space(stack), Right(verb, "coordination.k8s.io", "leases")
    if verb == "update":
        stack.api.post(LEASES, LEASE)  # to be taken, not made
    node = space.node("a")
    space.workload()
    account.allow_only(account.granted - {needed})
    start(stack, recorder)
    space.session("s", node, ready_at=1)
    stack.wait(lambda: len(account.all_refused()) >= REFUSALS, f"{needed} to be refused")
    assert recorder.says_forbidden(f"lease {NAMESPACE}/")
    assert recorder.metric("lastnode_leader") == 0
    assert space.untouched()

    account.restore()
    space.written(node)
    assert recorder.metric("lastnode_leader") == 1
    assert {asked.right for asked in account.all_refused()} == {needed}
    moments = [asked.at for asked in account.all_refused()]
    assert all(later - earlier >= Timing().retry for earlier, later in itertools.pairwise(moments))


def test_a_running_recorder_that_loses_every_right_asks_seldom_and_loses_nothing(
    stack: Stack, account: Account, recorder: Program, proxy: TcpProxy
) -> None:
    space = Space(stack)
    space.workload()
    start(stack, recorder)
    account.allow_only(set())
    proxy.cut()  # the API server does not end a watch because its right has gone
    for collection in WATCHED:
        stack.wait(lambda c=collection: insists(account, c), f"{REFUSALS} refusals of {collection}")  # type: ignore[misc]
        assert recorder.misses(collection)
        assert recorder.says_forbidden(collection)
    node = space.node("a")
    space.session("s", node, ready_at=1)

    account.restore()
    space.written(node)
    stack.wait(recorder.is_ready, "the recorder to be ready again")
    assert all(keeps_the_pace(stream) for collection in WATCHED for stream in account.refused(collection))


def test_with_the_option_it_nominates_by_one_right_more_and_without_that_says_so_once(
    stack: Stack, shipped: Account, audit: Audit, proxy: TcpProxy, tmp_path: Path
) -> None:
    account = Account(stack, audit, "recorder", ROWS, "recorder.settings.nominate=1")
    kubeconfig = proxy.kubeconfig(account.kubeconfig, tmp_path / "kubeconfig")
    recorder = Program(account, "recorder.program", kubeconfig, "recorder-nominating")
    more = Right("patch", "", "pods/status")
    try:
        recorder.start(*FLAGS, "--nominate", "1")
        stack.wait(recorder.is_ready, "the recorder to be ready")
        space = Space(stack)
        space.workload()
        node = space.node("a")
        space.session("s1", node, ready_at=1)
        space.written(node)
        waiting = f"/api/v1/namespaces/{space.name}/pods/{space.pod('s2', '', workload='w')['metadata']['name']}"
        stack.wait(lambda: stack.api.get(waiting)["status"].get("nominatedNodeName") == node, "the nomination")
        assert account.rights_asked() - shipped.granted == {more}
        account.allow_only(account.granted - {more})
        for name in ("s3", "s4"):
            space.pod(name, "", workload="w")
        refused = 'lastnode_nominations_total{result="refused"}'
        stack.wait(lambda: recorder.metric(refused) == 2, "both to be refused")
        assert {asked.right for asked in account.all_refused()} == {more}
        assert recorder.says_forbidden("nomination refused, said once")
    finally:
        recorder.stop()
        remove_lease(stack)
        apply(stack.cp, shipped.documents)


def test_without_the_right_to_create_events_all_else_is_done_and_it_says_so_once(
    stack: Stack, account: Account, recorder: Program
) -> None:
    space, needed = Space(stack), Right("create", "", "events")
    account.allow_only(account.granted - {needed})
    start(stack, recorder)
    nodes = [space.node("a"), space.node("b")]
    for name in ("w1", "w2"):
        space.workload(name)
        for second, node in enumerate(nodes, 1):
            space.session(f"{name}-{second}", node, second, name)
            space.written(node, name)
    refused = 'lastnode_session_events_total{result="refused"}'
    stack.wait(lambda: recorder.metric(refused) == 2, "both Events to be refused")
    assert {asked.right for asked in account.all_refused()} == {needed}
    assert recorder.says_forbidden("Events of moved sessions cannot be created, said once")
