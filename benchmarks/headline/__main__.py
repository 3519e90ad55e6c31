"""python -m benchmarks.headline: run the arms that are missing, one after the other, and print the report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.headline import experiment, model, report, world
from benchmarks.headline.arms import ARMS, ORACLE
from benchmarks.headline.kept import FOLDER, Kept, Run
from benchmarks.headline.oracle import Oracle
from benchmarks.headline.ran import summary
from benchmarks.measure import machine

EVERYBODY = (*ARMS, ORACLE)


def main(argv: Sequence[str] | None = None) -> int:
    wanted = _parser().parse_args(argv)
    size = world.full_size(wanted.scale)
    kept = Kept(wanted.seed, size.nodes, size.workloads)
    if wanted.anew:
        kept.forget()
    until = time.monotonic() + wanted.minutes * 60
    took: list[float] = []
    for arm in wanted.arms.split(","):
        if kept.get(arm) is None and time.monotonic() < until:
            kept.add(run := measure(arm, size, wanted.seed))
            took.append(run.minutes)
            missing = sum(kept.get(other) is None for other in EVERYBODY)
            _say(
                f"{arm}: done in {run.minutes:.1f} min; {missing} arms are missing, about {missing * max(took):.0f} min"
            )
    runs = kept.runs(list(EVERYBODY))
    print(report.text(runs))
    return 0 if len(runs) == len(EVERYBODY) else 3


def measure(arm: str, size: world.Size, seed: int) -> Run:
    """Run one arm, from nothing to nothing."""
    started, at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    rounds = list(world.rounds(size, seed))
    if arm == ORACLE:
        result = experiment.Result(list(Oracle(model.catalogue(size.workloads, seed)).run(rounds)), [], 0.0)
    else:
        result = experiment.run(ARMS[arm], size, rounds, seed, _progress(size))
    return Run(
        arm=arm,
        seed=seed,
        workloads=size.workloads,
        nodes=size.nodes,
        rounds=size.rounds,
        machine=machine(),
        at=at,
        minutes=(time.monotonic() - started) / 60,
        rates=list(experiment.rates(result.waves)),
        cycle_ms=result.cycle_ms,
        summary=summary(result.ran, rounds),
        ran=result.ran,
    )


def _progress(size: world.Size) -> experiment.Say:
    started, waves, done = time.monotonic(), size.rounds * -(-size.workloads // size.wave), 0

    def say(line: str) -> None:
        nonlocal done
        done += 1
        left = (time.monotonic() - started) / done * (waves - done) / 60
        _say(f"{line}; {left:.1f} min left of this arm")

    return say


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.headline",
        description=__doc__,
        epilog=f"Finished arms are kept in {FOLDER}; the same command goes on from there. Exit code 3: some miss.",
    )
    parser.add_argument("--scale", type=_scale, default=1.0, metavar="X", help="1: 20,000 workloads on 1,000 nodes")
    parser.add_argument("--arms", type=_arms, default=",".join(EVERYBODY), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=412)
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="begin no arm after so long")
    parser.add_argument("--anew", action="store_true", help="forget what is kept of this size and seed")
    return parser


def _scale(text: str) -> float:
    scale = float(text)
    if not 0.01 <= scale <= 5:
        raise argparse.ArgumentTypeError("from 0.01 (10 nodes) to 5")
    return scale


def _arms(text: str) -> str:
    if unknown := [name for name in text.split(",") if name not in EVERYBODY]:
        raise argparse.ArgumentTypeError(f"no arm {', '.join(unknown)}: there are {', '.join(EVERYBODY)}")
    return text


if __name__ == "__main__":
    raise SystemExit(main())
