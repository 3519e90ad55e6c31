"""python -m benchmarks.slopes: publish what python -m benchmarks slopes kept, and write docs/large.md by it."""

from __future__ import annotations

import sys

from benchmarks.slopes import FILE, page


def main() -> int:
    """Without anything kept, what was published before is written."""
    if FILE.exists():
        page.PUBLISHED.write_bytes(FILE.read_bytes())
    results = page.published()
    page.DOC.write_text(page.with_block(page.DOC.read_text("utf-8"), results), "utf-8")
    page.PLOT.write_text(page.plot(results.series), "utf-8")
    print(page.PUBLISHED, page.DOC, page.PLOT, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
