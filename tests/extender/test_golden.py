"""Requests that a real kube-scheduler sent get the right answer, whole or in pieces; and it still sends such ones."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from extender.http import create_app
from testbed.stack import Stack
from tests.extender.cluster import Wire, create, entry, favoured, make_nodes, session_pod, sticky_runtime
from tests.extender.golden import NAMESPACE, NODES, WANTED, WORKLOAD, Golden, known, load, record

GOLDEN = load()
RESULTS = {
    "session": "preferred",
    "session-of-a-sandbox": "preferred",
    "no-session": "not_ours",
    "own-affinity": "preferred",
    "injected-term": "already_injected",
    "volumes": "preferred",
    "many-containers": "preferred",
    "priority": "preferred",
    "odd-characters": "preferred",
    "whole-nodes": "preferred",
    "whole-nodes-own-affinity": "preferred",
    "whole-nodes-no-session": "not_ours",
    "five-hundred-names": "preferred",
}
# What differs from one recording to the next.
CHANGING = {"uid", "resourceVersion", "creationTimestamp", "lastHeartbeatTime", "lastTransitionTime", "time"}
# kube-scheduler 1.34 sends the managedFields of pods, newer ones do not.
TRIMMED = "managedFields"

each_request = pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)


def expected(golden: Golden) -> Any:
    return favoured(WANTED) if RESULTS[golden.name] == "preferred" else []


def test_every_request_that_can_be_recorded_is_there_and_has_an_expected_result() -> None:
    assert {golden.name for golden in GOLDEN} == set(RESULTS) == set(record.CASES)


@each_request
def test_the_app_gives_the_expected_answer_and_counts_it(golden: Golden) -> None:
    registry = CollectorRegistry()
    client = create_app(known.service(registry), {}, {}, lambda *_: ()).test_client()
    answer = client.post("/prioritize", data=golden.body, headers=headers(golden))
    assert (answer.status_code, json.loads(answer.data)) == (200, expected(golden))
    assert known.counted(registry) == {RESULTS[golden.name]: 1}
    offered = registry.get_sample_value("lastnode_prioritize_offered_nodes_sum")
    assert offered == (0 if RESULTS[golden.name] == "not_ours" else len(golden.offered))


def headers(golden: Golden) -> list[tuple[str, str]]:
    lines = golden.head.split(b"\r\n")[1:]
    return [(name.decode(), value.decode()) for name, _, value in (line.partition(b": ") for line in lines)]


@each_request
def test_the_headers_are_those_of_gos_client(golden: Golden) -> None:
    assert golden.head.startswith(b"POST /prioritize HTTP/1.1\r\n")
    found = dict(headers(golden))
    assert found.pop("Host").startswith("127.0.0.1:")
    assert found == {
        "User-Agent": "Go-http-client/1.1",
        "Content-Length": str(len(golden.body)),
        "Content-Type": "application/json",
        "Accept-Encoding": "gzip",
    }


@pytest.fixture(scope="module")
def known_to_the_cluster(shared: Stack) -> Iterator[None]:
    """The same namespace, nodes and workload on the real API server. The Sandbox is another one: it has its own UID."""
    shared.api.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    nodes = make_nodes(shared, NODES)
    create(shared, sticky_runtime(WORKLOAD, NAMESPACE, entry(nodes[WANTED])))
    Wire(shared.extender_url).expect("preferred", session_pod(NAMESPACE, workload=WORKLOAD), NODES)
    yield
    for node in NODES:
        shared.api.delete(f"/api/v1/nodes/{node}")


def of_today(golden: Golden) -> bytes:
    """Its body, the pod made now: a session older than its workload is none of the workload's."""
    recorded = golden.args["Pod"]["metadata"]["creationTimestamp"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return golden.body.replace(recorded.encode(), now.encode())


@pytest.mark.parametrize("pieces", [1, 2, 50])
@pytest.mark.usefixtures("known_to_the_cluster")
def test_the_running_extender_answers_them_however_they_arrive(wire: Wire, pieces: int) -> None:
    """All requests one after the other on one connection, as kube-scheduler sends them."""
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for golden in GOLDEN:
            whole = golden.head + b"\r\n\r\n" + of_today(golden)
            size = -(-len(whole) // pieces)
            for at in range(0, len(whole), size):
                connection.sendall(whole[at : at + size])
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            body = answer.read()
            unknown = golden.name == "session-of-a-sandbox"
            assert (answer.status, json.loads(body)) == (200, [] if unknown else expected(golden)), golden.name
            assert answer.getheader("Content-Length") == str(len(body))
            assert answer.getheader("Connection") in (None, "keep-alive")


@pytest.mark.usefixtures("known_to_the_cluster")
def test_the_running_extender_counts_them_as_the_app_does(wire: Wire) -> None:
    for golden in GOLDEN:
        result = "unattributed" if golden.name == "session-of-a-sandbox" else RESULTS[golden.name]
        assert wire.post(of_today(golden)).result == result, golden.name


def shape(value: Any) -> Any:
    """A request without TRIMMED and what is another one each time; nodes and names in order."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if key != TRIMMED}
        return {key: None if key in CHANGING else shape(inner) for key, inner in kept.items()}
    if isinstance(value, list):
        return sorted((shape(inner) for inner in value), key=lambda inner: json.dumps(inner, sort_keys=True))
    return value


def test_the_scheduler_of_today_still_sends_these_requests(tmp_path: Path) -> None:
    """All but the large one, recorded anew."""
    cases = [golden.name for golden in GOLDEN if golden.name != "five-hundred-names"]
    record.record(tmp_path, cases)
    again = {golden.name: golden for golden in load(tmp_path)}
    assert sorted(again) == sorted(cases)
    for golden in GOLDEN:
        if golden.name in again:
            assert shape(again[golden.name].args) == shape(golden.args), golden.name
            assert [name for name, _ in headers(again[golden.name])] == [name for name, _ in headers(golden)]
