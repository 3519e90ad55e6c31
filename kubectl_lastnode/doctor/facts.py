"""What the checks look at: read once, when the first of them asks."""

import functools
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from kubectl_lastnode import replicas
from kubectl_lastnode.options import Options
from kubectl_lastnode.replicas import EXTENDER, RECORDER, SELECTOR, Journals, Replica
from lastnode.kube.errors import ApiError, KubeError
from lastnode.objects import Workload

CONFIGURATION_KIND: Final = "KubeSchedulerConfiguration"
# Session pods that are looked at for the profiles they name.
_SOME: Final = 500
_NOT_READY: Final = 503


class Account(NamedTuple):
    """Whom a program works as, and the name of the Deployment that says so (the recorder's Lease is called so too)."""

    program: str
    namespace: str
    name: str
    deployment: str

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"


class Probe(NamedTuple):
    """What a replica says of itself. ``unreachable``, ``unready``: why, empty where it is not so."""

    replica: Replica
    unreachable: str = ""
    unready: str = ""
    samples: tuple[Sample, ...] = ()

    @property
    def version(self) -> str:
        return next((s.labels.get("version", "") for s in self.samples if s.name == "lastnode_build_info"), "")


class Facts:
    """``scheduler_config``: a file; without one, ConfigMaps of ours are looked for. All properties may raise."""

    def __init__(self, options: Options, scheduler_config: str | None) -> None:
        self.options, self.cluster = options, options.cluster
        self._scheduler_config = scheduler_config

    @functools.cached_property
    def workloads(self) -> list[Workload]:
        return self.cluster.workloads()

    @functools.cached_property
    def node_count(self) -> int:
        return sum(1 for _ in self.cluster.items("/api/v1/nodes"))

    @functools.cached_property
    def recorders(self) -> list[Probe]:
        return [*map(probe, replicas.find(self.cluster, RECORDER, self.options.recorder_url))]

    @functools.cached_property
    def extenders(self) -> list[Probe]:
        found = replicas.find(self.cluster, EXTENDER, self.options.extender_url, self.options.extender_ca)
        return [*map(probe, found)]

    @functools.cached_property
    def journals(self) -> Journals:
        return replicas.read_journals(each.replica for each in self.recorders)

    @functools.cached_property
    def accounts(self) -> list[Account]:
        """From the Deployments that the chart made; none where the programs run otherwise."""
        return sorted({
            Account(container["name"], each["metadata"]["namespace"], pod.get("serviceAccountName", "default"),
                    each["metadata"]["name"])
            for each in self.cluster.objects("/apis/apps/v1/deployments", SELECTOR)
            for pod in [each["spec"]["template"]["spec"]]
            for container in pod["containers"]
            if container["name"] in (RECORDER, EXTENDER)
        })  # fmt: skip

    @functools.cached_property
    def webhooks(self) -> list[Any]:
        """What our MutatingWebhookConfigurations register."""
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        return [hook for each in self.cluster.objects(path) if _is_ours(each) for hook in each.get("webhooks") or ()]

    @functools.cached_property
    def scheduler_configurations(self) -> dict[str, Any]:
        """Where found -> the KubeSchedulerConfiguration. :raises ValueError: the file is none."""
        if file := self._scheduler_config:
            return {file: _configuration(Path(file).read_text(encoding="utf-8"))}
        return {
            f"ConfigMap {each['metadata']['namespace']}/{each['metadata']['name']} ({key})": _configuration(text)
            for each in self.cluster.objects("/api/v1/configmaps", SELECTOR)
            for key, text in (each.get("data") or {}).items()
            if CONFIGURATION_KIND in text
        }

    @functools.cached_property
    def session_profiles(self) -> set[str]:
        """The scheduler names of session pods, of some where there are many."""
        pods = itertools.islice(self.cluster.session_pods(), _SOME)
        return {pod["spec"].get("schedulerName", "default-scheduler") for pod in pods}


def probe(replica: Replica) -> Probe:
    """Asks once for /readyz and /metrics; never raises."""
    try:
        unready = _readiness(replica)
        return Probe(replica, unready=unready, samples=samples(replica.get("/metrics").decode(errors="replace")))
    except (KubeError, ValueError) as error:
        return Probe(replica, unreachable=str(error) or type(error).__name__)


def samples(text: str) -> tuple[Sample, ...]:
    """A page of metrics. :raises ValueError: it is none."""
    return tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def total(probes: Iterable[Probe], name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels, over all replicas; 0 without any."""
    found = (sample for each in probes for sample in each.samples if sample.name == name)
    return sum(sample.value for sample in found if labels.items() <= sample.labels.items())


def by(probes: Iterable[Probe], name: str, label: str) -> dict[str, float]:
    """A metric's values by one label, over all replicas; those of 0 left out."""
    sums: dict[str, float] = {}
    for sample in (sample for each in probes for sample in each.samples):
        if sample.name == name and label in sample.labels:
            sums[sample.labels[label]] = sums.get(sample.labels[label], 0.0) + sample.value
    return {value: number for value, number in sums.items() if number}


def _readiness(replica: Replica) -> str:
    try:
        replica.get("/readyz?verbose")
        return ""
    except ApiError as error:
        if error.status != _NOT_READY:
            raise
        return error.reason


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
