"""The page for people: one HTML document that needs nothing else, no network, no script, no font. Pure, but for the
templates that it reads from this package.

``sections`` says what is on it; ``templates/report.html`` and ``report.css`` say how it looks.
"""

from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from kubectl_lastnode.page import plots, sections
from kubectl_lastnode.page.timeline import Period, period
from kubectl_lastnode.page.wording import duration, moment, plural, visible
from lastnode.journal import SessionRecord
from lastnode.outcome import Outcome

_OUTCOMES = {
    Outcome.REUSED: "ran on its last node",
    Outcome.MOVED: "had a last node and ran elsewhere",
    Outcome.FIRST: "nothing was remembered",
}


def page(
    records: Sequence[SessionRecord],
    *,
    title: str,
    now: datetime,
    since: datetime,
    dropped: int = 0,
    complete_since: datetime | None = None,
    unread: Sequence[str] = (),
) -> str:
    """The report on these sessions, as an HTML document in UTF-8 of less than 150 KB, however many there are.

    ``now``: when it is made; ``since``: what ended before is not in ``records``; ``dropped``: how many older sessions
    the recorders had to forget; ``complete_since``: from when on none is missing, where that is later; ``unread``: a
    line for each recorder that could not be read. All times are aware ones. Any text may be anything: it is escaped.
    """
    covered = period(records, since=since, now=now, dropped=dropped)
    context = _frame(title, now, covered) | {
        "dropped": plural(dropped, "older session") if dropped else "",
        "complete_since": moment(complete_since) if complete_since and complete_since > covered.start else "",
        "unread": unread,
        "sessions": len(records),
        "tiles": sections.tiles(records),
        "notes": sections.notes(records),
    }
    if records:
        context |= {
            "time": sections.over_time(records, covered),
            "reasons": sections.by_reason(records),
            "startup": sections.startup(records),
            "nodes": sections.by_node(records),
            "kinds": sections.by_kind(records),
            "namespaces": sections.by_namespace(records),
            "movers": sections.movers(records),
        }
    return _environment().get_template("report.html").render(context)


def _frame(title: str, now: datetime, covered: Period) -> dict[str, object]:
    style = files("kubectl_lastnode.page").joinpath("templates/report.css").read_text("utf-8")
    return {
        "title": title,
        "start": moment(covered.start),
        "end": moment(covered.end),
        "length": duration(covered.length.total_seconds()),
        "made": moment(now),
        "version": version("lastnode"),
        "outcomes": [{"name": outcome, "meaning": _OUTCOMES[outcome]} for outcome in plots.ORDER],
        "style": style,
        "style_hash": f"sha256-{b64encode(sha256(style.encode()).digest()).decode()}",
    }


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("kubectl_lastnode.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
