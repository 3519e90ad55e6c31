"""python -m benchmarks.scheduling: measure in pieces, one cluster size and a few minutes at a time."""

import argparse
from collections.abc import Sequence

from benchmarks import scheduling
from benchmarks.measure import machine
from benchmarks.scheduling import report
from benchmarks.scheduling.kept import FILE, Kept


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scheduling", description=__doc__)
    sizes = ",".join(map(str, scheduling.SIZES))
    parser.add_argument("--nodes", type=_sizes, default=sizes, help="cluster sizes (default: %(default)s)")
    parser.add_argument("--parts", type=_parts, default=",".join(report.PARTS), help="default: %(default)s")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after so long")
    parser.add_argument("--anew", action="store_true", help=f"forget what is kept in {FILE}")
    wanted = parser.parse_args(argv)
    kept = Kept()
    if wanted.anew:
        kept.forget()
    print(f"{machine()}\n\n{scheduling.run(wanted.nodes, wanted.minutes, kept, wanted.parts)}")
    return 0


def _sizes(text: str) -> list[int]:
    sizes = [int(word) for word in text.split(",")]
    if min(sizes) < 10:
        raise argparse.ArgumentTypeError("at least 10 nodes")
    return sizes


def _parts(text: str) -> list[str]:
    if unknown := {*text.split(",")} - {*report.PARTS}:
        raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}: there are {', '.join(report.PARTS)}")
    return text.split(",")


if __name__ == "__main__":
    raise SystemExit(main())
