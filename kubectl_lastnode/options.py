"""What every command can be told: which cluster, which namespace, how programs of ours are reached, in which form;
and how names are completed by it.

Connection options may stand before and after the command's name, as kubectl's may; the later one wins.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import click
from click.shell_completion import CompletionItem

from kubectl_lastnode import SETTINGS
from kubectl_lastnode.cluster import PART_OF, Cluster
from kubectl_lastnode.output import visible
from lastnode.contract import DEFAULT_GROUP_WEIGHT, DEFAULT_MEMORY_TTL_SECONDS, DEFAULT_OLDER_WEIGHT
from lastnode.daemon.settings import PREFIX, configured, parsed, read_file, seconds
from lastnode.kube.access import contexts
from lastnode.kube.api import Api, load, own_namespace
from lastnode.kube.errors import KubeError
from lastnode.memory import Memory
from lastnode.objects import Node, Workload
from lastnode.ranking import Preference, Weights, rank

PROG = "kubectl lastnode"
# A busy API server, or one that gets ready for a changed definition, asks for a second each time.
PATIENCE_SECONDS = 10.0
# As deploy/chart labels the ConfigMaps of the programs, and calls their files in them.
_CONFIGURATIONS = {"labelSelector": f"{PART_OF},app.kubernetes.io/component in (recorder,extender)"}
_FILES = ("recorder.yaml", "extender.yaml")
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class Failure(KubeError):
    """What a command cannot do, told as an error of the API server is: exit code 1 and one line."""


class Duration(click.ParamType[float]):
    """``24h``, ``1h30m``, ``90`` (seconds)."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(seconds(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _flag(default: Any, told: str, *names: str, **how: Any) -> Any:
    """A field of Options: its flag's help, further names, and what click wants to know of it."""
    return dataclasses.field(default=default, metadata={"names": names, "how": {"help": told, **how}})


@dataclasses.dataclass
class Options:
    """The shared options as they were given, and the cluster they lead to: connected when it is first asked for."""

    kubeconfig: str | None = _flag(None, "Default: in-cluster, then the usual kubeconfig.", metavar="FILE")
    context: str | None = _flag(None, "Which of the kubeconfig's contexts.", metavar="NAME")
    namespace: str | None = _flag(None, "Default: the context's.", "-n", metavar="NAMESPACE")
    memory_ttl: float = _flag(
        DEFAULT_MEMORY_TTL_SECONDS,
        "How long a placement counts; as the programs have it (default: 24h).",
        type=Duration(),
    )
    older_weight: int = _flag(
        DEFAULT_OLDER_WEIGHT, "Of a workload's older nodes, in the same way (default: 10).", type=click.IntRange(0, 100)
    )
    group_weight: int = _flag(
        DEFAULT_GROUP_WEIGHT, "Of its cache group's nodes, in the same way (default: 1).", type=click.IntRange(0, 100)
    )
    workload_resources: str = _flag(
        "", "Kinds of workloads (default: all that are built in or configured).", metavar="PLURAL.GROUP,…"
    )
    config: str | None = _flag(
        None, "The programs' --config file, for the kinds in it (default: the installed one's).", metavar="FILE"
    )
    controllers_only: bool = _flag(
        False, "Believe only what controls a pod about whose session it is; as the programs have it.", is_flag=True
    )
    release_namespace: str = _flag(
        "lastnode-system",
        "Where lastnode is installed (default: lastnode-system); pods elsewhere are never believed.",
        metavar="NAMESPACE",
    )
    recorder_url: str = _flag(
        "", "Recorders; repeat it or use commas (default: their pods).", "--recorder", multiple=True, metavar="URL"
    )
    extender_url: str = _flag("", "Extenders, in the same way.", "--extender", multiple=True, metavar="URL")
    extender_ca: str | None = _flag(None, "What an https URL's certificate is verified with (PEM).", metavar="FILE")

    @functools.cached_property
    def api(self) -> Api:
        agent = f"kubectl-lastnode/{version('lastnode')}"
        return load(self.kubeconfig, agent, context=self.context, patience=PATIENCE_SECONDS)

    @functools.cached_property
    def cluster(self) -> Cluster:
        told = read_file(self.config) if self.config else self._released()
        mine = {"workload_resources": self.workload_resources, "controllers_only": self.controllers_only}
        kinds = configured({**told, **{name: value for name, value in mine.items() if value}})
        return Cluster(self.api, kinds, self.release_namespace, warn)

    @property
    def cluster_name(self) -> str:
        """What the person calls it: the kubeconfig's context, else the API server's address."""
        return self.context or contexts(self.kubeconfig)[1] or self.api.host

    def _released(self) -> Mapping[str, Any]:
        """The settings of the release's own programs, where they are there and this person may read them."""
        path = f"/api/v1/namespaces/{self.release_namespace}/configmaps"
        with contextlib.suppress(KubeError):
            for each in Cluster(self.api, (), self.release_namespace, warn).objects(path, _CONFIGURATIONS):
                for file, text in (each.get("data") or {}).items():
                    if file in _FILES:
                        return parsed(text, file)
        return {}

    @functools.cached_property
    def current_namespace(self) -> str:
        """As kubectl takes it: -n, else the context's, else the pod's own, else ``default``."""
        known, current = contexts(self.kubeconfig)
        return self.namespace or known.get(self.context or current) or own_namespace()

    def existing(self, text: str) -> list[Workload]:
        """The workloads that a person means in the current namespace. :raises Failure: there is none."""
        found = self.cluster.find(text, self.current_namespace)
        if not found:
            known = self.cluster.meant(text.rpartition("/")[0])
            hint = "" if known else "; kinds by configuration: --config FILE"
            raise Failure(f"no workload {text} in namespace {self.current_namespace}{hint}")
        return found

    @property
    def no_recorder(self) -> str:
        """That none is found, and what to do."""
        return (
            f"no recorder's pod found in namespace {self.release_namespace}; elsewhere? name the namespace with "
            "--release-namespace, or the recorder with --recorder-url"
        )

    @property
    def weights(self) -> Weights:
        """What the extender gives each node of a ranked list, but for what workloads say of their own."""
        return Weights(older=self.older_weight, group=self.group_weight)

    def preference(self, workload: Workload, memory: Memory, nodes: Mapping[str, Node] | None) -> Preference:
        """The nodes that its next session would like now, with that memory."""
        weights = self.weights.of_a_workload(workload.older_weight)
        relatives = self.cluster.relatives(workload)
        return rank(memory, now=self.now, ttl=self.memory_ttl, nodes=nodes, relatives=relatives, weights=weights)

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)


