"""The command report."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec

from kubectl_lastnode import journals
from kubectl_lastnode.options import Call, Duration, Failure, output, shared, warn
from kubectl_lastnode.output import age, counted, document, duration, share, table
from kubectl_lastnode.replicas import RECORDER, Program, at, in_cluster
from kubectl_lastnode.summary import Group, Summary, in_window, summarise
from lastnode.outcome import MEANING, Reason, SessionRecord

_HELP = """How often sessions came back, why the others did not, and what that saved.

The numbers are those of the recorders' own journals: their newest 10,000 sessions each, since they were started. All
namespaces count; -n looks at one. The reuse ratio is reused / (reused + moved): first sessions have nothing to come
back to. The time saved is an estimate, as if each reused session would have taken as long as those of its kind that
moved.

\b
Examples:
  kubectl lastnode report
  kubectl lastnode report --since 1h -n team-a
  kubectl lastnode report -o csv > reuse.csv
  kubectl lastnode report --html reuse.html     # one page with plots, for a browser
  kubectl lastnode report --recorder-url http://localhost:8889     # a port-forward, or a recorder outside
"""
_CSV = ("by", "name", "sessions", "first", "reused", "moved", "reuse_ratio",
        "startup_mean_seconds", "startup_p50_seconds", "startup_p95_seconds")  # fmt: skip


@click.command(help=_HELP, short_help="How often sessions come back, why not, and what it saves.")
@shared
@output("table", "json", "yaml", "csv")
@click.option("--since", type=Duration(), help="Only sessions that became Ready within this time, as 1h.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write one page with plots instead.")
@click.pass_obj
def report(call: Call, form: str | None, since: float | None, html: str | None) -> None:
    read = journals.read(recorders(call))
    for line in read.trouble:
        warn(f"{line}: its sessions are missing below")
    if read.since is None or read.complete_since is None:
        raise Failure("no recorder's journal could be read")
    now = call.now
    start = max(read.since, now - timedelta(seconds=since)) if since is not None else read.since
    sessions = [r for r in read.sessions if call.namespace in (None, r.namespace) and in_window(r, start)]
    if html:
        _write_page(html, sessions, read, start, call)
        return
    summary = summarise(
        sessions, since=start, complete_since=read.complete_since, until=now, dropped=read.dropped, unread=read.trouble
    )
    _print(summary, form or "table")


def recorders(call: Call) -> list[Program]:
    """The recorders to ask. :raises Failure: there is none, with what to do."""
    found = at(call.recorder_url) if call.recorder_url else in_cluster(call.cluster, RECORDER)
    if not found:
        raise Failure(
            "no recorder's pod found (app.kubernetes.io/part-of=lastnode); elsewhere? name it: --recorder-url"
        )
    return found


def _print(summary: Summary, form: str) -> None:
    if form in ("json", "yaml"):
        click.echo(document(summary, form))
    elif form == "csv":
        click.echo(as_csv(summary), nl=False)
    else:
        _tables(summary)


def as_csv(summary: Summary) -> str:
    """All groups in one table, by what they are grouped; empty where a number is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    writer.writerow(["total", *_plain_cells(summary.total)])
    for by, groups in _groups(summary):
        writer.writerows([by, *_plain_cells(one)] for one in groups)
    return text.getvalue()


def _groups(summary: Summary) -> Iterable[tuple[str, list[Group]]]:
    yield "kind", summary.by_kind
    yield "namespace", summary.by_namespace
    yield "outcome", summary.by_outcome
    yield "reason", summary.by_reason


def _plain_cells(one: Group) -> list[object]:
    times = one.startup_seconds
    seconds = [times.mean, times.p50, times.p95] if times else [None] * 3
    return [one.name, one.sessions, one.first, one.reused, one.moved, one.reuse_ratio, *seconds]


def _tables(summary: Summary) -> None:
    click.echo(reach(summary))
    if not summary.total.sessions:
        click.echo("No session became Ready in this time.", err=True)
        return
    for heading, groups in (("KIND", summary.by_kind), ("NAMESPACE", summary.by_namespace)):
        total = [msgspec.structs.replace(summary.total, name="<all>")] if len(groups) > 1 else []
        click.echo()
        table([[heading, "SESSIONS", "FIRST", "REUSED", "MOVED", "REUSE"], *map(_reuse_row, [*groups, *total])])
    if summary.by_reason:
        click.echo()
        table(
            [["MOVED-BECAUSE", "SESSIONS", "SHARE", "MEANING"], *(_reason_row(o, summary) for o in summary.by_reason)]
        )
    click.echo()
    table([["START-UP", "SESSIONS", "MEAN", "P50", "P95"], *map(_startup_row, summary.by_outcome)])
    click.echo(f"\n{saved(summary)}")


def reach(summary: Summary) -> str:
    """How far back the data goes, in words."""
    sessions = counted(summary.total.sessions, "session")
    text = f"{sessions} since {_moment(summary.since)} ({age(summary.since, summary.until)})"
    if summary.complete_since > summary.since:
        text += f"; complete from {_moment(summary.complete_since)} on, when a recorder was started"
    if summary.dropped:
        text += f"; {summary.dropped} older ones are not kept any more"
    return text + "."


def saved(summary: Summary) -> str:
    """The estimate in words, or why there is none."""
    seconds = summary.saved_seconds_estimate
    if seconds is None:
        return "Time saved: no estimate, since no kind has sessions that came back and sessions that moved."
    sessions = counted(summary.total.reused, "reused session")
    return f"Time saved (an estimate): {duration(seconds)} of waiting, in {sessions}."


def _reuse_row(one: Group) -> list[str]:
    return [one.name, str(one.sessions), str(one.first), str(one.reused), str(one.moved), share(one.reuse_ratio)]


def _reason_row(one: Group, summary: Summary) -> list[str]:
    ratio = share(one.moved / summary.total.moved)
    return [one.name, str(one.moved), ratio, MEANING[Reason(one.name)]]


def _startup_row(one: Group) -> list[str]:
    times = one.startup_seconds
    numbers = [times.mean, times.p50, times.p95] if times else [None] * 3
    return [one.name, str(times.count if times else 0), *map(duration, numbers)]


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _write_page(file: str, sessions: list[SessionRecord], read: journals.Journals, since: datetime, call: Call) -> None:
    from kubectl_lastnode.page.document import page  # its plots and templates are for nobody who asks for a table

    text = page(
        sessions,
        title=f"Sessions of {call.namespace}" if call.namespace else "Sessions of all namespaces",
        now=call.now,
        since=since,
        dropped=read.dropped,
        complete_since=max(since, read.complete_since or since),
        unread=read.trouble,
    )
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror or error}") from error
    click.echo(f"{file}: {counted(len(sessions), 'session')}")
