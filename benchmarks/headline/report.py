"""The tables of the finished arms."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.headline.arms import CONTROL, EVERYBODY, ORACLE
from benchmarks.headline.kept import Run
from benchmarks.headline.others import BUSY
from benchmarks.headline.ran import REASONS, Summary
from benchmarks.measure import table

_STARTUP = (
    "arm",
    "came back",
    "of possible",
    "of the oracle's",
    "those: mean s",
    "mean s",
    "cut",
    "p50 s",
    "p95 s",
    "pulled TB",
    "first s",
)
_LOAD = (
    "arm",
    "pods/s",
    "of none",
    "cycle ms",
    "sessions a node: deviation",
    "most on one node",
    "CPU of others",
    "minutes",
)


def text(runs: Sequence[Run]) -> str:
    """Start-up, load and speed, and what kept sessions from coming back; of whatever is finished."""
    if not runs:
        return "nothing was measured yet"
    reasons = table(("why not", *(run.arm for run in runs)), [_reason(why, runs) for why in REASONS])
    return "\n\n".join([*_main(runs), reasons, *_cpu(runs), *_notes(runs)])


def summary(runs: Sequence[Run]) -> str:
    """The same without what explains it: reasons and CPU time."""
    return "\n\n".join([*_main(runs), *_notes(runs)])


def _main(runs: Sequence[Run]) -> list[str]:
    control, oracle = _find(runs, CONTROL), _find(runs, ORACLE)
    return [
        _intro(runs),
        table(_STARTUP, [_startup(run, control, oracle) for run in runs]),
        table(_LOAD, [_load(run, control) for run in runs]),
    ]


def _intro(runs: Sequence[Run]) -> str:
    one, days = runs[0], sorted({run.at[:10] for run in runs})
    return (
        f"{one.workloads:,} workloads with an image each, {one.nodes:,} nodes, {one.rounds} rounds, seed {one.seed}; "
        f"{'; '.join(sorted({run.machine for run in runs}))}, {' to '.join(days[:: len(days) - 1 or 1])}. "
        "Start-up times and bytes are the model's."
    )


def _notes(runs: Sequence[Run]) -> list[str]:
    """What the tables have to be read with: arms that are missing, and a machine that did something else too."""
    missing = [arm for arm in EVERYBODY if _find(runs, arm) is None]
    busy = [run.arm for run in runs if run.rates and (run.others or 0.0) > BUSY]
    words = ("Something else ran on the machine meanwhile, so that their pods/s and cycle are not only their own", busy)
    return [f"{what}: {', '.join(arms)}." for what, arms in (("Not run yet", missing), words) if arms]


def _startup(run: Run, control: Run | None, oracle: Run | None) -> list[str]:
    own = run.summary
    share = own.came_back / own.returning
    best = oracle and own.came_back / oracle.summary.came_back
    cut = control and 1 - own.mean / control.summary.mean
    return [
        run.arm,
        f"{share:.1%}",
        f"{own.came_back / own.possible:.1%}",
        "" if best is None else f"{best:.1%}",
        f"{own.back_mean:.2f}",
        f"{own.mean:.2f}",
        "" if cut is None or run is control else f"{cut:.1%}",
        f"{own.p50:.2f}",
        f"{own.p95:.2f}",
        f"{own.pulled / 1e12:.3f}",
        f"{own.first_mean:.2f}",
    ]


def _load(run: Run, control: Run | None) -> list[str]:
    rate = statistics.median(run.rates) if run.rates else None
    peer = statistics.median(control.rates) if control else None
    return [
        run.arm,
        "" if rate is None else f"{rate:.0f}",
        "" if rate is None or peer is None or run is control else f"{rate / peer:.2f}",
        f"{run.cycle_ms:.1f}" if run.rates else "",
        f"{run.summary.spread:.2f}",
        f"{run.summary.fullest:.1f}",
        "" if run.others is None else f"{run.others:.1%}",
        f"{run.minutes:.1f}",
    ]


def _reason(why: str, runs: Sequence[Run]) -> list[str]:
    return [why, *(_lost(run.summary, why) for run in runs)]


def _lost(own: Summary, why: str) -> str:
    count = own.reasons[why]
    return f"{count:,} ({own.seconds[why]:.1f} s)" if count else "0"


def _cpu(runs: Sequence[Run]) -> list[str]:
    """Of the arms of which it is known; nothing where it is of none."""
    known = [run for run in runs if run.cpu_ms]
    names = dict.fromkeys(name for run in known for name in run.cpu_ms)
    rows = [[name, *(f"{run.cpu_ms[name]:.1f}" if name in run.cpu_ms else "" for run in known)] for name in names]
    return [table(("CPU ms a session", *(run.arm for run in known)), rows)] if known else []


def _find(runs: Sequence[Run], arm: str) -> Run | None:
    return next((run for run in runs if run.arm == arm), None)
