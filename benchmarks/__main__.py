"""Run every benchmark, or those that are named: python -m benchmarks [--scale N] [NAME …]; --help lists them.

recorder:sync, :memory, :idle, :scrape, :writes and :delay take one part of recorder alone. The scale is the number of
workloads, of Sandboxes and of pods; SCALE in the environment (make bench SCALE=2000) says the same. scheduling has
sizes of its own, takes long, and goes on where it was left: python -m benchmarks.scheduling --help.
slopes goes up to five times the scale: kube-apiserver takes 6 GB then.
"""

import argparse
import functools
import os
from collections.abc import Callable, Sequence

from benchmarks import answers, injector, prioritize, recorder, scheduling, sessioncost, slopes, webhook
from benchmarks.measure import machine

SCALE = 20_000
LEAST = 400

BENCHMARKS: dict[str, Callable[[int], str]] = {
    "answers": lambda _: answers.run(),
    "injector": lambda _: injector.run(),
    "prioritize": prioritize.run,
    "recorder": recorder.run,
    "webhook": lambda _: webhook.run(),
    "scheduling": lambda _: scheduling.run(),
    "sessioncost": lambda _: sessioncost.run(),
    "slopes": slopes.run,
}
PARTS: dict[str, Callable[[int], str]] = {
    f"recorder:{part}": functools.partial(recorder.run, part=part) for part in recorder.PARTS
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; default: all of them")
    parser.add_argument("--scale", type=_scale, default=os.environ.get("SCALE", str(SCALE)))
    wanted = parser.parse_args(argv)
    if unknown := [name for name in wanted.names if name not in BENCHMARKS | PARTS]:
        parser.error(f"no benchmark called {', '.join(unknown)}: there are {', '.join(BENCHMARKS | PARTS)}")
    print(f"{machine()}\n")
    for name in wanted.names or BENCHMARKS:
        print(f"## {name}\n\n{(BENCHMARKS | PARTS)[name](wanted.scale)}\n", flush=True)
    return 0


def _scale(text: str) -> int:
    number = int(text)
    if number < LEAST:
        raise argparse.ArgumentTypeError(f"{number} is too few to measure: at least {LEAST}")
    return number


if __name__ == "__main__":
    raise SystemExit(main())
