"""The demo's output: headings, lines and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n── {text} {'─' * max(0, 76 - len(text))}", flush=True)


def say(text: str) -> None:
    """Print a line, without buffering."""
    print(f"   {text}", flush=True)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: the first column left-aligned, the others, mostly numbers, right-aligned."""
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row]
        for row in [titles, *rows]
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        first, *others = row
        line = first.ljust(widths[0]) + "".join(
            f"  {cell.rjust(width)}" for cell, width in zip(others, widths[1:], strict=True)
        )
        say(line)
        if number == 0:
            say("─" * len(line))