def warn(line: str) -> None:
    """Something that is left out, on standard error: what is there is shown all the same."""
    click.echo(f"warning: {visible(line)}", err=True)


def share(group: click.Group) -> None:
    """The shared options, on a group and on its commands: on these all but one are hidden, as the group explains them.

    Environment variables, LASTNODE_…, only on the group: on a command one would win over a flag that stands before the
    command's name.
    """
    for command in group.commands.values():
        command.params[:0] = [_option(field, hidden=field.name != "namespace") for field in dataclasses.fields(Options)]
    group.params[:0] = [
        _option(field, envvar=PREFIX + field.name.upper() if field.name in SETTINGS else None, show_envvar=True)
        for field in dataclasses.fields(Options)
    ]


def _option(field: dataclasses.Field[Any], **more: Any) -> click.Option:
    flags = [f"--{field.name.replace('_', '-')}", *field.metadata["names"], field.name]
    how = {**field.metadata["how"], **more}
    return click.Option(flags, default=None, expose_value=False, callback=_remember, **how)


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    told = ",".join(value) if isinstance(value, tuple) else value
    if param.name and told not in (None, ""):
        setattr(ctx.ensure_object(Options), param.name, told)


def output(*forms: str) -> Callable[[Any], Any]:
    """``-o``, with these forms beside the plain one."""
    choice = click.Choice([*forms])
    return click.option("-o", "--output", "form", type=choice, help="Another form.", metavar="|".join(forms))


def _names(found: Callable[[Cluster, str, str], Iterable[str]]) -> Complete:
    """Completes what ``found`` knows: from the cluster, of a namespace, for the word so far."""

    def complete(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
        options = ctx.find_object(Options) or Options()
        with contextlib.suppress(KubeError):
            names = sorted(set(found(options.cluster, options.current_namespace, word)))
            return [CompletionItem(name) for name in names if name.startswith(word)]
        return []

    return complete


pod_names = _names(lambda cluster, namespace, _: (pod["metadata"]["name"] for pod in cluster.session_pods(namespace)))
node_names = _names(lambda cluster, namespace, _: cluster.nodes() or ())
# Names, or KIND/NAME once there is a slash.
workload_names = _names(lambda cluster, namespace, word: (
    f"{workload.kind.lower()}/{workload.name}" if "/" in word else workload.name
    for workload in cluster.workloads(namespace)
))  # fmt: skip
