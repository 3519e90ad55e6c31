"""What the checks look at: read once, when the first of them asks."""

import functools
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from kubectl_lastnode import journals
from kubectl_lastnode.doctor.probe import Probe, probe
from kubectl_lastnode.options import Call
from kubectl_lastnode.replicas import EXTENDER, RECORDER, SELECTOR, Program, at, in_cluster
from lastnode import contract
from lastnode.objects import Workload

CONFIGURATION_KIND: Final = "KubeSchedulerConfiguration"
# Session pods that are looked at for the profiles they name.
_SOME_PODS: Final = "500"


class Account(NamedTuple):
    """Whom a program works as, and the name of the Deployment that says so (the recorder's Lease is called so too)."""

    program: str
    namespace: str
    name: str
    deployment: str

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"


class SchedulerConfiguration(NamedTuple):
    """A KubeSchedulerConfiguration and where it was found."""

    source: str
    content: dict[str, Any]


class Look:
    """``scheduler_config``: a file; without one, ConfigMaps of ours are looked for. All properties may raise."""

    def __init__(self, call: Call, scheduler_config: str | None) -> None:
        self.call = call
        self.cluster = call.cluster
        self._scheduler_config = scheduler_config

    @property
    def now(self) -> datetime:
        return self.call.now

    @functools.cached_property
    def workloads(self) -> list[Workload]:
        return self.cluster.workloads()

    @functools.cached_property
    def node_count(self) -> int:
        return sum(1 for _ in self.cluster.items("/api/v1/nodes"))

    @functools.cached_property
    def recorders(self) -> list[Program]:
        url = self.call.recorder_url
        return at(url) if url else in_cluster(self.cluster, RECORDER)

    @functools.cached_property
    def extenders(self) -> list[Program]:
        url = self.call.extender_url
        return at(url, self.call.extender_ca) if url else in_cluster(self.cluster, EXTENDER)

    @functools.cached_property
    def recorder_probes(self) -> list[Probe]:
        return [probe(program) for program in self.recorders]

    @functools.cached_property
    def extender_probes(self) -> list[Probe]:
        return [probe(program) for program in self.extenders]

    @functools.cached_property
    def journals(self) -> journals.Journals:
        return journals.read(self.recorders)

    @functools.cached_property
    def accounts(self) -> list[Account]:
        """From the Deployments that the chart made; none where the programs run otherwise."""
        found = self.cluster.objects("/apis/apps/v1/deployments", SELECTOR)
        return sorted({account for deployment in found for account in _accounts(deployment)})

    @functools.cached_property
    def webhooks(self) -> list[dict[str, Any]]:
        """The MutatingWebhookConfigurations of ours."""
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        return [found for found in self.cluster.objects(path) if _is_ours(found)]

    @functools.cached_property
    def scheduler_configurations(self) -> list[SchedulerConfiguration]:
        """:raises ValueError: the file is no such configuration."""
        if self._scheduler_config:
            text = Path(self._scheduler_config).read_text(encoding="utf-8")
            return [SchedulerConfiguration(self._scheduler_config, _configuration(text))]
        maps = self.cluster.objects("/api/v1/configmaps", SELECTOR)
        return [found for each in maps for found in _configurations(each)]

    @functools.cached_property
    def session_profiles(self) -> set[str]:
        """The scheduler names of session pods, of some where there are many."""
        query = {"labelSelector": contract.SESSION_LABEL, "limit": _SOME_PODS}
        pods = self.cluster.read_page("/api/v1/pods", query)
        return {pod["spec"].get("schedulerName", "default-scheduler") for pod in pods}


def _accounts(deployment: Any) -> Iterator[Account]:
    metadata, spec = deployment["metadata"], deployment["spec"]["template"]["spec"]
    for container in spec["containers"]:
        if container["name"] in (RECORDER, EXTENDER):
            name = spec.get("serviceAccountName", "default")
            yield Account(container["name"], metadata["namespace"], name, metadata["name"])


def _is_ours(configuration: Any) -> bool:
    labels = configuration["metadata"].get("labels") or {}
    names = [hook["name"] for hook in configuration.get("webhooks") or ()]
    return labels.get("app.kubernetes.io/part-of") == "lastnode" or any(n.endswith(".lastnode.dev") for n in names)


def _configuration(text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or content.get("kind") != CONFIGURATION_KIND:
        raise ValueError(f"its kind is not {CONFIGURATION_KIND}")
    return content


def _configurations(config_map: Any) -> Iterator[SchedulerConfiguration]:
    metadata = config_map["metadata"]
    for key, text in (config_map.get("data") or {}).items():
        if CONFIGURATION_KIND in text:
            source = f"ConfigMap {metadata['namespace']}/{metadata['name']} ({key})"
            yield SchedulerConfiguration(source, _configuration(text))
