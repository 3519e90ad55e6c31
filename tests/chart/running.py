"""The programs of an installed chart as processes here: its ServiceAccounts, its settings, its command lines.

What a cluster would do and this control plane cannot: start containers, mount ConfigMaps, resolve names of Services. So
the ConfigMap's files are written to a folder, the command is the container's with that folder in place of the mount,
and two flags are added, which every setting's order of precedence allows: where the API server is, and a free port.
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

from testbed.component import Component
from testbed.stack import Stack
from tools.render import NAMESPACE

_MOUNT = "/etc/lastnode"

Object = dict[str, Any]


class Installed:
    """What the API server holds of a release, and the processes that were started from it."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self._directory = directory

    def settings(self, deployment: str) -> Path:
        """The folder with the files of the Deployment's volume "config", as the API server has them now."""
        (volume,) = (volume for volume in self.pod(deployment)["volumes"] if volume["name"] == "config")
        folder = self._directory / deployment
        folder.mkdir(exist_ok=True)
        for source in volume.get("projected", {"sources": [volume]})["sources"]:
            for file, content in self._files(source).items():
                (folder / file).write_bytes(content)
        return folder

    def _files(self, source: Object) -> dict[str, bytes]:
        """What a ConfigMap, or the chosen keys of a Secret that may lack them, puts into a volume."""
        objects = f"/api/v1/namespaces/{NAMESPACE}"
        if "configMap" in source:
            data = self.stack.api.get(f"{objects}/configmaps/{source['configMap']['name']}")["data"]
            return {file: text.encode() for file, text in data.items()}
        data = self.stack.api.get(f"{objects}/secrets/{source['secret']['name']}").get("data", {})
        items = source["secret"]["items"]
        return {item["path"]: base64.b64decode(data[item["key"]]) for item in items if item["key"] in data}

    def start(self, deployment: str, container: str, *, name: str = "", wait: bool = True) -> tuple[Component, int]:
        """The container as a process under the Deployment's ServiceAccount, ready; and its port."""
        pod = self.pod(deployment)
        (spec,) = (one for one in pod["containers"] if one["name"] == container)
        folder, port = self.settings(deployment), self.stack.cp.free_port()
        for file in folder.glob("*.yaml"):
            file.write_text(file.read_text(encoding="utf-8").replace(f"{_MOUNT}/", f"{folder}/"), encoding="utf-8")
        program = Path(sys.executable).with_name(spec["command"][0])
        argv = [program, *(argument.replace(_MOUNT, str(folder)) for argument in spec["args"])]
        argv += [f"--kubeconfig={self.kubeconfig(deployment)}", f"--bind=127.0.0.1:{port}"]
        env = {one["name"]: one["value"] for one in spec.get("env", ())}
        scheme = spec["readinessProbe"]["httpGet"]["scheme"].lower()
        # Over TLS nobody here knows its CA yet: the test waits for what it needs itself.
        url = f"http://127.0.0.1:{port}/readyz" if scheme == "http" and wait else None
        return self.stack.cp.spawn(name or f"{deployment}-{container}", argv, env=env, ready_url=url), port

    def kubeconfig(self, deployment: str) -> Path:
        return self.stack.cp.kubeconfig_for(self.account(deployment))

    def account(self, deployment: str) -> str:
        """The user that the Deployment's pods are; its token is one that TokenRequest gave."""
        return f"system:serviceaccount:{NAMESPACE}:{self.pod(deployment)['serviceAccountName']}"

    def pod(self, deployment: str) -> Object:
        """The spec of the Deployment's pods."""
        found = self.stack.api.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{deployment}")
        spec: Object = found["spec"]["template"]["spec"]
        return spec
