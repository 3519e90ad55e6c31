"""POST /mutate, called over TLS by a real API server: what pods get, and what every way to fail costs them."""

from __future__ import annotations

import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lastnode.contract import WORKLOAD_NAME_LABEL
from lastnode.injector import prefer_node
from lastnode.preference import PREFERRED
from testbed import webhook as local
from testbed.certificates import CERT, KEY, Authority
from testbed.stack import Stack
from testbed.workloads import Object
from tests.extender.cluster import Wire as PlainWire
from tests.extender.cluster import (
    create,
    entry,
    make_nodes,
    pod_spec,
    relabel,
    remove,
    sandbox,
    scheduled,
    session_pod,
    sticky_runtime,
)
from tests.waiting import eventually

NODES = [f"node-{number}" for number in range(6)]
LAST = NODES[3]
TIMEOUT_SECONDS = 2
STICKY = "sticky-scheduler"

_numbers = itertools.count(1)


class Cluster:
    """A control plane that asks a webhook about the session pods of namespace default, and one workload in it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.nodes = make_nodes(stack, NODES)
        create(stack, sticky_runtime("w", "default", entry(self.nodes[LAST])))
        stack.start_webhook(timeout_seconds=TIMEOUT_SECONDS, only=["default"])
        self.returns()

    def pod(self, workload: str = "w", **how: Any) -> Object:
        """A session's pod as the API server made it; it is deleted again."""
        made = create(self.stack, session_pod("default", f"pod-{next(_numbers)}", workload=workload, **how))
        remove(self.stack, made)
        return made

    def returns(self) -> None:
        """Wait until pods of the workload come with the preference."""
        eventually(lambda: terms(self.pod()) == [preference(LAST)], "pods to come with the preference")

    def results(self) -> dict[str, float]:
        """lastnode_injections_total by result."""
        start = 'lastnode_injections_total{result="'
        samples = self.stack.metrics(self.stack.webhook_url).items()
        return {name.removeprefix(start)[:-2]: value for name, value in samples if name.startswith(start)}

    def counted(self, **how: Any) -> dict[str, float]:
        """What the counters say about one pod."""
        before = self.results()
        self.pod(**how)
        return {name: value - before[name] for name, value in self.results().items() if value != before[name]}

    def failed_open(self, webhook: str = "webhook") -> float:
        """How many pods the API server let pass because that webhook gave no answer."""
        name = f'apiserver_admission_webhook_fail_open_count{{name="{webhook}.lastnode.dev"'
        lines = [line for line in self.stack.api.get("/metrics").splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def terms(pod: Object) -> list[Object]:
    found: list[Object] = pod["spec"].get("affinity", {}).get("nodeAffinity", {}).get(PREFERRED, [])
    return found


def preference(node: str) -> Object:
    (term,) = terms({"spec": prefer_node(pod_spec(), node)})
    return term


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Stack.start() as stack:
        yield Cluster(stack)


@pytest.fixture
def stack(cluster: Cluster) -> Stack:
    return cluster.stack


def test_a_session_s_pod_is_created_with_the_preference_beside_what_its_author_wrote(cluster: Cluster) -> None:
    own = {"weight": 7, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}
    spec = pod_spec(affinity={"nodeAffinity": {PREFERRED: [own]}})
    assert terms(cluster.pod(spec=spec)) == [own, preference(LAST)]


def test_a_pod_comes_with_a_term_a_weight_and_one_more_for_each_node_without_a_hostname(cluster: Cluster) -> None:
    (bare,) = make_nodes(cluster.stack, ["bare"]).values()
    relabel(cluster.stack, "bare", None)
    nodes = [cluster.nodes[LAST], cluster.nodes[NODES[0]], cluster.nodes[NODES[1]], bare]
    entries = [entry(node, timedelta(minutes=age)) for age, node in enumerate(nodes, 1)]
    name = f"several-{next(_numbers)}"
    create(cluster.stack, sticky_runtime(name, "default", *entries))
    older = {"weight": 10, "preference": {"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODES[0], NODES[1]]}
    ]}}  # fmt: skip
    by_name = {"weight": 10, "preference": {"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": ["bare"]}
    ]}}  # fmt: skip
    eventually(lambda: terms(cluster.pod(workload=name)) == [preference(LAST), older, by_name], "a pod with all terms")
    # What the library said of the last node stays, and the rest is added.
    partly = prefer_node(pod_spec(), LAST)
    assert terms(cluster.pod(workload=name, spec=partly)) == [preference(LAST), older, by_name]
    assert cluster.counted(workload=name, spec=cluster.pod(workload=name)["spec"]) == {"already_injected": 1}


