"""`python -m benchmarks` measures, which takes 20 minutes; with `--quick`, seconds.

Quick figures say nothing; they show that the benchmarks work.
"""

from __future__ import annotations

import sys

from benchmarks.figures import Scale, table
from benchmarks.records import record_figures
from benchmarks.shape_table import shape_table
from benchmarks.shapes import QUICK_SHAPES, SHAPES

_QUICK = Scale(rounds=1, rows=2_000, few_rows=100, many_pages=3, job_seconds=0.2, modules=5)


def main() -> None:
    """Measure, and print the tables."""
    quick = "--quick" in sys.argv[1:]
    scale = _QUICK if quick else Scale()
    figures = [*record_figures(scale, _say)]
    shapes = shape_table(QUICK_SHAPES if quick else SHAPES, _say)
    figures += shapes.figures()
    # Late, since memory is measured from a small process: see `records`.
    from benchmarks.waiting import side_by_side_figures  # noqa: PLC0415

    figures += side_by_side_figures(scale, _say)
    print(*table(figures, scale.rounds), "", *shapes.lines(), sep="\n")  # noqa: T201


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
