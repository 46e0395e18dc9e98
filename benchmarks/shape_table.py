"""The table of shapes: how long a sync takes, measured against the least possible.

`python -m benchmarks.shape_table` measures it alone.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pages, processes
from benchmarks.figures import Figure
from benchmarks.server import Module
from benchmarks.shapes import SHAPES
from benchmarks.spool import SpoolWatch
from benchmarks.target import target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.processes import Usage
    from benchmarks.shapes import Shape

_MAX_TIMES = 1.15
_MEGABYTE = 1 << 20
_ALONE_PAGES = 16
_NO_LIMIT = 10_000
_HEADER = (
    "modules x pages x job",
    *("target", "at Zoho", "output", "what takes longest"),
    *("least", "took", "times", "memory", "on disk"),
)


@dataclass(frozen=True)
class ShapeRun:
    """A line of the table.

    Args:
        shape: What was synced.
        least: The least possible seconds.
        longest: What takes them.
        usage: What the tap took.
        peak_spool_bytes: The most disk space of its pages; None if the system does not tell.
    """

    shape: Shape
    least: float
    longest: str
    usage: Usage
    peak_spool_bytes: int | None

    @property
    def times(self) -> float:
        """How many times the least possible the tap took."""
        return self.usage.wall / self.least

    def cells(self) -> list[str]:
        """Return the line's cells."""
        shape, spool = self.shape, self.peak_spool_bytes
        limit = shape.downloads_per_minute
        zoho = "parallel" if shape.parallel else "one at a time"
        return [
            ", ".join(map(str, shape.chains)),
            "quick" if shape.pace is None else f"{shape.pace:,g}/s",
            zoho if limit is None else f"{limit} downloads/min",
            "BATCH" if shape.batch else "records",
            self.longest,
            f"{self.least:.1f} s",
            f"{self.usage.wall:.1f} s",
            f"{self.times:.2f}" + ("" if self.times <= _MAX_TIMES else " ✗"),
            f"{self.usage.peak_bytes / _MEGABYTE:.0f} MB",
            "" if spool is None else f"{spool / _MEGABYTE:.1f} MB",
        ]


@dataclass(frozen=True)
class ShapeTable:
    """Syncs of several shapes.

    Args:
        alone: What the tap took for large pages of one module, without a wait.
        runs: The syncs.
    """

    alone: Usage
    runs: Sequence[ShapeRun]

    def figures(self) -> Iterator[Figure]:
        """Yield what the table shows in all."""
        worst = max(run.times for run in self.runs)
        yield Figure("any shape ÷ the least possible", worst, _MAX_TIMES)
        peak = max(run.usage.peak_bytes for run in self.runs)
        yield Figure("peak memory of any shape ÷ of one module", peak / self.alone.peak_bytes, 1.1)

    def lines(self) -> Iterator[str]:
        """Yield the table's lines."""
        rows = [_HEADER, *(run.cells() for run in self.runs)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for number, row in enumerate(rows):
            if number == 1:
                yield f"| {' | '.join('-' * width for width in widths)} |"
            cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            yield f"| {' | '.join(cells)} |"


def shape_table(shapes: Sequence[Shape], say: Callable[[str], None]) -> ShapeTable:
    """Measure a sync of each shape.

    Args:
        shapes: The shapes.
        say: Called with what is measured next.
    """
    with tempfile.TemporaryDirectory() as folder:
        directories = {shape.rows: Path(folder, str(shape.rows)) for shape in shapes}
        for rows, directory in directories.items():
            directory.mkdir()
            processes.run("benchmarks.pages", str(directory), "1", str(rows))
        rows = max(directories)
        say(f"shapes, what {rows * _ALONE_PAGES:,} records of one module take")
        module = Module(pages.MODULE, _ALONE_PAGES)
        with processes.page_server(directories[rows], [module], rows=rows) as config:
            alone = processes.tap(config, pages.catalog())
        decoding_seconds = alone.wall / (rows * _ALONE_PAGES)
        runs = []
        for number, shape in enumerate(shapes, 1):
            say(f"shapes, {number} of {len(shapes)}")
            usage, spool = _sync(shape, directories[shape.rows])
            runs.append(ShapeRun(shape, *shape.least(decoding_seconds), usage, spool))
    return ShapeTable(alone, runs)


def _sync(shape: Shape, directory: Path) -> tuple[Usage, int | None]:
    """Sync a shape, and return what that took, and the most disk space of its pages."""
    modules = shape.modules
    with (
        tempfile.TemporaryDirectory() as spool,
        tempfile.TemporaryDirectory() as files,
        processes.page_server(
            directory, modules, rows=shape.rows, parallel=shape.parallel
        ) as config,
    ):
        batch_config = {
            "encoding": {"format": "jsonl", "compression": "none"},
            "storage": {"root": Path(files).as_uri()},
        }
        settings: dict[str, Any] = {
            **config,
            # Short, as this does not measure how late the tap notices that a job has ended.
            "poll_interval_seconds": 0.02,
            "max_poll_interval_seconds": 0.1,
            "max_concurrent_jobs": shape.max_concurrent_jobs,
            "downloads_per_minute": shape.downloads_per_minute or _NO_LIMIT,
            "spool_directory": spool,
            **({"batch_config": batch_config} if shape.batch else {}),
        }
        watch = SpoolWatch(Path(spool))
        usage = processes.tap(
            settings,
            pages.catalog(*(module.name for module in modules)),
            target=None if shape.pace is None else target_of(shape.pace),
            watch=watch,
        )
        return usage, watch.peak_bytes


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    print(*shape_table(SHAPES, _say).lines(), sep="\n")  # noqa: T201
