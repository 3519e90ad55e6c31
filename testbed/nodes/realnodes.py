"""Real machines that join a control plane: each a kubelet, a containerd and its containers, in namespaces of its own.

To whoever looks through the API server they are nodes as the simulated ones are: cordon them, fill them, delete them.
What only a machine can do (fail, boot, lose its kubelet) is a method here.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import yaml

from lastnode.status import utc
from testbed.component import Component
from testbed.controlplane import ControlPlane
from testbed.credentials import write_yaml
from testbed.errors import LocalError
from testbed.nodes import cgroups, files, gateway, programs, runs
from testbed.nodes.images import Files, Layer, Registry
from testbed.paths import REPOSITORY
from testbed.stack import Stack, is_ready

_HERE: Final = Path(__file__).parent
_READY_SECONDS: Final = 60.0
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def control_plane(count: int) -> dict[str, Any]:
    """What Stack.start() needs for so many real nodes: users for their kubelets, which may only do what a
    kubelet may."""
    flags = {"authorization-mode": "Node,RBAC", "enable-admission-plugins": "NodeRestriction"}
    return {"users": {_user(name): ["system:nodes"] for name in _names(count)}, "apiserver_flags": flags}


@dataclass
class RealNodes:
    """Made by start(). Everything ends with the control plane, in whatever way that ends.

    registry: takes images; the machines find NAME:1 there, of whatever registry a pod asks for it
    run:      the name of its cgroups
    """

    stack: Stack
    registry: Registry
    run: str
    rate: str
    _programs: programs.Programs
    _gateway: Component
    _machines: dict[str, Component] = field(default_factory=dict)
    _started_at: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def start(cls, stack: Stack, count: int, *, rate: str = "200mbit") -> Self:
        """``count`` nodes, node-0 and so on, Ready when this returns. ``stack``: started with control_plane(count).

        rate: of a node's downloads, in tc's words

        Raises Unsupported, BinaryError, StartError, LocalError (not Ready in time).
        """
        found, run = programs.find(), f"lastnode-{secrets.token_hex(4)}"
        runs.sweep()
        registry, port = _start_registry(stack.cp, found)
        nodes = cls(stack, registry, run, rate, found, _start_gateway(stack.cp, run, port))
        registry.push("pause", [nodes.program()])
        for number, name in enumerate(_names(count)):
            nodes._set_up(number, name)
            nodes._switch_on(number, name)
        nodes.wait_ready()
        return nodes

    @property
    def names(self) -> list[str]:
        return list(self._machines)

    def program(self) -> Layer:
        """The layer that holds what every image runs: busybox."""
        return Files([("bin/busybox", self._programs.debian / "bin/busybox")]).layer("program")

    def disk(self, name: str) -> Path:
        """Where what the machine has in /var is to be found."""
        return self._directory(name) / "var"

    def wait_ready(self, names: Iterable[str] = ()) -> None:
        """Until these nodes (default: all) are Ready and their kubelets have spoken since their machines booted."""
        wanted = set(names) or set(self._machines)

        def all_are() -> bool:
            ready = {
                each["metadata"]["name"] for each in self.stack.api.get("/api/v1/nodes")["items"] if is_ready(each)
            }
            leases = self.stack.api.get(_LEASES)["items"]
            spoken = {each["metadata"]["name"]: utc(each["spec"]["renewTime"]) for each in leases}
            return all(name in ready and _after(spoken.get(name), self._started_at[name]) for name in wanted)

        self.stack.wait(all_are, f"{', '.join(sorted(wanted))} to be Ready", _READY_SECONDS)

    def kill(self, name: str) -> None:
        """The machine fails: everything on it ends at once. Its disk stays."""
        self._machines[name].kill()

    def boot(self, name: str) -> None:
        """Switch a killed machine on again, with its disk; wait_ready() waits for it."""
        # As after a real boot: kubelet would ask containerd about each for seconds.
        cgroups.remove(self.run, name, below_only=True)
        self._started_at[name] = datetime.now(UTC)
        self._machines[name].start()

    def configure(self, name: str, **settings: Any) -> None:
        """Have the node's kubelet start anew with these settings of its KubeletConfiguration instead of ours."""
        write_yaml(self._directory(name) / "kubelet.yaml", files.kubelet(settings))
        self.restart_kubelet(name)

    def restart_kubelet(self, name: str) -> None:
        """Kill it; like an init system, the machine starts it again. Containers run on."""
        self._started_at[name] = datetime.now(UTC)
        self.on(name, "pkill", "-KILL", "-x", "kubelet")

    def on(self, name: str, *argv: str) -> str:
        """Run a command on the machine, as by ssh; what it printed. Raises LocalError where it fails."""
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        done = subprocess.run(
            ["nsenter", f"--target={self._first_process(name)}", *namespaces, "--", *argv],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PATH": f"{self._programs.path}:{os.environ.get('PATH', os.defpath)}"},
        )
        if done.returncode != 0:
            raise LocalError(f"{' '.join(argv)} on {name}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _first_process(self, name: str) -> int:
        pid = self._machines[name].pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def _set_up(self, number: int, name: str) -> None:
        directory = self._directory(name)
        admin = yaml.safe_load(self.stack.cp.kubeconfig_for(_user(name)).read_text(encoding="utf-8"))
        write_yaml(directory / "kubeconfig", files.kubeconfig(admin))
        write_yaml(directory / "kubelet.yaml", files.kubelet({}))
        for path, text in {
            "cni/pods.conflist": json.dumps(files.pod_network(number)),
            "registries/_default/hosts.toml": files.registry_hosts(),
            "containerd.toml": files.containerd(self._programs.debian, directory),
        }.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text, encoding="utf-8")

    def _switch_on(self, number: int, name: str) -> None:
        found = cgroups.hierarchies()
        env = {
            "NAME": name,
            "ADDRESS": f"10.99.1.{number + 1}",
            "RATE": self.rate,
            "BRIDGE": gateway.BRIDGE,
            "GATEWAY": str(self._gateway.pid),
            "DIRECTORY": str(self._directory(name)),
            "KUBELET": str(self._programs.kubelet),
            "PATH": f"{self._programs.path}:{os.environ.get('PATH', os.defpath)}",
            "CGROUPS": " ".join(map(str, cgroups.make(self.run, name, found))),
            "HIERARCHIES": " ".join(f"{h.path.name}={','.join(h.controllers)}" for h in found if h.version == 1),
        }
        self._started_at[name] = datetime.now(UTC)
        argv = ["unshare", "--net", "bash", str(_HERE / "launch.sh")]
        self._machines[name] = self.stack.cp.spawn(name, argv, env=env, grace=0.0)

    def _directory(self, name: str) -> Path:
        return self.stack.cp.dir / "nodes" / name


