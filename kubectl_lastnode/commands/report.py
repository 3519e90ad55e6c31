"""kubectl lastnode report: the recorders' journals in numbers, as tables, as data or as a page."""

import csv
import io
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from kubectl_lastnode.cluster import RECORDER
from kubectl_lastnode.journals import read_journals
from kubectl_lastnode.options import Duration, Failure, Options, output, warn
from kubectl_lastnode.output import age, document, measured, moment, plural, share, table, visible
from kubectl_lastnode.summary import Group, Summary, in_window, summarise
from lastnode.outcome import Outcome
from lastnode.reasons import Reason

_CSV = ("by", "name", "sessions", "first", "group", "reused", "older", "moved", "reuse_ratio",
        "startup_mean_seconds", "startup_p50_seconds", "startup_p95_seconds")  # fmt: skip


@click.command(short_help="How often sessions come back, why not, and what it saves.")
@output("table", "json", "yaml", "csv")
@click.option("--since", type=Duration(), help="Only sessions that became Ready within this time, as 1h.")
@click.option("--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write one page with plots instead.")
@click.pass_obj
def report(options: Options, form: str | None, since: float | None, html: str | None) -> None:
    """How often sessions came back, why the others did not, and what that saved.

    The numbers are those of the recorders' own journals: their newest 10,000 sessions each, since they were started.
    All namespaces count; -n looks at one. The reuse ratio is (reused + older) / (reused + older + moved): first ones,
    in a cache group or not, have nothing to come back to. The time saved is an estimate, as if each session that came
    back would have taken as long as those of its kind that moved, or, where none moved, as its first ones.

    \b
    Examples:
      kubectl lastnode report
      kubectl lastnode report --since 1h -n team-a
      kubectl lastnode report -o csv > reuse.csv
      kubectl lastnode report --html reuse.html     # one page with plots, for a browser
      kubectl lastnode report --recorder-url http://localhost:8889     # a port-forward, or a recorder outside
    """
    now = options.now
    read = _read(options, now - timedelta(seconds=since) if since is not None else None)
    if html:
        _write_page(html, read, options, now)
        return
    summary = summarise(until=now, **read)
    if form in ("json", "yaml"):
        click.echo(document(summary, form))
    elif form == "csv":
        click.echo(as_csv(summary), nl=False)
    else:
        _print_tables(summary)


def _read(options: Options, start: datetime | None) -> dict[str, Any]:
    """What a summary and a page are made of. :raises Failure: there is no recorder, or none answers; what to do."""
    recorders = options.cluster.replicas(RECORDER, options.recorder_url)
    if not recorders:
        raise Failure(options.no_recorder)
    read = read_journals(recorders)
    for line in read.trouble:
        warn(f"{line}: its sessions are missing below")
    if read.since is None or read.complete_since is None:
        raise Failure("no recorder's journal could be read")
    since = max(read.since, start) if start else read.since
    sessions = [r for r in read.sessions if options.namespace in (None, r.namespace) and in_window(r, since)]
    return {"sessions": sessions, "since": since, "complete_since": max(since, read.complete_since),
            "dropped": read.dropped, "unread": read.trouble}  # fmt: skip


def as_csv(summary: Summary) -> str:
    """All groups in one table, by what they are grouped; empty where a number is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    parts = {by: getattr(summary, f"by_{by}") for by in ("kind", "namespace", "outcome", "reason")}
    for by, groups in {"total": [summary.total], **parts}.items():
        writer.writerows([by, visible(one.name), *msgspec.structs.astuple(one)[1:-1], *_times(one)] for one in groups)
    return text.getvalue()


def _times(one: Group) -> tuple[float | None, ...]:
    times = one.startup_seconds
    return (times.mean, times.p50, times.p95) if times else (None, None, None)


def _print_tables(summary: Summary) -> None:
    click.echo(reach(summary))
    if not summary.total.sessions:
        click.echo("No session became Ready in this time.", err=True)
        return
    for rows in _tables(summary):
        click.echo(f"\n{table(rows)}")
    click.echo(f"\n{time_saved(summary)}")


def _tables(summary: Summary) -> Iterable[list[list[str]]]:
    """Headings and rows."""
    for heading, groups in (("KIND", summary.by_kind), ("NAMESPACE", summary.by_namespace)):
        total = [msgspec.structs.replace(summary.total, name="<all>")] if len(groups) > 1 else []
        yield [[heading, "SESSIONS", *(outcome.upper() for outcome in Outcome), "REUSE"]] + [
            [one.name, str(one.sessions), *(str(one.of(outcome)) for outcome in Outcome), share(one.reuse_ratio)]
            for one in (*groups, *total)
        ]
    if summary.by_reason:
        yield [["MOVED-BECAUSE", "SESSIONS", "SHARE", "MEANING"]] + [
            [one.name, str(one.moved), share(one.moved / summary.total.moved), Reason(one.name).meaning]
            for one in summary.by_reason
        ]
    if summary.moved_most:
        yield [["MOVED-MOST", "MOVED", "OF-RETURNING", "REUSE"]] + [
            [one.name, str(one.moved), str(one.returning), share(one.reuse_ratio)] for one in summary.moved_most
        ]
    yield [["START-UP", "SESSIONS", "MEAN", "P50", "P95"]] + [
        [one.name, str(one.startup_seconds.count if one.startup_seconds else 0), *map(measured, _times(one))]
        for one in summary.by_outcome
    ]


def reach(summary: Summary) -> str:
    """How far back the data goes, in words."""
    sessions, back = plural(summary.total.sessions, "session"), age(summary.since, summary.until)
    text = f"{sessions} since {moment(summary.since)} ({back})"
    if summary.complete_since > summary.since:
        text += f"; complete from {moment(summary.complete_since)} on, when a recorder was started"
    if summary.dropped:
        text += f"; {summary.dropped} older ones are not kept any more"
    return text + "."


def time_saved(summary: Summary) -> str:
    """In words, with the sessions that were counted."""
    saved = summary.saved_estimate
    if saved is None:
        return "Time saved: no estimate, since no kind has sessions that came back and others to compare them with."
    whose = f"{saved.sessions:,} of {plural(summary.total.back, 'session')} that came back"
    return f"Time saved (an estimate): {measured(saved.seconds)} of waiting, in {whose}, compared with {saved.against}."


def _write_page(file: str, read: dict[str, Any], options: Options, now: datetime) -> None:
    from kubectl_lastnode.page import page  # its plots and templates are for nobody who asks for a table

    title = f"Sessions of {options.namespace or 'all namespaces'}"
    try:
        Path(file).write_text(page(title=title, cluster=options.cluster_name, now=now, **read), encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror or error}") from error
    click.echo(f"{file}: {plural(len(read['sessions']), 'session')}")
