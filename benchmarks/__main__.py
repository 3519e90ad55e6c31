"""Run every benchmark, or those that are named: python -m benchmarks [injector] [prioritize]."""

import sys

from benchmarks import injector, prioritize
from benchmarks.measure import machine

BENCHMARKS = {"injector": injector.run, "prioritize": prioritize.run}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark called {', '.join(unknown)}: there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print(f"{machine()}\n")
    for name in names or BENCHMARKS:
        print(f"## {name}\n\n{BENCHMARKS[name]()}\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
