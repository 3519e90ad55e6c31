"""`python -m testbed`: a cluster that stays running for a person."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from testbed import Api, Binaries
from testbed.paths import REPOSITORY
from testbed.versions import minor, offered
from tests.waiting import eventually

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, binaries: Binaries) -> Iterator[Run]:
    """Runs a command with a state directory of the test's own; whatever is up at the end is taken down."""
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        argv, env = [sys.executable, "-m", "testbed", *words], environ | more
        return subprocess.run(argv, check=False, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120)

    yield run
    run("down")


def exported(done: subprocess.CompletedProcess[str]) -> Path:
    assert done.returncode == 0, done.stderr
    line = re.fullmatch(r"export KUBECONFIG=(\S+)\n", done.stdout)
    assert line, done.stdout
    return Path(line.group(1))


def nodes(kubeconfig: Path, directory: Path) -> list[str]:
    """Asked the way a person's kubectl would, with what the printed file holds."""
    document = yaml.safe_load(kubeconfig.read_text())
    url, token = document["clusters"][0]["cluster"]["server"], document["users"][0]["user"]["token"]
    answer = Api(url, directory / "certs" / "apiserver.crt", token).get("/api/v1/nodes")
    return [node["metadata"]["name"] for node in answer["items"]]


def test_a_cluster_stays_up_until_it_is_taken_down(run: Run) -> None:
    up = run("up", "--nodes", "2")
    kubeconfig = exported(up)
    assert "no Deployment controller runs: Deployments stay at 0 pods" in up.stderr
    directory = kubeconfig.parents[1]
    assert isinstance(nodes(kubeconfig, directory), list)

    again = run("up")
    assert exported(again) == kubeconfig
    assert "running already" in again.stderr
    status = run("status")
    assert exported(status) == kubeconfig
    assert "is ready" in status.stderr

    down = run("down")
    assert (down.returncode, down.stderr) == (0, "the cluster is stopped\n")
    assert not directory.exists()
    assert (run("down").stderr, run("status").returncode) == ("no cluster is running\n", 3)


def test_a_cluster_that_runs_is_not_taken_for_one_of_another_version(run: Run) -> None:
    exported(run("up", "--nodes", "0"))
    oldest, newest = offered()[0], offered()[-1]
    version = os.environ.get("KUBERNETES") or newest
    other = oldest if minor(oldest) not in version else newest
    up = run("up", KUBERNETES=other)
    assert (up.returncode, up.stdout) == (1, "")
    assert f"KUBERNETES asks for {other}: stop it first" in up.stderr
    assert "Traceback" not in up.stderr
    assert run("status").returncode == 0


def test_a_directory_of_the_persons_own_outlives_the_cluster(run: Run, tmp_path: Path) -> None:
    kubeconfig = exported(run("up", "--nodes", "0", "--dir", str(tmp_path / "mine")))
    assert kubeconfig.is_relative_to(tmp_path / "mine")
    assert run("down").returncode == 0
    assert (tmp_path / "mine" / "etcd").is_dir()


def test_a_cluster_whose_keeper_was_killed_is_gone_and_a_new_one_comes_up(run: Run) -> None:
    first = exported(run("up", "--nodes", "0"))
    pid = re.search(r"keeper (\d+)", run("status").stderr)
    assert pid
    os.kill(int(pid.group(1)), signal.SIGKILL)
    eventually(lambda: not first.exists(), "the guard has cleared up")
    assert run("status").returncode == 3
    assert exported(run("up", "--nodes", "0")) != first


def test_a_mistake_gets_one_line_and_no_traceback(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for words, complaint in {
        ("up", "--nodes", "-1"): "Invalid value for '--nodes'",
        ("up", "--dir", str(tmp_path / "file")): "is a file",
        ("sideways",): "No such command 'sideways'",
    }.items():
        done = run(*words)
        assert done.returncode == 2
        assert complaint in done.stderr
        assert "Traceback" not in done.stderr


def test_a_start_that_fails_says_why_and_leaves_nothing_running(run: Run, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "logs").write_text("in the way of the folder for logs")
    done = run("up", "--dir", str(blocked))
    assert done.returncode == 1
    assert "File exists" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("status").returncode == 3