def _start_registry(cp: ControlPlane, found: programs.Programs) -> tuple[Registry, int]:
    port = cp.free_port()
    config = write_yaml(cp.dir / "registry.yaml", files.registry(cp.dir / "registry", port))
    url = f"http://127.0.0.1:{port}"
    env = {"OTEL_TRACES_EXPORTER": "none"}
    cp.spawn(
        "registry",
        [found.debian / "usr/bin/docker-registry", "serve", config],
        ready_url=f"{url}/v2/",
        env=env,
        grace=0.0,
    )
    return Registry(url), port


def _start_gateway(cp: ControlPlane, run: str, registry_port: int) -> Component:
    temporary = cp.dir.parent == Path(tempfile.gettempdir()).resolve()
    swept = cp.dir if temporary else cp.dir / "nodes"
    doors = (f"{files.API_PORT}={cp.url.rpartition(':')[2]}", f"{files.REGISTRY_PORT}={registry_port}")
    argv = [sys.executable, "-m", "testbed.nodes.gateway", run, str(swept), *doors]
    process = cp.spawn("gateway", argv, cwd=REPOSITORY)
    process.ready = lambda: gateway.READY in process.tail()
    process.wait_ready()
    return process


def _names(count: int) -> list[str]:
    return [f"node-{number}" for number in range(count)]


def _user(name: str) -> str:
    return f"system:node:{name}"


def _after(moment: datetime | None, other: datetime) -> bool:
    return moment is not None and moment > other
