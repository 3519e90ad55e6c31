"""What the demo prints: a few workloads of each arm, then the totals. Pure until print_*."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from testbed.demo.many import Tally
from testbed.demo.outcome import Outcome, Run, Total

_COLOURS: dict[Outcome, str] = {"first": "blue", "reused": "green", "older": "green", "moved": "yellow"}


def print_sessions(console: Console, title: str, arms: Sequence[Sequence[Run]]) -> None:
    """One row a workload, one column a session: node, outcome and start-up time. ``arms``: apart."""
    sessions = sorted({run.session for runs in arms for run in runs})
    table = _table(title, ["workload", "kind", *(f"session {session}" for session in sessions)])
    for runs in arms:
        for workload in sorted({run.workload for run in runs}):
            own = {run.session: run for run in runs if run.workload == workload}
            table.add_row(workload, own[sessions[0]].kind, *(_cell(own[session]) for session in sessions))
        table.add_section()
    console.print(table)


def print_faults(console: Console, rows: Sequence[tuple[str, str, Run]]) -> None:
    """One row a fault: (what happened, the last node, the session that followed)."""
    columns = ("face", "workload", "last node", "what happened to it", "the next session")
    table = _table("The last node is lost: the session runs elsewhere", columns)
    for fault, last_node, run in rows:
        table.add_row(run.arm, run.workload, last_node, fault, _cell(run))
    console.print(table)


def print_totals(console: Console, totals: Sequence[Total]) -> None:
    """One row an arm; the control arms among them."""
    columns = ("arm", "came back", "share", "first", "reused", "moved")
    table = _table("Totals (start-up seconds on the clock, means)", columns, numbers=True)
    for total in totals:
        seconds = (total.first_seconds, total.reused_seconds, total.moved_seconds)
        table.add_row(
            total.arm, f"{total.reused} of {total.returning}", f"{total.share:.0%}", *(_seconds(s) for s in seconds)
        )
    console.print(table)


def print_tallies(console: Console, title: str, tallies: Sequence[Tally]) -> None:
    """One row a tally; the control arms among them."""
    table = _table(title, ("sessions", "on a known node", "share", "most on one node", "start-up"), numbers=True)
    for tally in tallies:
        landed = f"{len(tally.warm)} of {len(tally.landings)}"
        table.add_row(tally.title, landed, f"{tally.share:.0%}", str(tally.most), _seconds(tally.seconds))
    console.print(table)


def _table(title: str, columns: Iterable[str], *, numbers: bool = False) -> Table:
    """``numbers``: they stand in all columns but the first."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and index else "left")
    return table


def _cell(run: Run) -> str:
    colour = _COLOURS[run.outcome]
    return f"{run.node:<8} [{colour}]{run.outcome:<6}[/{colour}] {run.seconds:4.1f} s"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
