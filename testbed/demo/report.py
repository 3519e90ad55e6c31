"""What the demo prints: a line a workload, then the totals. Pure until print_*."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from testbed.demo.many import Tally
from testbed.demo.outcome import Outcome, Run, Total

_COLOURS: dict[Outcome, str] = {"first": "blue", "reused": "green", "older": "green", "moved": "yellow"}


def print_arm(console: Console, title: str, runs: Sequence[Run]) -> None:
    """One row a workload, one column a session: node, outcome and start-up time."""
    sessions = sorted({run.session for run in runs})
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("workload")
    table.add_column("kind")
    for session in sessions:
        table.add_column(f"session {session}")
    for workload in sorted({run.workload for run in runs}):
        own = {run.session: run for run in runs if run.workload == workload}
        kind = next(iter(own.values())).kind
        table.add_row(workload, kind, *(_cell(own[session]) for session in sessions))
    console.print(table)


def print_faults(console: Console, rows: Sequence[tuple[str, str, Run]]) -> None:
    """One row a fault: (what happened, the last node, the session that followed)."""
    table = Table(title="The last node is lost: the session runs elsewhere", title_justify="left", header_style="bold")
    for column in ("face", "workload", "last node", "what happened to it", "the next session"):
        table.add_column(column)
    for fault, last_node, run in rows:
        table.add_row(run.arm, run.workload, last_node, fault, _cell(run))
    console.print(table)


def print_totals(console: Console, totals: Sequence[Total]) -> None:
    """One row an arm; the control arm among them."""
    table = Table(title="Totals (start-up seconds on the clock, means)", title_justify="left", header_style="bold")
    for column in ("arm", "came back", "share", "first", "reused", "moved"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for total in totals:
        seconds = (total.first_seconds, total.reused_seconds, total.moved_seconds)
        table.add_row(
            total.arm, f"{total.reused} of {total.returning}", f"{total.share:.0%}", *(_seconds(s) for s in seconds)
        )
    console.print(table)


def print_tallies(console: Console, title: str, tallies: Sequence[Tally]) -> None:
    """One row a tally; the control arms among them."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("sessions", "on a known node", "share", "most on one node", "start-up"):
        table.add_column(column, justify="left" if column == "sessions" else "right")
    for tally in tallies:
        landed = f"{len(tally.warm)} of {len(tally.landings)}"
        table.add_row(tally.title, landed, f"{tally.share:.0%}", str(tally.most), _seconds(tally.seconds))
    console.print(table)


def _cell(run: Run) -> str:
    colour = _COLOURS[run.outcome]
    return f"{run.node:<8} [{colour}]{run.outcome:<6}[/{colour}] {run.seconds:4.1f} s"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
