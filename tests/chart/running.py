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

# Where the container has its volumes, and what they are called.
_MOUNTS = {"/etc/lastnode/": "config", "/etc/lastnode-tls/": "certificate", "/etc/lastnode-sessions/": "sessions-token"}

Object = dict[str, Any]


class Installed:
    """What the API server holds of a release, and the processes that were started from it."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self._directory = directory

    def settings(self, deployment: str) -> Path:
        """The folder with the files of the Deployment's volume "config", as the API server has them now."""
        return self.mount(deployment, "config")

    def mount(self, deployment: str, name: str) -> Path:
        """The same of any volume; the folder is empty where the pods have none of that name."""
        folder = self._directory / f"{deployment}-{name}"
        folder.mkdir(exist_ok=True)
        volumes = [volume for volume in self.pod(deployment)["volumes"] if volume["name"] == name]
        sources = [one for volume in volumes for one in volume.get("projected", {"sources": [volume]})["sources"]]
        for file, content in (item for source in sources for item in self._files(source).items()):
            (folder / file).write_bytes(content)
        return folder

    def _files(self, source: Object) -> dict[str, bytes]:
        """What a ConfigMap, or a Secret, or chosen keys of one that may lack them, puts into a volume."""
        objects = f"/api/v1/namespaces/{NAMESPACE}"
        if "configMap" in source:
            data = self.stack.api.get(f"{objects}/configmaps/{source['configMap']['name']}")["data"]
            return {file: text.encode() for file, text in data.items()}
        secret = source["secret"]
        data = self.stack.api.get(f"{objects}/secrets/{secret.get('name') or secret['secretName']}").get("data", {})
        items = secret.get("items") or [{"key": key, "path": key} for key in data]
        return {item["path"]: base64.b64decode(data[item["key"]]) for item in items if item["key"] in data}

    def start(self, deployment: str, container: str, *, name: str = "", wait: bool = True) -> tuple[Component, int]:
        """The container as a process under the Deployment's ServiceAccount, ready; and its port."""
        pod = self.pod(deployment)
        (spec,) = (one for one in pod["containers"] if one["name"] == container)
        folders = {mount: self.mount(deployment, name) for mount, name in _MOUNTS.items()}
        for file in folders["/etc/lastnode/"].glob("*.yaml"):
            file.write_text(_elsewhere(file.read_text(encoding="utf-8"), folders), encoding="utf-8")
        program, port = Path(sys.executable).with_name(spec["command"][0]), self.stack.cp.free_port()
        argv = [program, *(_elsewhere(argument, folders) for argument in spec["args"])]
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


def _elsewhere(text: str, folders: dict[str, Path]) -> str:
    """The text with folders of this machine in place of the mounts."""
    for mount, folder in folders.items():
        text = text.replace(mount, f"{folder}/")
    return text
