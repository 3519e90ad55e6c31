"""A release of the chart on a running control plane, through the real helm."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from testbed.api import Api
from testbed.errors import ApiError
from testbed.stack import Stack
from tools.render import CHART, NAMESPACE, RELEASE, SETUPS

Object = dict[str, Any]
_SECONDS = 120


class Release:
    """Install, upgrade, roll back, uninstall as a user types it. ``home``: where Helm keeps its own files."""

    def __init__(self, helm: Path, stack: Stack, home: Path, name: str = RELEASE, namespace: str = NAMESPACE) -> None:
        self._helm = helm
        self._stack = stack
        self._home = home
        self.name = name
        self.namespace = namespace

    def install(self, setup: str, *arguments: str) -> str:
        values = ["--values", str(SETUPS / f"{setup}.yaml")]
        return self.run("install", self.name, str(CHART), "--create-namespace", *values, *arguments)

    def upgrade(self, *arguments: str) -> str:
        return self.run("upgrade", self.name, str(CHART), *arguments)

    def rollback(self, *arguments: str) -> str:
        return self.run("rollback", self.name, *arguments)

    def uninstall(self) -> str:
        return self.run("uninstall", self.name)

    def run(self, *arguments: str) -> str:
        """What Helm printed; fails the test with what it said when it fails."""
        argv: list[str | Path] = [self._helm, *arguments, "--namespace", self.namespace]
        argv += ["--kubeconfig", self._stack.cp.kubeconfig]
        homes = {f"HELM_{kind}_HOME": str(self._home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, timeout=_SECONDS, env=os.environ | homes
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def everything(api: Api) -> list[Object]:
    """Every object at the API server, of every kind that can be listed, each with its kind filled in."""
    paths = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in api.get("/apis")["groups"])]
    found = []
    for path in paths:
        for resource in api.get(path)["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                found += [one | {"kind": resource["kind"]} for one in _listed(api, f"{path}/{resource['name']}")]
    return found


def _listed(api: Api, path: str) -> list[Object]:
    """The objects of a collection; none where it cannot be listed."""
    try:
        return api.get(path)["items"] or []
    except ApiError as error:
        if error.status == 405:
            return []
        raise
