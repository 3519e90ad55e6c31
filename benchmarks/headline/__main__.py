"""python -m benchmarks.headline: run the arms that are missing, one after the other, and print the report."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.headline import experiment, model, others, page, report, world
from benchmarks.headline.arms import ARMS, EVERYBODY, ORACLE
from benchmarks.headline.kept import FOLDER, PUBLISHED, Kept, Published, Run, joined, publish
from benchmarks.headline.oracle import Oracle
from benchmarks.headline.ran import summary
from benchmarks.measure import machine

SEED: Final = 412
_EPILOG: Final = f"""
Finished arms are kept in {FOLDER}; the same command goes on from there.
Exit code 3: arms are missing, or nothing is kept that could be published.
"""


def main(argv: Sequence[str] | None = None, results: Path = PUBLISHED) -> int:
    wanted = _arguments(argv)
    size = world.full_size(wanted.scale)
    kept, published = Kept(wanted.seed, size), Published(wanted.seed, size, results)
    if wanted.publish or wanted.plots or wanted.write_doc:
        return _publish(wanted, kept, published)
    if wanted.published:
        return _report(joined(kept, published, EVERYBODY))
    if wanted.anew:
        kept.forget()
    _measure_missing(kept, wanted.arms.split(","), size, wanted.seed, time.monotonic() + wanted.minutes * 60)
    return _report(kept.runs(EVERYBODY))


def _report(runs: Sequence[Run]) -> int:
    print(report.text(runs))
    return 0 if len(runs) == len(EVERYBODY) else 3


def _publish(wanted: argparse.Namespace, kept: Kept, published: Published) -> int:
    """Only what is committed goes into plots and text, so that they can be made again wherever it is checked out."""
    written: list[Path] = []
    if wanted.publish:
        written += publish(kept, published, wanted.arms.split(","))
        if not written:
            _say(f"nothing is kept in {kept.folder}")
            return 3
    if wanted.plots:
        written += page.write_plots(published.runs(EVERYBODY))
    if wanted.write_doc:
        page.write_doc(published.runs(EVERYBODY))
        written.append(page.DOC)
    print(*written, sep="\n")
    return 0


def _measure_missing(kept: Kept, arms: Sequence[str], size: world.Size, seed: int, until: float) -> None:
    """The arms that are not kept, one after the other; none is begun at or after ``until`` (time.monotonic)."""
    took: list[float] = []
    for arm in arms:
        if kept.get(arm) is None and time.monotonic() < until:
            kept.add(run := measure(arm, size, seed))
            took.append(run.minutes)
            missing = sum(kept.get(other) is None for other in EVERYBODY)
            _say(
                f"{arm}: done in {run.minutes:.1f} min; {missing} arms are missing, about {missing * max(took):.0f} min"
            )


def measure(arm: str, size: world.Size, seed: int) -> Run:
    """Run one arm, from nothing to nothing."""
    before, started, at = others.clock(), time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    rounds = list(world.rounds(size, seed))
    if arm == ORACLE:
        result = experiment.Result(list(Oracle(model.catalogue(size.workloads, seed)).run(rounds)), [], 0.0, {})
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
        cpu_ms=result.cpu_ms,
        summary=summary(result.ran, rounds),
        ran=result.ran,
        others=others.share(before, others.clock()),
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


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.headline", description=__doc__, epilog=_EPILOG)
    parser.add_argument("--scale", type=_scale, default=1.0, metavar="X", help="1: 20,000 workloads on 1,000 nodes")
    parser.add_argument("--arms", type=_arms, default=",".join(EVERYBODY), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="begin no arm after so long")
    parser.add_argument("--anew", action="store_true", help="forget what is kept of this size and seed")
    results = parser.add_argument_group("what came out", "these measure nothing")
    results.add_argument("--publish", action="store_true", help=f"copy what is kept into {_here(PUBLISHED)}")
    results.add_argument("--published", action="store_true", help="print the tables of what is kept or published")
    results.add_argument("--plots", action="store_true", help=f"write {_here(page.PLOTS)}/*.svg from what is published")
    results.add_argument(
        "--write-doc", action="store_true", help=f"write it into {_here(page.DOC)}, with links to the plots"
    )
    wanted = parser.parse_args(argv)
    if (wanted.plots or wanted.write_doc) and (wanted.scale, wanted.seed) != (1.0, SEED):
        parser.error(f"--plots and --write-doc are of the full size: --scale 1 --seed {SEED}")
    return wanted


def _here(path: Path) -> Path:
    return path.relative_to(page.DOC.parents[1])


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
