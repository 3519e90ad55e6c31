"""python -m benchmarks.headline: run the arms that are missing, one after the other, and print the report."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.headline import experiment, model, others, page, report, world
from benchmarks.headline.arms import ARMS, COMPARISON, EVERYBODY, IN_TURN, ORACLE, arms_of
from benchmarks.headline.kept import FOLDER, PUBLISHED, Kept, Published, Run, joined, publish
from benchmarks.headline.oracle import Oracle
from benchmarks.headline.ran import summary
from benchmarks.measure import machine

SEED: Final = 412
_EPILOG: Final = f"""
Finished arms are kept in {FOLDER}; the same command goes on from there. Ctrl-C stops, and prints what is there.
Exit code 3: nothing is there.
"""


def main(argv: Sequence[str] | None = None, results: Path = PUBLISHED) -> int:
    wanted = _arguments(argv)
    sizes = {name: _size(wanted, at_a_time) for name, at_a_time in world.WORLDS.items() if name in wanted.world}
    kept = {name: Kept(wanted.seed, size) for name, size in sizes.items()}
    published = {name: Published(wanted.seed, size, results) for name, size in sizes.items()}
    if wanted.publish or wanted.plots or wanted.write_doc:
        return _publish(wanted, kept, published)
    if wanted.published:
        return _report([joined(kept[name], published[name], arms_of(size.at_a_time)) for name, size in sizes.items()])
    until = time.monotonic() + wanted.minutes * 60
    with contextlib.suppress(KeyboardInterrupt):  # what is finished is kept
        for name, size in sizes.items():
            if wanted.anew or wanted.quick:
                kept[name].forget()
            _measure_missing(kept[name], wanted.arms, size, wanted.seed, until)
    found = [kept[name].runs(arms_of(size.at_a_time)) for name, size in sizes.items()]
    return _report(found, report.brief if wanted.quick else report.text)


def _size(wanted: argparse.Namespace, at_a_time: int) -> world.Size:
    return world.quick_size(at_a_time) if wanted.quick else world.full_size(wanted.scale, at_a_time)


def _report(worlds: Sequence[Sequence[Run]], told: Callable[[Sequence[Run]], str] = report.text) -> int:
    print(*(told(runs) for runs in worlds), sep="\n\n")
    return 0 if any(worlds) else 3


def _publish(wanted: argparse.Namespace, kept: Mapping[str, Kept], published: Mapping[str, Published]) -> int:
    """Only what is committed goes into plots and text, so that they can be made again wherever it is checked out."""
    written: list[Path] = []
    if wanted.publish:
        written += [file for name in kept for file in publish(kept[name], published[name], wanted.arms)]
        if not written:
            _say(f"nothing is kept in {' or '.join(str(each.folder) for each in kept.values())}")
            return 3
    worlds = {name: each.runs(EVERYBODY) for name, each in published.items()}
    if wanted.plots:
        written += page.write_plots(worlds)
    if wanted.write_doc:
        page.write_doc(worlds)
        written.append(page.DOC)
    print(*written, sep="\n")
    return 0


def _measure_missing(kept: Kept, arms: Sequence[str], size: world.Size, seed: int, until: float) -> None:
    """The arms that are not kept, one after the other; none is begun at or after ``until`` (time.monotonic)."""
    missing = [arm for arm in arms if arm in arms_of(size.at_a_time) and kept.get(arm) is None]
    took: list[float] = []
    for done, arm in enumerate(missing, 1):
        if time.monotonic() < until:
            kept.add(run := measure(arm, size, seed))
            took += [run.minutes] if arm != ORACLE else []
            _say(f"{arm}: done in {run.minutes:.1f} min; {remaining(len(missing) - done, took)}")


def remaining(left: int, took: Sequence[float]) -> str:
    """``took``: minutes of each arm that was finished, of those that run sessions."""
    about = f", about {left * max(took):.0f} min" if took and left else ""
    return f"{left} arm{'' if left == 1 else 's'} left{about}"


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
        at_a_time=size.at_a_time,
        model=model.PARAMETERS,
    )


def _progress(size: world.Size) -> experiment.Say:
    started, waves, done = time.monotonic(), size.rounds * -(-size.workloads // size.wave_workloads), 0

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
    worlds = ",".join(world.WORLDS)
    parser.add_argument("--world", type=_worlds, default=worlds, metavar="W", help="one or many sessions of a workload "
                        "at a time (default: %(default)s, one after the other)")  # fmt: skip
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--scale", type=_scale, default=1.0, metavar="X", help="1: 20,000 sessions a round on 1,000 nodes"
    )
    size.add_argument("--quick", action="store_true", help=f"anew, on 100 nodes, in short: {', '.join(COMPARISON)}")
    parser.add_argument("--arms", type=_arms, metavar="A,B", help=f"default, in this order: {','.join(IN_TURN)}")
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
    wanted.arms = wanted.arms or (COMPARISON if wanted.quick else IN_TURN)
    full = (wanted.scale, wanted.quick, wanted.seed, wanted.world) == (1.0, False, SEED, [*world.WORLDS])
    if (wanted.plots or wanted.write_doc) and not full:
        parser.error(f"--plots and --write-doc are of the full size and both worlds: --scale 1 --seed {SEED}")
    return wanted


def _here(path: Path) -> Path:
    return path.relative_to(page.DOC.parents[1])


def _scale(text: str) -> float:
    scale = float(text)
    if not 0.01 <= scale <= 5:
        raise argparse.ArgumentTypeError("from 0.01 (10 nodes) to 5")
    return scale


def _arms(text: str) -> list[str]:
    return _named(text, EVERYBODY)


def _worlds(text: str) -> list[str]:
    return _named(text, [*world.WORLDS])


def _named(text: str, known: Sequence[str]) -> list[str]:
    if unknown := [name for name in text.split(",") if name not in known]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}: there are {', '.join(known)}")
    return text.split(",")


if __name__ == "__main__":
    raise SystemExit(main())
