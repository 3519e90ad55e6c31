"""``kubectl lastnode``: what is remembered of the workloads, and whether it would be used now.

kubectl finds it by its name, kubectl-lastnode, on PATH. It only reads, straight from the API server, and needs neither
recorder nor extender to run.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import click

from recorder import contract, discovery, envelope, wire
from recorder.api import Api, load
from recorder.errors import ConfigError, LastnodeError, Undecodable
from recorder.memory import Entry, Validity, choose, parse_text, validity
from recorder.objects import Node, Workload
from recorder.settings import seconds

PROG = "kubectl lastnode"
PAGE_SIZE = 500


class Row(NamedTuple):
    """One line of ``list``, as text."""

    namespace: str
    kind: str
    name: str
    last_node: str
    age: str
    status: str


class _Ttl(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(seconds(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(
    help="Where did each workload's last session run, and would the next one come back there?",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--kubeconfig", metavar="FILE", help="Default: in-cluster, then the usual kubeconfig.")
@click.option(
    "--memory-ttl",
    type=_Ttl(),
    default=contract.DEFAULT_MEMORY_TTL_SECONDS,
    help="How long a placement counts; the same as the recorder's and extender's (default: 24h).",
)
@click.option(
    "--workload-resources",
    default=",".join(contract.WORKLOAD_RESOURCES),
    metavar="PLURAL.GROUP,…",
    help="Kinds of workloads.",
    show_default=True,
)
@click.version_option(package_name="lastnode", prog_name=PROG)
@click.pass_context
def cli(ctx: click.Context, kubeconfig: str | None, memory_ttl: float, workload_resources: str) -> None:
    ctx.obj = _Session(kubeconfig, memory_ttl, workload_resources.split(","))


@cli.command("list", help="Every sticky workload with its last node, and why that would not be used.")
@click.option("-n", "--namespace", default="", help="Only this namespace (default: all).")
@click.pass_obj
def list_command(session: "_Session", namespace: str) -> None:
    workloads = [w for w in session.workloads() if w.sticky and namespace in ("", w.namespace)]
    nodes = session.nodes()
    rows = [_row(workload, nodes, session.ttl, datetime.now(UTC)) for workload in workloads]
    if not rows:
        click.echo("No sticky workloads found.", err=True)
        return
    for line in columns([[field.upper().replace("_", "-") for field in Row._fields], *sorted(rows)]):
        click.echo(line)


@cli.command(help="Everything remembered of the workloads called NAME, newest first.")
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.pass_obj
def show(session: "_Session", name: str, namespace: str) -> None:
    found = [w for w in session.workloads() if (w.namespace, w.name) == (namespace, name)]
    if not found:
        raise click.ClickException(f"no workload {namespace}/{name}")
    nodes, now = session.nodes(), datetime.now(UTC)
    for workload in found:
        click.echo(
            f"{workload.kind} {workload.namespace}/{workload.name}: {'sticky' if workload.sticky else 'not sticky'}"
        )
        entries = parse_text(workload.last_node, workload.recent_nodes)
        heading = ["NODE", "HOSTNAME", "AGE", "EXPIRES-IN", "STATUS"]
        for line in columns([heading, *(_entry(entry, nodes, session.ttl, now) for entry in entries)]):
            click.echo(f"  {line}")


class _Session:
    """What the commands share; connects when first asked."""

    def __init__(self, kubeconfig: str | None, ttl: float, resources: Sequence[str]) -> None:
        self.ttl = ttl
        self._kubeconfig = kubeconfig
        self._resources = resources
        self._api: Api | None = None

    def workloads(self) -> list[Workload]:
        return [workload for resource in self._resources for workload in self._of(resource)]

    def nodes(self) -> dict[str, Node]:
        return {node.name: node for node in map(wire.node, self._items("nodes"))}

    def _of(self, resource: str) -> Iterator[Workload]:
        for item in self._items(resource):
            try:
                yield wire.workload(resource, item)
            except Undecodable as error:
                click.echo(f"warning: one of {resource} is left out: {error}", err=True)

    def _items(self, resource: str) -> Iterator[Any]:
        self._api = self._api or load(self._kubeconfig, "kubectl-lastnode")
        try:
            path = discovery.collection_path(self._api, resource)
        except discovery.NotServed:
            return
        query = {"limit": str(PAGE_SIZE)}
        while True:
            page = envelope.page(self._api.get(path, query))
            yield from page.items or ()
            if not page.token:
                return
            query["continue"] = page.token


def columns(rows: Sequence[Iterable[str]]) -> list[str]:
    """Rows as lines with aligned columns, three spaces between them, as kubectl prints."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def age(then: datetime | None, now: datetime) -> str:
    """How long ago, in kubectl's short form: 45s, 12m, 5h, 3d."""
    return "<unknown>" if then is None else _short((now - then).total_seconds())


def _short(span: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if span >= 2 * length:
            return f"{int(span // length)}{unit}"
    return f"{max(0, int(span))}s"


def _row(workload: Workload, nodes: Mapping[str, Node], ttl: float, now: datetime) -> Row:
    entries = parse_text(workload.last_node, workload.recent_nodes)
    chosen, reason = choose(entries, now=now, ttl=ttl, nodes=nodes)
    newest = entries[0] if entries else None
    status = str(reason) if chosen is None or chosen is newest else f"{chosen.node} steps in"
    return Row(
        workload.namespace,
        workload.kind,
        workload.name,
        newest.node if newest else "<none>",
        age(newest.ready_at, now) if newest else "<none>",
        status,
    )


def _entry(entry: Entry, nodes: Mapping[str, Node], ttl: float, now: datetime) -> list[str]:
    status = validity(entry, now=now, ttl=ttl, nodes=nodes)
    left = "never"
    if ttl and entry.ready_at is not None:
        left = "-" if status is Validity.EXPIRED else _short(ttl - (now - entry.ready_at).total_seconds())
    return [entry.node, entry.hostname or "<unknown>", age(entry.ready_at, now), left, str(status)]


def main() -> None:
    """Exit codes: 0, 1 where the cluster could not answer, 2 for a wrong call."""
    try:
        cli(prog_name=PROG)
    except ConfigError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except LastnodeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
