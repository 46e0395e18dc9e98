"""`python -m benchmarks` measures, which takes 20 minutes; with `--quick`, seconds.

Quick figures say nothing; they show that the benchmarks work.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

from benchmarks.figures import Scale
from benchmarks.records import record_figures
from benchmarks.shape_table import shape_table
from benchmarks.shapes import QUICK_SHAPES, SHAPES

if TYPE_CHECKING:
    from benchmarks.figures import Figure

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
    width = max(len(figure.what) for figure in figures)
    print(  # noqa: T201
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}; "
        f"medians of {scale.rounds}\n"
    )
    print(f"| {'measured':<{width}} | result      | goal     |")  # noqa: T201
    print(f"| {'-' * width} | ----------- | -------- |")  # noqa: T201
    for figure in figures:
        print(_row(figure, width))  # noqa: T201
    print("", *shapes.lines(), sep="\n")  # noqa: T201


def _row(figure: Figure, width: int) -> str:
    digits = 2 if figure.unit == "times" else 0
    goal = "" if figure.most is None else f"≤ {figure.most:g}" + ("" if figure.met else " ✗")
    return f"| {figure.what:<{width}} | {figure.value:5.{digits}f} {figure.unit:<5} | {goal:<8} |"


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
