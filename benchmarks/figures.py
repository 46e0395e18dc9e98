"""A figure of the table, the table, and how much is measured for it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Scale:
    """How much to measure.

    Args:
        rounds: How often; figures are medians.
        rows: Records of a page.
        few_rows: Records of the smallest run.
        many_pages: Pages of the largest run.
        job_seconds: How long a job of the side-by-side figures takes.
        modules: How many modules discovery finds.
    """

    rounds: int = 5
    rows: int = 200_000
    few_rows: int = 10_000
    many_pages: int = 10
    job_seconds: float = 3.0
    modules: int = 200


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Args:
        what: What was measured against what.
        value: The ratio, or megabytes.
        most: The goal.
        unit: After the value.
    """

    what: str
    value: float
    most: float | None = None
    unit: str = "times"

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.most is None or self.value <= self.most


def table(figures: Sequence[Figure], rounds: int) -> list[str]:
    """Return the lines of the table, and above it the machine.

    Args:
        figures: Its lines.
        rounds: How often each was measured.
    """
    width = max((len(figure.what) for figure in figures), default=0)
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    return [
        f"Python {platform.python_version()}, {machine}; medians of {rounds}",
        "",
        f"| {'measured':<{width}} | result      | goal     |",
        f"| {'-' * width} | ----------- | -------- |",
        *(_row(figure, width) for figure in figures),
    ]


def _row(figure: Figure, width: int) -> str:
    digits = 2 if figure.unit == "times" else 0
    goal = "" if figure.most is None else f"≤ {figure.most:g}" + ("" if figure.met else " ✗")
    return f"| {figure.what:<{width}} | {figure.value:5.{digits}f} {figure.unit:<5} | {goal:<8} |"
