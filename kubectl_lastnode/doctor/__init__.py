"""Whether an installation fits together: one finding a check, with what to do about it.

Here are the findings, and the facts that the checks look at, read once, when the first of them asks. Each other module
is one subject of checks, ``kubectl_lastnode.commands.doctor`` their order. A check that is refused an answer says that
it cannot know, and the others go on.
"""

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from kubectl_lastnode.cluster import EXTENDER, RECORDER
from kubectl_lastnode.journals import Journals, Replica, read_journals
from kubectl_lastnode.options import Options
from lastnode.kinds import Kind
from lastnode.kube.discovery import NotServed, Served, find
from lastnode.kube.errors import ApiError, KubeError
from lastnode.objects import Workload

_CONFIGURATION: Final = "KubeSchedulerConfiguration"
_HARMLESS: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
INJECTIONS: Final = "lastnode_injections_total"
# The spec of a pod that is only tried out. Restricted namespaces (Pod Security Standards) take it too.
BARE: Final = {"containers": [{"name": "none", "image": "none", "securityContext": _HARMLESS}]}


class Level(StrEnum):
    """OK; WARN: it costs something, or cannot be known; FAIL: sessions do not come back, or others suffer."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """``check``: which one, in a word; ``text``: what was found; ``remedy``: what to do, if anything."""

    check: str
    level: Level
    text: str
    remedy: str = ""


# Of a text and, but for the first, a remedy; which check it was is written in afterwards.
ok = functools.partial(Finding, "", Level.OK)
warn = functools.partial(Finding, "", Level.WARN)
fail = functools.partial(Finding, "", Level.FAIL)


def unknown(text: str, remedy: str) -> Finding:
    """What cannot be looked at from here."""
    return warn(f"cannot know{text}", remedy)


def named(check: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """The findings of one check under its name, and one more where the API server did not answer in the middle."""
    try:
        for found in findings:
            yield msgspec.structs.replace(found, check=found.check or check)
    except KubeError as error:
        found = unknown(f": {error}", "Ask somebody who may read this to run doctor.")
        yield msgspec.structs.replace(found, check=check)


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
    """``scheduler_config``: a file, beside what ConfigMaps of ours hold. All properties may raise."""

    def __init__(self, options: Options, scheduler_config: str | None) -> None:
        self.options, self.cluster = options, options.cluster
        self._scheduler_config = scheduler_config

    @functools.cached_property
    def served(self) -> dict[str, Served]:
        """What there is of all that the rows name."""
        found = {}
        for resource in dict.fromkeys((*self.cluster.kinds, *self.cluster.ways.through)):
            with contextlib.suppress(NotServed):
                found[resource] = find(self.cluster.api, resource)
        return found

    @property
    def kinds(self) -> list[Kind]:
        """Those that are installed."""
        return [kind for kind in self.cluster.rows if kind.resource in self.served]

    @functools.cached_property
    def workloads(self) -> list[Workload]:
        return self.cluster.workloads()

    @functools.cached_property
    def recorders(self) -> list[Probe]:
        return [*map(probe, self.cluster.replicas(RECORDER, self.options.recorder_url))]

    @functools.cached_property
    def extenders(self) -> list[Probe]:
        where = self.options.extender_url, self.options.extender_ca
        return [*map(probe, self.cluster.replicas(EXTENDER, *where))]

    @functools.cached_property
    def journals(self) -> Journals:
        return read_journals(each.replica for each in self.recorders)

    @functools.cached_property
    def token_secret(self) -> str:
        """Empty where it is not known."""
        with contextlib.suppress(KubeError):
            return self.cluster.token_secret()
        return ""

    @functools.cached_property
    def deployments(self) -> list[Any]:
        """Those that the chart made; none where the programs run otherwise."""
        return [*self.cluster.ours("/apis/apps/v1", "deployments")]

    @functools.cached_property
    def accounts(self) -> list[Account]:
        """From the Deployments."""
        return sorted({
            Account(container["name"], each["metadata"]["namespace"], pod.get("serviceAccountName", "default"),
                    each["metadata"]["name"])
            for each in self.deployments
            for pod in [each["spec"]["template"]["spec"]]
            for container in pod["containers"]
            if container["name"] in (RECORDER, EXTENDER)
        })  # fmt: skip

    def missing(self, program: str) -> str:
        """What to do where no pod of that program is found."""
        with contextlib.suppress(KubeError):
            for account in self.accounts:
                if account.program == program:
                    where = f"{account.namespace}/{account.deployment}"
                    return f"Its Deployment {where} is there: see why it has no pods, or name one with --{program}-url."
        return f"Install it (docs/install.md), or say where: --release-namespace, --{program}-url."

    @functools.cached_property
    def webhooks(self) -> list[Any]:
        """What our MutatingWebhookConfigurations register."""
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        return [hook for each in self.cluster.objects(path) if _is_ours(each) for hook in each.get("webhooks") or ()]

    @functools.cached_property
    def scheduler_configurations(self) -> dict[str, Any]:
        """Where found -> the KubeSchedulerConfiguration. :raises ValueError: the file is none."""
        file = self._scheduler_config
        given = {file: _configuration(Path(file).read_text(encoding="utf-8"))} if file else {}
        ours = {source: _configuration(text) for source, text in self._files.items() if _CONFIGURATION in text}
        return given | ours

    @functools.cached_property
    def handed_to(self) -> set[str]:
        """The schedulers that the webhook gives returning sessions to, by the chart's ConfigMaps."""
        found = (re.search(r"^sticky_scheduler: *(\S+)", text, re.MULTILINE) for text in self._files.values())
        return {each[1] for each in found if each}

    @functools.cached_property
    def _files(self) -> dict[str, str]:
        """Where it is -> what the chart's ConfigMaps hold."""
        return {
            f"ConfigMap {each['metadata']['namespace']}/{each['metadata']['name']} ({key})": text
            for each in self.cluster.ours("/api/v1", "configmaps")
            for key, text in (each.get("data") or {}).items()
        }


