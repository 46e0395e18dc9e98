"""A figure of the table, and how much is measured for it."""

from __future__ import annotations

from dataclasses import dataclass


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
