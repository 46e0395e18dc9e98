"""The table of shapes: how long a sync takes, measured against the least possible.

Every tap on the Meltano SDK imports it before it does anything, so this counts as part of the least
possible. Each time is the median of three. What decoding takes is measured in the same minute as
the sync, since the speed of a machine changes by more than what is to be shown.

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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.processes import Usage
    from benchmarks.shapes import Shape

_MAX_TIMES = 1.15
_MEGABYTE = 1 << 20
_ALONE_PAGES = 16
# What the tap counts for a page that is smaller.
_MIN_PAGE_BYTES = 16 << 20
_NO_LIMIT = 10_000
_ROUNDS = 3
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
        alone: What large pages of one module took, without a wait.
        start: Seconds in which the SDK is imported.
        least: The least possible seconds after that.
        longest: What takes them.
        usage: What the tap took.
        spool_pages: The most pages that it had on disk; None if the system does not list them.
    """

    shape: Shape
    alone: Usage
    start: float
    least: float
    longest: str
    usage: Usage
    spool_pages: float | None

    @property
    def times(self) -> float:
        """How many times the least possible the tap took."""
        return self.usage.wall / (self.start + self.least)

    @property
    def spool_share(self) -> float | None:
        """How much it had on disk of what `max_spool_bytes` permits; None if that is not known.

        Beyond the setting, each module may have one page, and one is being decoded.
        """
        if self.shape.max_spool_pages is None or self.spool_pages is None:
            return None
        return self.spool_pages / (self.shape.max_spool_pages + len(self.shape.modules) + 1)

    def cells(self) -> list[str]:
        """Return the line's cells."""
        shape, spool = self.shape, self.spool_pages
        limit = shape.downloads_per_minute
        zoho = "parallel" if shape.parallel else "one at a time"
        return [
            ", ".join(map(str, shape.chains)),
            "quick" if shape.pace is None else f"{shape.pace:,g}/s",
            zoho if limit is None else f"{limit} downloads/min",
            "BATCH" if shape.batch else "records",
            self.longest,
            f"{self.start:.1f} + {self.least:.1f} s",
            f"{self.usage.wall:.1f} s",
            f"{self.times:.2f}" + ("" if self.times <= _MAX_TIMES else " ✗"),
            f"{self.usage.peak_bytes / _MEGABYTE:.0f} MB",
            "" if spool is None else f"{spool:.0f} of {shape.pages} pages",
        ]


@dataclass(frozen=True)
class ShapeTable:
    """Syncs of several shapes.

    Args:
        runs: The syncs.
    """

    runs: Sequence[ShapeRun]

    def figures(self) -> Iterator[Figure]:
        """Yield what the table shows in all."""
        worst = max(run.times for run in self.runs)
        yield Figure("any shape ÷ the least possible", worst, _MAX_TIMES)
        peak = max(run.usage.peak_bytes for run in self.runs)
        alone = max(run.alone.peak_bytes for run in self.runs)
        yield Figure("peak memory of any shape ÷ of one module", peak / alone, 1.1)
        for share in filter(None, (run.spool_share for run in self.runs)):
            yield Figure("pages on disk ÷ what `max_spool_bytes` permits", share, 1.0)

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
        start = processes.run("benchmarks.sdk_alone").wall
        runs = []
        for number, shape in enumerate(shapes, 1):
            say(f"shapes, {number} of {len(shapes)}")
            alone, synced = [], {}
            for _ in range(_ROUNDS):
                alone.append(_sync_one(directories[rows], rows))
                usage, spool_pages = _sync(shape, directories[shape.rows])
                synced[usage] = spool_pages
            decoding = _median(alone)
            decoding_seconds = max(0.0, decoding.wall - start) / (rows * _ALONE_PAGES)
            usage = _median(synced)
            least, longest = shape.least(decoding_seconds)
            runs.append(ShapeRun(shape, decoding, start, least, longest, usage, synced[usage]))
    return ShapeTable(runs)


def _sync_one(directory: Path, rows: int) -> Usage:
    """Sync one module whose jobs end at once."""
    module = Module(pages.MODULE, _ALONE_PAGES)
    with processes.page_server(directory, [module], rows=rows) as config:
        return processes.tap(config, pages.catalog())


def _median(usages: Iterable[Usage]) -> Usage:
    """Return the one that took the median time: where decoding counts, times vary by a tenth."""
    return sorted(usages, key=lambda usage: usage.wall)[_ROUNDS // 2]


def _sync(shape: Shape, directory: Path) -> tuple[Usage, float | None]:
    """Sync a shape, and return what that took, and the most pages that were on disk."""
    modules = shape.modules
    page_bytes = Path(directory, "1.zip").stat().st_size
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
        }
        if shape.batch:
            settings["batch_config"] = batch_config
        if shape.max_spool_pages is not None:
            settings["max_spool_bytes"] = shape.max_spool_pages * max(page_bytes, _MIN_PAGE_BYTES)
        watch = SpoolWatch(Path(spool))
        usage = processes.tap(
            settings,
            pages.catalog(*(module.name for module in modules)),
            target=None if shape.pace is None else target_of(shape.pace),
            watch=watch,
        )
    return usage, None if watch.peak_bytes is None else watch.peak_bytes / page_bytes


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    print(*shape_table(SHAPES, _say).lines(), sep="\n")  # noqa: T201