def probe(replica: Replica) -> Probe:
    """Asks once for /readyz and /metrics; never raises."""
    try:
        return Probe(
            replica, unready=_unready(replica), samples=samples(replica.get("/metrics").decode(errors="replace"))
        )
    except (KubeError, ValueError) as error:
        return Probe(replica, unreachable=str(error) or type(error).__name__)


def _unready(replica: Replica) -> str:
    try:
        replica.get("/readyz?verbose")
    except ApiError as error:
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return error.reason
        raise
    return ""


def samples(text: str) -> tuple[Sample, ...]:
    """A page of metrics. :raises ValueError: it is none."""
    return tuple(sample for family in text_string_to_metric_families(text) for sample in family.samples)


def total(probes: Iterable[Probe], name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels, over all replicas; 0 without any."""
    found = (sample for each in probes for sample in each.samples if sample.name == name)
    return sum(sample.value for sample in found if labels.items() <= sample.labels.items())


def by(probes: Sequence[Probe], name: str, label: str) -> dict[str, float]:
    """The same by one label; values of 0 are left out."""
    values = {s.labels[label] for each in probes for s in each.samples if s.name == name and label in s.labels}
    sums = {value: total(probes, name, **{label: value}) for value in values}
    return {value: number for value, number in sums.items() if number}


def _is_ours(configuration: Any) -> bool:
    labels = configuration["metadata"].get("labels") or {}
    names = [hook["name"] for hook in configuration.get("webhooks") or ()]
    return labels.get("app.kubernetes.io/part-of") == "lastnode" or any(n.endswith(".lastnode.dev") for n in names)


def _configuration(text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or content.get("kind") != _CONFIGURATION:
        raise ValueError(f"its kind is not {_CONFIGURATION}")
    return content
