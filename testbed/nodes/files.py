"""The files that a machine is set up with. Pure: from where things are to documents and text."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from testbed.nodes.gateway import ADDRESS

API_PORT: Final = 6443
REGISTRY_PORT: Final = 5000
PAUSE: Final = "registry.example/pause:1"


def kubelet(changes: Mapping[str, Any]) -> dict[str, Any]:
    """kubelet.yaml. ``changes``: settings that replace ours.

    What it would do to make room (evict, delete images) is off, as the disk is shared with the whole machine."""
    nothing = ("memory.available", "nodefs.available", "imagefs.available", "nodefs.inodesFree", "imagefs.inodesFree")
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": ["none"],
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        # Only who is on this machine's own network reaches it.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "resolvConf": "",
        "clusterDNS": ["10.0.0.10"],
        "volumePluginDir": "/var/lib/kubelet/plugins-of-volumes",
        "evictionHard": dict.fromkeys(nothing, "0%"),
        "imageGCHighThresholdPercent": 100,
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 4,
        "makeIPTablesUtilChains": False,
        "shutdownGracePeriod": "0s",
        **changes,
    }


def kubeconfig(admin: Mapping[str, Any]) -> dict[str, Any]:
    """The same user's, for who reaches the API server through the gateway."""
    document = deepcopy(dict(admin))
    cluster = document["clusters"][0]["cluster"]
    cluster |= {"server": f"https://{ADDRESS}:{API_PORT}", "tls-server-name": "127.0.0.1"}
    return document


def pod_network(number: int) -> dict[str, Any]:
    """CNI's: pods of one machine see each other and their machine, nothing else."""
    addresses = {"type": "host-local", "ranges": [[{"subnet": f"10.88.{number}.0/24"}]]}
    bridge = {"type": "bridge", "bridge": "cni0", "isDefaultGateway": True, "ipMasq": False, "ipam": addresses}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}


def registry_hosts() -> str:
    """containerd's hosts.toml for all registries: whatever an image is called, ours has it."""
    url = f"http://{ADDRESS}:{REGISTRY_PORT}"
    return f'server = "{url}"\n[host."{url}"]\ncapabilities = ["pull", "resolve"]\n'


def registry(directory: Path, port: int) -> dict[str, Any]:
    """docker-registry's config.yml."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory)}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }


def containerd(debian: Path, directory: Path) -> str:
    """containerd's config.toml; ``directory``: the machine's.

    Scores for the out-of-memory killer are left alone: lowering them takes a right that root may lack in a container.
    """
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    unused = ("internal.v1.opt", "tracing.processor.v1.otlp", *(f"snapshotter.v1.{name}" for name in _SNAPSHOTTERS))
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [{", ".join(f'"io.containerd.{name}"' for name in unused)}]
[debug]
level = "warn"
[grpc]
address = "/run/containerd/containerd.sock"
[{cri}]
sandbox_image = "{PAUSE}"
disable_apparmor = true
restrict_oom_score_adj = true
[{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
discard_unpacked_layers = true
[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
BinaryName = "{debian}/usr/sbin/runc"
[{cri}.cni]
bin_dir = "{debian}/usr/lib/cni"
conf_dir = "{directory}/cni"
[{cri}.registry]
config_path = "{directory}/registries"
"""


_SNAPSHOTTERS: Final = ("aufs", "btrfs", "devmapper", "zfs")