def test_the_pod_of_a_sandbox_made_just_before_it_has_the_preference(cluster: Cluster) -> None:
    name = f"sandbox-{next(_numbers)}"
    owner = create(cluster.stack, sandbox(name, "default", {WORKLOAD_NAME_LABEL: "w"}))
    assert terms(cluster.pod(workload=None, owner=owner)) == [preference(LAST)]


@pytest.mark.parametrize(
    ("result", "how"),
    [
        ("injected", {}),
        ("already_injected", {"spec": prefer_node(pod_spec(), LAST)}),
        ("bound", {"spec": pod_spec(nodeName=NODES[0])}),
        ("unattributed", {"workload": "nobody"}),
        ("nothing_remembered", {"workload": "fresh"}),
        ("not_sticky", {"workload": "never"}),
        ("expired", {"workload": "old"}),
        ("node_gone", {"workload": "homeless"}),
    ],
)
def test_each_pod_is_counted_once_by_what_became_of_it(cluster: Cluster, result: str, how: dict[str, Any]) -> None:
    if how.get("workload") in workloads(cluster):
        create(cluster.stack, workloads(cluster)[how["workload"]])
    eventually(lambda: cluster.counted(**how) == {result: 1.0}, f"a pod to be counted as {result}")


def workloads(cluster: Cluster) -> dict[str, Object]:
    """By name: each has another reason for having no node to come back to."""
    last = cluster.nodes[LAST]
    gone = entry(last) | {"node": "gone", "hostname": "gone"}
    never = sticky_runtime("never", "default", entry(last))
    never["spec"]["nodeStickiness"] = {"enabled": False}
    made = [
        never,
        sticky_runtime("fresh", "default"),
        sticky_runtime("old", "default", entry(last, age=timedelta(days=2))),
        sticky_runtime("homeless", "default", gone),
    ]
    return {each["metadata"]["name"]: each for each in made}


def test_a_dry_run_has_the_preference_too_and_no_side_effects(cluster: Cluster) -> None:
    before = cluster.results()
    pod = session_pod("default", "dry", workload="w")
    made = cluster.stack.api.post("/api/v1/namespaces/default/pods?dryRun=All", pod)
    assert terms(made) == [preference(LAST)]
    after = cluster.results()
    assert {name for name in after if after[name] != before[name]} == {"dry_run"}


@pytest.mark.parametrize("where", ["pod", "namespace"])
def test_a_label_leaves_a_pod_or_a_whole_namespace_alone(cluster: Cluster, where: str) -> None:
    disabled = {local.OPT_OUT_LABEL: "disabled"}
    if where == "pod":
        pod = session_pod("default", f"pod-{next(_numbers)}", workload="w")
        pod["metadata"]["labels"] |= disabled
        assert terms(create(cluster.stack, pod)) == []
        return
    path = "/api/v1/namespaces/default"
    cluster.stack.api.patch(path, {"metadata": {"labels": disabled}})
    eventually(lambda: terms(cluster.pod()) == [], "the namespace to be left alone")
    cluster.stack.api.patch(path, {"metadata": {"labels": dict.fromkeys(disabled)}})
    cluster.returns()


def test_asked_twice_about_one_pod_it_adds_one_term(cluster: Cluster) -> None:
    """Two configurations that name the same webhook: as reinvocation, or an upgrade that left the old one."""
    stack = cluster.stack
    ca = stack.cp.dir / "webhook" / "ca.crt"
    stack.register_webhook("again", stack.webhook_url, ca.read_bytes(), only=["default"])
    try:
        eventually(lambda: cluster.counted() == {"injected": 1.0, "already_injected": 1.0}, "both to be asked")
        assert terms(cluster.pod()) == [preference(LAST)]
    finally:
        stack.unregister_webhook("again")
        eventually(lambda: cluster.counted() == {"injected": 1.0}, "only one to be asked")


def test_a_session_through_webhook_and_extender_counts_once(cluster: Cluster) -> None:
    """The term gives the node 100 times NodeAffinity's weight of 2: 200 points. The extender adds none to it."""
    stack = cluster.stack
    stack.start_extender()
    wire = PlainWire(stack.extender_url)
    plain = session_pod("default", "plain", workload="w")
    assert [each["Score"] for each in wire.expect("preferred", plain, NODES).hosts] == [10]
    through = cluster.pod()
    assert terms(through) == [preference(LAST)]
    answer = wire.ask(through, NODES)
    assert (answer.result, answer.hosts) == ("already_injected", [])
    scheduler = stack.start_scheduler("extender.yaml")
    try:
        assert scheduled(stack, create(stack, session_pod("default", "comes-back", workload="w"))) == LAST
    finally:
        scheduler.stop()


