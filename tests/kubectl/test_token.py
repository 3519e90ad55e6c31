"""Who gets all sessions: `kubectl lastnode report` through the API server's proxy, to a real recorder that wants to see
a token."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.paths import REPOSITORY
from testbed.stack import Stack
from tests.kubectl.journal import recorder_pod
from tests.kubectl.terminal import run
from tests.recorder.space import Space

SECRET = "lastnode-sessions"
RIGHTS = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]},
]
READS_IT: list[dict[str, Any]] = [
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [SECRET], "verbs": ["get"]}
]


@pytest.fixture
def guarded(space: Space, stack: Stack, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The file with the token of a recorder whose pod is in the test's namespace, and its URL on this machine."""
    file = tmp_path / "token"
    file.write_text("secret\n", encoding="utf-8")
    port = stack.cp.free_port()
    argv = [sys.executable, "-m", "recorder.program", "--kubeconfig", str(stack.cp.kubeconfig), "--no-leader-elect"]
    argv += ["--bind", f"0.0.0.0:{port}", "--sessions-token-file", str(file)]
    recorder = stack.cp.spawn(space.name, argv, ready_url=f"http://127.0.0.1:{port}/readyz", cwd=REPOSITORY)
    try:
        volume = {"name": "sessions-token", "secret": {"secretName": SECRET}}
        recorder_pod(space.api, space.name, "recorder-1", port, volumes=[volume])
        yield file, f"http://127.0.0.1:{port}"
    finally:
        recorder.kill()


def say_token(space: Space, token: str) -> None:
    data = {"token": b64encode(token.encode()).decode()}
    secrets = f"/api/v1/namespaces/{space.name}/secrets"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}
    space.api.patch(f"{secrets}/{SECRET}?fieldManager=test&force=true", body, "application/apply-patch+yaml")


def person(space: Space, name: str, rules: list[dict[str, Any]]) -> Path:
    """Somebody with these rights in the release's namespace."""
    group, rbac = "rbac.authorization.k8s.io", f"/apis/rbac.authorization.k8s.io/v1/namespaces/{space.name}"
    space.api.post(f"{rbac}/roles", {"metadata": {"name": name}, "rules": rules})
    space.api.post(
        f"{rbac}/rolebindings",
        {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": space.name}],
        },
    )
    return space.stack.cp.kubeconfig_for(f"system:serviceaccount:{space.name}:{name}")


def test_whoever_may_read_the_secret_gets_all_sessions_through_the_api_servers_proxy(
    guarded: tuple[Path, str], space: Space
) -> None:
    say_token(space, "secret")
    words = ("report", "--release-namespace", space.name)
    allowed, denied = person(space, "allowed", [*RIGHTS, *READS_IT]), person(space, "denied", RIGHTS)
    space.stack.wait(lambda: run(allowed, *words).stdout.startswith("0 sessions since "), "the roles to be in force")

    told = run(denied, *words)
    assert told.returncode == 1
    assert (
        f"recorder {space.name}/recorder-1 is not asked: all sessions are for who may read Secret "
        f"{space.name}/{SECRET}: 403 "
    ) in told.stderr

    missing = "you may not get secrets: report cannot read the token of all sessions"
    examined = [run(one, "doctor", "--release-namespace", space.name).stdout for one in (allowed, denied)]
    assert [missing in each for each in examined] == [False, True]

    say_token(space, "wrong")
    told = run(allowed, *words)
    assert told.returncode == 1
    assert f"recorder {space.name}/recorder-1 refuses: 403 all sessions are only for who shows the token" in told.stderr

    guarded[0].write_text("wrong", encoding="utf-8")  # the other way round: a Secret that was changed
    assert run(allowed, *words).returncode == 0

    space.api.delete(f"/api/v1/namespaces/{space.name}/secrets/{SECRET}")
    told = run(allowed, *words)
    assert f"all sessions are for who may read Secret {space.name}/{SECRET}: 404 " in told.stderr


def test_a_port_forward_needs_no_token_and_a_pod_elsewhere_gets_none(guarded: tuple[Path, str], space: Space) -> None:
    say_token(space, "secret")
    kubeconfig = space.stack.cp.kubeconfig
    assert run(kubeconfig, "report", "--recorder-url", guarded[1]).returncode == 0
    assert "no recorder's pod found in namespace lastnode-system" in run(kubeconfig, "report").stderr
