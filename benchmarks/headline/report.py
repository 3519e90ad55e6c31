"""The tables of the finished arms of one world."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from benchmarks.headline import aims
from benchmarks.headline.arms import CONTROL, ORACLE, STICKIEST, arms_of
from benchmarks.headline.kept import Run
from benchmarks.headline.others import BUSY
from benchmarks.headline.ran import ELSEWHERE, REASONS, Summary
from benchmarks.measure import table


class _Beside(NamedTuple):
    """What an arm is set beside, as far as that was run."""

    control: Run | None
    oracle: Run | None


def _share(part: Callable[[Summary], int], whole: Callable[[Summary], int]) -> Callable[[Run, _Beside], str]:
    return lambda run, _: f"{part(run.summary) / whole(run.summary):.1%}"


def _of_the_oracle(run: Run, by: _Beside) -> str:
    return f"{run.summary.remembered / by.oracle.summary.remembered:.1%}" if by.oracle else ""


def _cut(run: Run, by: _Beside) -> str:
    return f"{aims.cut(run, by.control):.1%}" if by.control and run.arm != CONTROL else ""


def _of_none(run: Run, by: _Beside) -> str:
    return f"{aims.rate(run, by.control):.2f}" if by.control and run.rates and run.arm != CONTROL else ""


def _cpu_in_short(run: Run, _: _Beside) -> str:
    return "/".join(f"{run.cpu_ms[name]:.1f}" for name in _TELLING if name in run.cpu_ms)


_TOGETHER: Final = "of one workload"
_TELLING: Final = ("kube-apiserver", "kube-scheduler", "recorder", "webhook")
_COLUMNS: Final[Mapping[str, Callable[[Run, _Beside], str]]] = {
    "arm": lambda run, _: run.arm,
    "remembered node": _share(lambda own: own.remembered, lambda own: own.returning),
    "last node": _share(lambda own: own.came_back, lambda own: own.returning),
    "of possible": _share(lambda own: own.remembered, lambda own: own.possible),
    "of the oracle's": _of_the_oracle,
    "passed over": _share(lambda own: own.reasons[ELSEWHERE], lambda own: own.returning),
    "those: mean s": lambda run, _: f"{run.summary.back_mean:.2f}",
    "mean s": lambda run, _: f"{run.summary.mean:.2f}",
    "cut": _cut,
    "p50 s": lambda run, _: f"{run.summary.p50:.2f}",
    "p95 s": lambda run, _: f"{run.summary.p95:.2f}",
    "pulled TB": lambda run, _: f"{run.summary.pulled / 1e12:.3f}",
    "first s": lambda run, _: f"{run.summary.first_mean:.2f}",
    "pods/s": lambda run, _: f"{statistics.median(run.rates):.0f}" if run.rates else "",
    "of none": _of_none,
    "cycle ms": lambda run, _: f"{run.cycle_ms:.1f}" if run.rates else "",
    "deviation": lambda run, _: f"{run.summary.spread:.2f}",
    "most": lambda run, _: f"{run.summary.fullest:.1f}",
    _TOGETHER: lambda run, _: f"{run.summary.together:.2f}",
    "at most": lambda run, _: f"{run.summary.most_together}",
    "CPU ms": _cpu_in_short,
    "CPU of others": lambda run, _: "" if run.others is None else f"{run.others:.1%}",
    "minutes": lambda run, _: f"{run.minutes:.1f}",
}
_STARTUP: Final = ("arm", "remembered node", "last node", "of possible", "of the oracle's", "passed over",
                   "those: mean s", "mean s", "cut", "p50 s", "p95 s", "pulled TB", "first s")  # fmt: skip
_LOAD: Final = ("arm", "pods/s", "of none", "cycle ms", "deviation", "most", _TOGETHER, "at most",
                "CPU of others", "minutes")  # fmt: skip
_BRIEF: Final = ("arm", "remembered node", "mean s", "cut", "p95 s", "pulled TB", "pods/s")
_WHO: Final = dict(zip((CONTROL, STICKIEST, ORACLE), ("without lastnode", "with it", "at best"), strict=True))
_SHORT: Final = ("arm", "remembered node", "last node", "passed over", "mean s", "cut", "first s", "pods/s", "of none",
                 "CPU ms", "deviation", _TOGETHER)  # fmt: skip


def text(runs: Sequence[Run]) -> str:
    """Start-up, load and speed, what kept sessions away, CPU time, and the aims; of whatever is finished."""
    if not runs:
        return "nothing was measured yet"
    reasons = table(("why not", *(run.arm for run in runs)), [_reason(why, runs) for why in REASONS])
    parts = [_intro(runs), _table(_STARTUP, runs), _table(_LOAD, runs), reasons, _cpu(runs), aims.text(runs)]
    return "\n\n".join([*filter(None, parts), *_notes(runs)])


def brief(runs: Sequence[Run]) -> str:
    """The answer in a sentence and a table, for who looks at it the first time."""
    if not runs:
        return "nothing was measured yet"
    return "\n\n".join(filter(None, [_answer(runs), _intro(runs), _table(_BRIEF, runs), *_notes(runs, wanted=())]))


def summary(runs: Sequence[Run]) -> str:
    """What of it goes into a document."""
    columns = [column for column in _SHORT if column != _TOGETHER or runs[0].at_a_time > 1]
    return "\n\n".join(filter(None, [_world(runs), _table(columns, runs), aims.text(runs), *_notes(runs)]))


def _answer(runs: Sequence[Run]) -> str:
    found = {run.arm: run.summary for run in runs}
    told = [
        f"{who} {own.remembered / own.returning:.0%} came back, {own.mean:.1f} s mean"
        for arm, who in _WHO.items()
        if (own := found.get(arm))
    ]
    return f"{'; '.join(told).capitalize()}." if told else ""


def _intro(runs: Sequence[Run]) -> str:
    return f"{_world(runs)} Start-up times and bytes are the model's."


def _world(runs: Sequence[Run]) -> str:
    one, days = runs[0], sorted({run.at[:10] for run in runs})
    sessions = f"{one.at_a_time} session{'s' * (one.at_a_time > 1)} of each at a time"
    return (
        f"{one.workloads:,} workloads with an image each, {sessions}, {one.nodes:,} nodes, {one.rounds} rounds, "
        f"seed {one.seed}; "
        f"{'; '.join(sorted({run.machine for run in runs}))}, {' to '.join(days[:: len(days) - 1 or 1])}."
    )


def _table(columns: Sequence[str], runs: Sequence[Run]) -> str:
    found = {run.arm: run for run in runs}
    beside = _Beside(found.get(CONTROL), found.get(ORACLE))
    return table(columns, [[_COLUMNS[column](run, beside) for column in columns] for run in runs])


def _notes(runs: Sequence[Run], wanted: Sequence[str] | None = None) -> list[str]:
    """What the tables have to be read with: arms that are missing, and a machine that did something else too."""
    wanted = arms_of(runs[0].at_a_time) if wanted is None else wanted
    missing = [arm for arm in wanted if arm not in {run.arm for run in runs}]
    busy = [run.arm for run in runs if run.rates and (run.others or 0.0) > BUSY]
    words = ("Something else ran on the machine meanwhile, so that their pods/s and cycle are not only their own", busy)
    return [f"{what}: {', '.join(arms)}." for what, arms in (("Not run yet", missing), words) if arms]


def _reason(why: str, runs: Sequence[Run]) -> list[str]:
    return [why, *(_lost(run.summary, why) for run in runs)]


def _lost(own: Summary, why: str) -> str:
    count = own.reasons[why]
    return f"{count:,} ({own.seconds[why]:.1f} s)" if count else "0"


def _cpu(runs: Sequence[Run]) -> str:
    """Of the arms of which it is known; nothing where it is of none."""
    known = [run for run in runs if run.cpu_ms]
    names = dict.fromkeys(name for run in known for name in run.cpu_ms)
    rows = [[name, *(f"{run.cpu_ms[name]:.1f}" if name in run.cpu_ms else "" for run in known)] for name in names]
    return table(("CPU ms a session", *(run.arm for run in known)), rows) if known else ""