@pytest.mark.parametrize("change", ["changed", "removed", "shared"])
def test_a_session_comes_back_whatever_became_of_its_node_s_hostname_label(cluster: Cluster, change: str) -> None:
    stack = cluster.stack
    nodes = make_nodes(stack, [f"{change}-{number}" for number in range(6)], pool=change)
    last, another = f"{change}-3", f"{change}-5"
    create(stack, sticky_runtime(change, "default", entry(nodes[last])))
    relabel(stack, last, {"changed": "anew", "removed": None, "shared": another}[change])
    wanted = prefer_node(pod_spec(), last, hostname="anew") if change == "changed" else by_name(last)
    eventually(lambda: terms(cluster.pod(workload=change)) == terms({"spec": wanted}), "a term that leads to it")
    scheduler = stack.start_scheduler("sticky.yaml", name=f"scheduler-{change}")
    try:
        for number in range(4):
            pod = session_pod("default", f"{change}-{number}", workload=change, spec=pod_spec(change))
            assert scheduled(stack, create(stack, pod)) == last
    finally:
        scheduler.stop()


def by_name(node: str) -> Object:
    spec: Object = prefer_node(pod_spec(), node, match="name")
    return spec


def test_killed_it_costs_the_preference_and_no_pod(cluster: Cluster) -> None:
    webhook = cluster.stack.webhook
    before = cluster.failed_open()
    webhook.kill()
    try:
        assert terms(cluster.pod()) == []
        assert cluster.failed_open() == before + 1
    finally:
        webhook.start()
    cluster.returns()


def test_hanging_it_costs_the_timeout_and_no_pod(cluster: Cluster) -> None:
    webhook = cluster.stack.webhook
    before = cluster.failed_open()
    webhook.pause()
    try:
        begun = time.monotonic()
        assert terms(cluster.pod()) == []
        # The least that shows it hung; how much more a busy machine takes decides nothing here.
        assert time.monotonic() - begun >= TIMEOUT_SECONDS * 0.9
        assert cluster.failed_open() == before + 1
    finally:
        webhook.resume()
    cluster.returns()


def test_with_an_expired_certificate_it_costs_the_preference_until_a_valid_one_is_there(cluster: Cluster) -> None:
    """Connections that are open would live on, so the webhook starts anew with it; the valid one it finds by itself."""
    webhook, directory = cluster.stack.webhook, cluster.stack.cp.dir / "webhook"
    valid = {name: (directory / name).read_bytes() for name in (CERT, KEY)}
    before = cluster.failed_open()
    webhook.kill()
    try:
        for name, data in expired(directory).items():
            (directory / name).write_bytes(data)
        webhook.pid = webhook.guard.spawn(webhook)  # not start(): it would wait for an answer over a valid certificate
        eventually(lambda: shakes_hands(cluster.stack.webhook_url), "the webhook to speak TLS")
        assert terms(cluster.pod()) == []
        assert cluster.failed_open() == before + 1
        assert "certificate has expired" in cluster.stack.cp.apiserver.tail(200)
    finally:
        for name, data in valid.items():
            (directory / name).write_bytes(data)
    cluster.returns()


def shakes_hands(url: str) -> bool:
    """Whether somebody speaks TLS there, whatever the certificate: a port is open before a worker answers on it."""
    address, anybody = urlsplit(url), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address.hostname, address.port), timeout=5) as there:
            anybody.wrap_socket(there).close()
            return True
    except OSError:
        return False


def test_with_a_sticky_scheduler_only_pods_that_come_back_name_it(cluster: Cluster) -> None:
    stack = cluster.stack
    stack.unregister_webhook()
    first, url = stack.webhook, stack.webhook_url
    try:
        stack.start_webhook("--sticky-scheduler", STICKY, name="sticky", only=["default"])
        eventually(lambda: cluster.pod()["spec"]["schedulerName"] == STICKY, "the sticky scheduler")
        assert cluster.pod(workload="nobody")["spec"]["schedulerName"] == "default-scheduler"
        assert cluster.pod(spec=pod_spec(schedulerName="mine"))["spec"]["schedulerName"] == "mine"
    finally:
        stack.unregister_webhook("sticky")
        stack.webhook.kill()
        stack.webhook, stack.webhook_url = first, url
        ca = stack.cp.dir / "webhook" / "ca.crt"
        stack.register_webhook("webhook", url, ca.read_bytes(), timeout_seconds=TIMEOUT_SECONDS, only=["default"])
    cluster.returns()


def expired(directory: Path) -> dict[str, bytes]:
    """A certificate of the directory's own CA that was valid for half a minute, two minutes ago; by file name.

    A CA is valid from some minutes before it was made, so that clocks that differ do no harm; here that is of use."""
    then = datetime.now(UTC) - timedelta(minutes=2)
    pair = Authority.load(directory).server(timedelta(seconds=30), then)
    return dict(zip((CERT, KEY), pair, strict=True))
