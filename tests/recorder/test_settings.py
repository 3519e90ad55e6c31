"""Settings and their mistakes, through the real programs: one clear line, a known exit code, never a traceback."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from extender.settings import ExtenderSettings
from kubectl_lastnode import SETTINGS as KUBECTL
from lastnode.daemon.settings import load
from lastnode.kinds import DEFAULT_RESOURCES
from lastnode.kube.errors import ConfigError
from recorder.settings import RecorderSettings
from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.recorder.tcpproxy import TcpProxy

BAD_SETTING = 2
SECONDS_TO_STOP = 10.0
STATEFUL_SETS = '[{"resource": "statefulsets.apps", "pods": "app=trainer"}]'
# Where no credentials can be found unless a test says so.
BARE = {key: value for key, value in os.environ.items() if not key.startswith(("LASTNODE_", "KUBE"))}


def run(
    *flags: str, home: Path, env: dict[str, str] | None = None, program: str = "recorder"
) -> subprocess.CompletedProcess[str]:
    """The program, run to its end; ``home`` is an empty directory."""
    return subprocess.run(
        [sys.executable, "-m", f"{program}.program", *flags],
        env=BARE | {"HOME": str(home)} | (env or {}),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str], program: str = "recorder") -> str:
    """The one line that says why it did not start."""
    assert done.returncode == BAD_SETTING, done
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"lastnode-{program}: ")
    return lines[0]


def settings(*flags: str) -> RecorderSettings:
    return load(RecorderSettings, "lastnode-recorder", flags)


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("LASTNODE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def test_an_unknown_flag_is_named(tmp_path: Path) -> None:
    assert "--colour" in refusal(run("--colour", "red", home=tmp_path))


def test_an_unknown_variable_is_named(tmp_path: Path) -> None:
    assert "LASTNODE_COLOUR" in refusal(run(home=tmp_path, env={"LASTNODE_COLOUR": "red"}))


def test_an_unknown_key_of_the_file_is_named(tmp_path: Path, file: Path) -> None:
    file.write_text("colour: red\n", encoding="utf-8")
    assert "colour" in refusal(run("--config", str(file), home=tmp_path))


def test_all_bad_values_are_told_in_one_line(tmp_path: Path, file: Path) -> None:
    file.write_text("writers: many\npage_size: 0\n", encoding="utf-8")
    line = refusal(
        run(
            "--bind", "nowhere", "--config", str(file), home=tmp_path,
            env={"LASTNODE_MEMORY_TTL": "a while", "LASTNODE_WORKLOAD_RESOURCES": "Widgets"},
        )
    )  # fmt: skip
    for name, value in {
        "bind": "nowhere",
        "writers": "many",
        "page_size": "0",
        "memory_ttl": "a while",
        "workload_resources": "Widgets",
    }.items():
        assert re.search(rf"{name}: [^;]*{value}", line), (name, line)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory-ttl", "-1"),
        ("memory-ttl", "nan"),
        ("memory-ttl", "inf"),
        ("memory-ttl", ""),
        ("memory-ttl", "24 hours"),
        ("bind", "8889"),
        ("bind", ":8889"),
        ("bind", "127.0.0.1:65536"),
        ("bind", "127.0.0.1:-1"),
        ("writers", "0"),
        ("writers", "65"),
        ("writers", "1.5"),
        ("page-size", "10001"),
        ("log-level", "loud"),
        ("log-format", "xml"),
        ("workload-resources", "agentruntimes"),
        ("workload-resources", "a.example.com,,b.example.com"),
        ("lease-name", "A/b"),
        ("lease-name", ""),
        ("lease-namespace", "a/../b"),
        ("lease-duration", "0.5"),
        ("early-crash-seconds", "-1"),
        ("early-crash-seconds", "2h"),
        ("schedulers", "my own"),
        ("schedulers", "second,spec.nodeName=a"),
    ],
)
def test_a_bad_value_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name.replace("-", "_")) as error:
        settings(f"--{name}={value}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["- a list", "just text", "7: seven", "a: [unclosed", "\tx: 1", "\x00"])
def test_a_file_that_is_no_settings_is_named(tmp_path: Path, file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(str(file))) as error:
        settings("--config", str(file))
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.yaml" in refusal(run("--config", str(tmp_path / "nowhere.yaml"), home=tmp_path))
    with pytest.raises(ConfigError, match="--config needs a file"):
        settings("--config")


def test_a_flag_wins_over_the_environment_that_over_the_file_that_over_the_default(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings().writers == 8
    file.write_text("writers: 2\npage-size: 7\nlog_level: error\n", encoding="utf-8")
    assert settings("--config", str(file)).writers == 2
    monkeypatch.setenv("LASTNODE_WRITERS", "3")
    monkeypatch.setenv("LASTNODE_PAGE_SIZE", "9")
    assert settings(f"--config={file}").writers == 3
    got = settings("--config", str(file), "--writers", "4")
    assert (got.writers, got.page_size, got.log_level, got.memory_ttl) == (4, 9, "error", 86400.0)


def test_the_environment_may_name_the_file_and_a_flag_names_another(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("writers: 2\n", encoding="utf-8")
    other = tmp_path / "other.yaml"
    other.write_text("writers: 5\n", encoding="utf-8")
    monkeypatch.setenv("LASTNODE_CONFIG", str(file))
    assert settings().writers == 2
    assert settings("--config", str(other)).writers == 5


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400), ("1h30m", 5400), ("2d", 172800), ("0", 0), ("90", 90), ("1.5s", 1.5)]
)
def test_durations_read_as_people_write_them(text: str, seconds: float) -> None:
    assert settings("--memory-ttl", text).memory_ttl == seconds


RUNTIMES, INTERPRETERS, SANDBOXES = DEFAULT_RESOURCES


def resources(got: RecorderSettings) -> list[str]:
    return [kind.resource for kind in got.rows]


def test_resources_come_as_a_yaml_list_or_by_commas_and_each_counts_once(file: Path) -> None:
    file.write_text(f"workload_resources: [{SANDBOXES}, {RUNTIMES}]\n", encoding="utf-8")
    assert resources(settings("--config", str(file))) == [SANDBOXES, RUNTIMES]
    assert resources(settings(f"--workload-resources={INTERPRETERS}, {RUNTIMES},{INTERPRETERS}")) == [
        INTERPRETERS, RUNTIMES
    ]  # fmt: skip
    assert resources(settings()) == resources(settings("--workload-resources=")) == [*DEFAULT_RESOURCES]


CRONJOB = {"resource": "cronjobs.batch", "pods": "batch.kubernetes.io/job-name", "through": "jobs.batch"}
NOTEBOOK = {"resource": "notebooks.kubeflow.org", "pods": "notebook-name,!x", "named-by": "notebook-name"}


def test_further_kinds_come_from_the_file_or_as_json(file: Path) -> None:
    file.write_text(yaml.safe_dump({"kinds": [CRONJOB, NOTEBOOK]}), encoding="utf-8")
    got = settings("--config", str(file))
    assert resources(got) == [*DEFAULT_RESOURCES, "cronjobs.batch", "notebooks.kubeflow.org"]
    cronjob, notebook = got.rows[3:]
    assert (str(cronjob.way.pods), cronjob.way.through, cronjob.prefix) == (
        CRONJOB["pods"], "jobs.batch", "lastnode.dev"
    )  # fmt: skip
    assert (str(notebook.way.pods), notebook.way.named_by, notebook.name) == (NOTEBOOK["pods"], "notebook-name", "")
    assert settings("--kinds", json.dumps([CRONJOB, NOTEBOOK])).rows == got.rows
    one = settings("--config", str(file), "--workload-resources", "cronjobs.batch")
    assert one.rows == (cronjob,)
    assert "resource=cronjobs.batch,pods=batch.kubernetes.io/job-name" in one.line()


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"pods": "a"}, "kinds.0.resource"),
        ({"resource": "cronjobs.batch"}, "kinds.0.pods"),
        (CRONJOB | {"pods": "!a"}, "kinds.0.pods: '!a' selects by nothing but what is absent"),
        (CRONJOB | {"pods": "a in (b)"}, "kinds.0.pods"),
        (CRONJOB | {"resource": "cronjobs"}, "kinds.0.resource: 'cronjobs' lacks its group"),
        (CRONJOB | {"through": "Jobs.batch"}, "kinds.0.through"),
        (CRONJOB | {"through": "cronjobs.batch"}, "cronjobs.batch leads through itself"),
        (CRONJOB | {"prefix": "x"}, "unknown setting 'kinds.0.prefix'"),
        (NOTEBOOK | {"named-by": "not a key"}, "kinds.0.named-by: 'not a key' is no label's key"),
        (NOTEBOOK | {"resource": SANDBOXES}, f"{SANDBOXES} is there already"),
        ("cronjobs.batch", "kinds.0"),
    ],
)
def test_a_row_that_cannot_work_is_refused_in_one_line(row: Any, complaint: str, tmp_path: Path, file: Path) -> None:
    file.write_text(yaml.safe_dump({"kinds": [row]}), encoding="utf-8")
    line = refusal(run("--config", str(file), home=tmp_path))
    assert complaint in line


def test_what_pods_say_themselves_is_no_row_where_only_controllers_count(file: Path) -> None:
    file.write_text(yaml.safe_dump({"kinds": [NOTEBOOK], "controllers-only": True}), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"notebooks.kubeflow.org is named by the pods themselves"):
        settings("--config", str(file))


def test_what_the_kubelet_adds_for_services_of_our_name_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "LASTNODE_SERVICE_HOST",
        "LASTNODE_SERVICE_PORT",
        "LASTNODE_SERVICE_PORT_HTTP",
        "LASTNODE_PORT",
        "LASTNODE_PORT_8888_TCP",
        "LASTNODE_PORT_8888_TCP_ADDR",
        "LASTNODE_PORT_8888_TCP_PORT",
        "LASTNODE_PORT_8888_TCP_PROTO",
        "LASTNODE_EXTENDER_SERVICE_HOST",
        "LASTNODE_EXTENDER_SERVICE_PORT_HTTPS",
        "LASTNODE_EXTENDER_PORT",
        "LASTNODE_EXTENDER_PORT_443_TCP_ADDR",
    ):
        monkeypatch.setenv(name, "tcp://10.0.0.1:8888")
    assert settings().bind == "[::]:8889"


def test_the_extender_s_own_settings_do_not_trouble_the_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(ExtenderSettings.model_fields) - set(RecorderSettings.model_fields):
        monkeypatch.setenv(f"LASTNODE_{name.upper()}", "/etc/tls")
    assert settings().writers == 8


def test_the_recorder_s_own_settings_do_not_trouble_the_extender(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(RecorderSettings.model_fields) - set(ExtenderSettings.model_fields):
        monkeypatch.setenv(f"LASTNODE_{name.upper()}", "1")
    assert load(ExtenderSettings, "lastnode-extender", []).tls_cert is None


def test_what_only_kubectl_lastnode_has_troubles_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(KUBECTL) - RecorderSettings.model_fields.keys() - ExtenderSettings.model_fields.keys() - {"config"}:
        monkeypatch.setenv(f"LASTNODE_{name.upper()}", "http://localhost:8889")
    assert settings().writers == 8
    assert load(ExtenderSettings, "lastnode-extender", []).tls_cert is None


def test_help_names_every_setting_and_exits_with_0(tmp_path: Path) -> None:
    done = run("--help", home=tmp_path)
    assert done.returncode == 0
    assert done.stderr == ""
    for name in RecorderSettings.model_fields:
        assert f"--{name.replace('_', '-')}" in done.stdout
    assert "--config" in done.stdout


def test_without_any_credentials_it_says_where_it_looked(tmp_path: Path) -> None:
    assert "kubeconfig" in refusal(run(home=tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not yaml: [",
        "just text",
        "- a\n- list\n",
        "apiVersion: v1\nkind: Config\n",
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: []\nclusters: []\nusers: []\n",
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: 7\n",
        "\x00\x01",
    ],
)
def test_a_broken_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    assert str(path) in refusal(run("--kubeconfig", str(path), home=tmp_path))


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere"
    assert str(path) in refusal(run("--kubeconfig", str(path), home=tmp_path))


def test_a_port_that_is_taken_is_named(plane: Stack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refusal(run("--kubeconfig", str(plane.cp.kubeconfig), "--bind", bind, home=tmp_path))
    assert bind in line


def test_an_address_that_is_not_ours_is_named(plane: Stack, tmp_path: Path) -> None:
    # 192.0.2.0/24 belongs to no machine: RFC 5737.
    line = refusal(run("--kubeconfig", str(plane.cp.kubeconfig), "--bind", "192.0.2.1:1", home=tmp_path))
    assert "192.0.2.1:1" in line


@pytest.mark.parametrize("program", ["recorder", "extender"])
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"resource": "clusterroles.rbac.authorization.k8s.io"}, "clusterroles.rbac.authorization.k8s.io is cluster-"),
        ({"resource": "localsubjectaccessreviews.authorization.k8s.io"},
         "the API server knows no get, list, patch, watch for localsubjectaccessreviews.authorization.k8s.io"),
        ({"resource": "statefulsets.apps", "through": "localsubjectaccessreviews.authorization.k8s.io"},
         "the API server knows no list, watch for localsubjectaccessreviews.authorization.k8s.io"),
    ],
)  # fmt: skip
def test_a_row_that_the_api_server_cannot_serve_is_refused_in_one_line(
    plane: Stack, tmp_path: Path, program: str, row: dict[str, str], said: str
) -> None:
    kinds = json.dumps([{"resource": "unknown.example.com", "pods": "b"}, {"pods": "a", **row}])
    config = str(plane.cp.kubeconfig)
    done = run("--kubeconfig", config, "--kinds", kinds, "--bind", "127.0.0.1:0", home=tmp_path, program=program)
    assert f"kinds: {said}" in refusal(done, program)


def answer(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def proxy(plane: Stack) -> Iterator[TcpProxy]:
    with TcpProxy(int(plane.cp.url.rpartition(":")[2])) as proxy:
        yield proxy


@pytest.mark.parametrize("fault", ["refusing", "stalled"])
def test_an_api_server_that_cannot_be_reached_is_waited_for(
    plane: Stack, proxy: TcpProxy, tmp_path: Path, fault: str
) -> None:
    setattr(proxy, fault, True)
    config = proxy.kubeconfig(plane.cp.kubeconfig, tmp_path / "config")
    url = f"http://127.0.0.1:{plane.cp.free_port()}"
    argv = ["--kubeconfig", config, "--bind", url.removeprefix("http://"), "--kinds", STATEFUL_SETS]
    recorder = plane.cp.spawn(
        f"recorder-{fault}",
        [sys.executable, "-m", "recorder.program", *argv],
        ready_url=f"{url}/livez",
        cwd=REPOSITORY,
    )
    try:
        plane.wait(lambda: "attempt 2" in recorder.tail(100), "the trouble to be logged")
        status, text = answer(f"{url}/readyz?verbose")
        assert status == 503
        assert text.count("[-]") == 6
        assert "[-]nodes failed: not listed yet: " in text
        assert answer(f"{url}/livez") == (200, "ok")
        assert "Traceback" not in recorder.tail(100)
        setattr(proxy, fault, False)
        proxy.cut()
        plane.wait(lambda: answer(f"{url}/readyz")[0] == 200, "readiness")
        assert answer(f"{url}/readyz?verbose")[1].count("[+]") == 6
        # Lost later: it says so, goes on trying and comes back.
        proxy.refusing = True
        proxy.cut()
        plane.wait(lambda: answer(f"{url}/readyz")[0] == 503, "the loss to be told")
        assert "failed: lost: " in answer(f"{url}/readyz")[1]
        assert answer(f"{url}/livez") == (200, "ok")
        proxy.refusing = False
        plane.wait(lambda: answer(f"{url}/readyz")[0] == 200, "readiness after the loss", within=60)
        assert recorder.stop() == 0
    finally:
        recorder.kill()


def test_it_ends_in_time_and_cleanly_while_no_answer_comes(plane: Stack, proxy: TcpProxy, tmp_path: Path) -> None:
    """SIGTERM while every list hangs: the server took the request and never answers."""
    proxy.mute = True
    config = proxy.kubeconfig(plane.cp.kubeconfig, tmp_path / "config")
    url = f"http://127.0.0.1:{plane.cp.free_port()}"
    recorder = plane.cp.spawn(
        "recorder-hanging",
        [sys.executable, "-m", "recorder.program", "--kubeconfig", config, "--bind", url.removeprefix("http://")],
        ready_url=f"{url}/livez",
        cwd=REPOSITORY,
    )
    try:
        plane.wait(lambda: proxy.unanswered >= 5, "every list to hang")
        assert recorder.stop(grace=SECONDS_TO_STOP) == 0
    finally:
        recorder.kill()


def test_every_setting_in_force_is_logged_once_at_the_start(stack: Stack) -> None:
    assert stack.recorder is not None
    lines = [line for line in stack.recorder.tail(10_000).splitlines() if "memory_ttl=" in line]
    assert len(lines) == 1
    assert set(re.findall(r"(\w+)=", lines[0])) >= set(RecorderSettings.model_fields)


def test_nothing_else_is_served(stack: Stack) -> None:
    assert answer(f"{stack.recorder_url}/nothing")[0] == 404
    assert answer(f"{stack.recorder_url}/healthz") == (200, "ok")
    assert answer(f"{stack.recorder_url}/metrics")[1].count("lastnode_build_info{") == 1
