"""The programs as the chart sets them up (accounts, roles, settings, arguments), on a real control plane."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from testbed.stack import Stack
from tests.chart.release import Release
from tests.chart.running import Installed
from tests.chart.sessions import Workload, returns
from tests.extender.cluster import make_nodes, path_of, scheduled

NODES = [f"node-{number:02}" for number in range(10)]


@pytest.fixture
def installed(helm: Path, stack: Stack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installed]:
    """The setup that the test names, installed; a recorder of it runs."""
    if not stack.api.get("/api/v1/nodes")["items"]:
        make_nodes(stack, NODES)
    release = Release(helm, stack, tmp_path)
    release.install(request.param)
    installed = Installed(stack, tmp_path)
    recorder, _ = installed.start("lastnode-recorder", "recorder")
    yield installed
    recorder.stop()
    release.uninstall()


@pytest.mark.parametrize("installed", ["control-plane"], indirect=True)
def test_sessions_come_back_through_the_extender_of_the_clusters_own_scheduler(installed: Installed) -> None:
    stack = installed.stack
    extender, port = installed.start("lastnode-extender", "extender")
    stack.extender_url = f"http://127.0.0.1:{port}"
    config = stack.scheduler_config("extender.yaml")
    config["extenders"][0]["httpTimeout"] = "20s"  # no time-out may decide this on a busy machine
    scheduler = stack.cp.start_scheduler("kube-scheduler", config)
    try:
        assert returns(Workload(stack, "sticky"))
        assert not returns(Workload(stack, "other", opted_in=False), memory=False)
    finally:
        scheduler.stop()
        extender.stop()


@pytest.mark.parametrize("installed", ["second-scheduler"], indirect=True)
def test_sessions_wait_for_the_second_scheduler_and_not_for_its_sidecar(installed: Installed) -> None:
    """What docs/operate.md says of either being down."""
    stack = installed.stack
    waiting = Workload(stack, "waiting", schedulerName="lastnode-scheduler").pod()
    config = yaml.safe_load((installed.settings("lastnode-scheduler") / "scheduler.yaml").read_text(encoding="utf-8"))
    config["extenders"][0]["urlPrefix"] = f"http://127.0.0.1:{stack.cp.free_port()}"  # nobody is there
    other = stack.cp.start_scheduler("kube-scheduler")
    try:
        assert Workload(stack, "elsewhere", opted_in=False).session().node in NODES
        assert "nodeName" not in stack.api.get(path_of(waiting))["spec"]
        second = stack.cp.start_scheduler("second", config, user=installed.account("lastnode-scheduler"))
        assert scheduled(stack, waiting) in NODES
        second.stop()
    finally:
        other.stop()


@pytest.mark.parametrize("installed", ["second-scheduler"], indirect=True)
def test_sessions_come_back_through_the_second_scheduler_under_its_own_account(installed: Installed) -> None:
    stack = installed.stack
    sidecar, port = installed.start("lastnode-scheduler", "extender")
    config = yaml.safe_load((installed.settings("lastnode-scheduler") / "scheduler.yaml").read_text(encoding="utf-8"))
    config["extenders"][0] |= {"urlPrefix": f"http://127.0.0.1:{port}", "httpTimeout": "20s"}
    name, user = "lastnode-scheduler", installed.account("lastnode-scheduler")
    scheduler = stack.cp.start_scheduler("second", config, user=user, elect=True)
    try:
        assert returns(Workload(stack, "sticky-two", schedulerName=name))
        assert not returns(Workload(stack, "other-two", opted_in=False, schedulerName=name), memory=False)
        assert "forbidden" not in scheduler.log.read_text(encoding="utf-8")
    finally:
        scheduler.stop()
        sidecar.stop()
