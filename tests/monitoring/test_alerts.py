"""Alerts fire when the thing is broken and stop when it is mended: real programs, a real Prometheus, the shipped rules.

Only times are divided (tests/monitoring/scaled.py): an hour is 30 s here. Two alerts are not made to happen:
LastnodeOutcomesUnknown, since `unknown` is what nothing explains, and whatever a test does to a session explains it;
and LastnodeUnforeseenErrors, since whoever could bring one about would mend it. tests/monitoring/rules has both, as it
has every other alert.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from lastnode.contract import DEFAULT_RECENT_NODES
from testbed.credentials import NOBODY
from testbed.stack import Stack
from testbed.webhook import write_certificate
from tests.monitoring.broken import FACTOR, SECOND, Broken, let_in
from tests.monitoring.test_rules import ALERTS
from tests.rbac import Audit, Right
from tests.recorder.space import TEMPLATE

NEVER_MADE = {"LastnodeOutcomesUnknown", "LastnodeUnforeseenErrors"}
WRITE = Right("patch", "runtime.agentcube.volcano.sh", "agentruntimes")
LEASES = {Right(verb, "coordination.k8s.io", "leases") for verb in ("get", "update", "create")}
GARBAGE = b'{"Pod": [}'
# Longer than half of what kube-scheduler waits.
STALLED_SECONDS = 0.4


@pytest.fixture(scope="module")
def broken(prometheus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broken]:
    audit = Audit(tmp_path_factory.mktemp("audit"))
    with Stack.start(apiserver_flags=audit.flags) as stack:
        yield Broken(stack, audit, prometheus, tmp_path_factory.mktemp("alerts"))


def test_every_other_alert_is_made_to_happen_here() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert {alert for alert in ALERTS if f'"{alert}"' not in text.partition("def test_")[2]} == NEVER_MADE


def test_sessions_that_name_a_scheduler_which_is_down_are_told(broken: Broken) -> None:
    broken.rests("LastnodeSessionsWaiting")
    pods = f"/api/v1/namespaces/{broken.space.name}/pods"
    broken.stack.api.post(pods, {"metadata": {"name": "waits"}, "spec": TEMPLATE["spec"] | {"schedulerName": SECOND}})
    broken.fires("LastnodeSessionsWaiting")
    second = broken.stack.cp.start_scheduler(SECOND, {"profiles": [{"schedulerName": SECOND}]})
    try:
        broken.rests("LastnodeSessionsWaiting")
        (seen,) = broken.stack.api.get(f"{pods}/waits")["status"]["conditions"]
        assert (seen["type"], seen["reason"]) == ("PodScheduled", "Unschedulable"), "no node has room for a pod here"
    finally:
        second.stop()


def test_a_recorder_without_its_rights_on_the_lease_is_no_leader(broken: Broken) -> None:
    broken.rests("LastnodeNoLeader")
    broken.account.allow_only(broken.account.granted - LEASES)
    try:
        broken.fires("LastnodeNoLeader")
    finally:
        broken.account.restore()
    broken.rests("LastnodeNoLeader")


def test_an_api_server_that_hangs_makes_watches_stale(broken: Broken) -> None:
    broken.rests("LastnodeWatchStale", meanwhile=broken.beat)
    broken.stack.cp.apiserver.pause()
    try:
        broken.fires("LastnodeWatchStale", "LastnodeNoLeader")
    finally:
        broken.stack.cp.apiserver.resume()
    broken.rests("LastnodeWatchStale", "LastnodeNoLeader", meanwhile=broken.beat)


def test_a_second_recorder_that_asks_nobody_is_a_second_leader(broken: Broken) -> None:
    broken.rests("LastnodeSeveralLeaders")
    with broken.further("second", "recorder", "--no-leader-elect"):
        broken.fires("LastnodeSeveralLeaders")
    broken.rests("LastnodeSeveralLeaders")


def test_a_recorder_that_may_list_nothing_is_not_synced(broken: Broken) -> None:
    broken.rests("LastnodeCacheNotSynced")
    with broken.further("stranger", "recorder", "--leader-elect", "--lease-namespace", "default", user=NOBODY):
        broken.fires("LastnodeCacheNotSynced")
        let_in(broken.stack, NOBODY)
        broken.rests("LastnodeCacheNotSynced")


def test_a_program_that_stops_is_down_and_absent(broken: Broken) -> None:
    broken.rests("LastnodeTargetDown", "LastnodeProgramAbsent")
    broken.extender.stop()
    try:
        broken.fires("LastnodeTargetDown", "LastnodeProgramAbsent")
    finally:
        broken.extender.start()
    broken.rests("LastnodeTargetDown", "LastnodeProgramAbsent")


def test_writes_that_are_refused_are_told(broken: Broken) -> None:
    node = broken.space.node("refused")
    # Each is tried again with its next session, but the later the more often it was refused.
    workloads = [f"refused-{number}" for number in range(40)]
    for name in workloads:
        broken.space.workload(name)
    turns = itertools.cycle(workloads)
    broken.rests("LastnodeWritesFailing")
    broken.account.allow_only(broken.account.granted - {WRITE})
    try:
        broken.fires("LastnodeWritesFailing", meanwhile=lambda: broken.session(next(turns), node))
    finally:
        broken.account.restore()
    broken.rests("LastnodeWritesFailing")


def test_requests_that_nobody_can_read_are_told(broken: Broken) -> None:
    broken.rests("LastnodeExtenderFailing")
    broken.fires("LastnodeExtenderFailing", meanwhile=lambda: broken.ask(GARBAGE))
    broken.rests("LastnodeExtenderFailing")


def test_an_extender_that_gets_no_processor_is_slow(broken: Broken) -> None:
    """What a CPU limit does: the process stands still while it has requests to answer."""

    def stall() -> None:
        with ThreadPoolExecutor(4) as threads:
            asked = [threads.submit(broken.ask) for _ in range(4)]
            broken.extender.pause()
            broken.ask(seconds=STALLED_SECONDS)
            broken.extender.resume()
            for each in asked:
                each.result()

    broken.rests("LastnodeExtenderSlow")
    broken.fires("LastnodeExtenderSlow", meanwhile=stall)
    broken.rests("LastnodeExtenderSlow")


def test_a_certificate_that_nobody_renews_is_told(broken: Broken, tmp_path: Path) -> None:
    broken.rests("LastnodeCertificateExpiring")
    files = write_certificate(tmp_path, timedelta(days=7) / FACTOR / 2)
    with broken.further("old", "extender", *files.flags, ca=files.ca):
        broken.fires("LastnodeCertificateExpiring")
        write_certificate(tmp_path)
        broken.rests("LastnodeCertificateExpiring")


def test_sessions_that_run_elsewhere_lower_the_ratio(broken: Broken) -> None:
    # Far more than are remembered, so that each is forgotten when its turn comes again, however late it was written.
    nodes = itertools.cycle([broken.space.node(f"away-{number}") for number in range(5 * DEFAULT_RECENT_NODES)])
    broken.space.workload("wandering")
    broken.rests("LastnodeReuseRatioLow")
    broken.fires("LastnodeReuseRatioLow", meanwhile=lambda: broken.session("wandering", next(nodes)))
    home = next(nodes)
    broken.rests("LastnodeReuseRatioLow", meanwhile=lambda: broken.session("wandering", home))


def test_an_extender_that_nobody_asks_is_told(broken: Broken) -> None:
    nodes = itertools.cycle([broken.space.node(f"unasked-{number}") for number in range(5 * DEFAULT_RECENT_NODES)])
    broken.space.workload("unasked")
    broken.rests("LastnodeExtenderNotCalled", meanwhile=broken.ask)
    broken.fires("LastnodeExtenderNotCalled", meanwhile=lambda: broken.session("unasked", next(nodes)))
    broken.rests("LastnodeExtenderNotCalled", meanwhile=broken.ask)
