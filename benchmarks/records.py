"""What records cost: CPU time and memory of whole syncs, as ratios measured in the same run.

Pages are written by a process of their own: a process that is started counts as its own the memory
that the one that starts it has at that moment.
"""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pages, processes
from benchmarks.figures import Figure
from benchmarks.server import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.figures import Scale
    from benchmarks.processes import Usage

_MEGABYTE = 1 << 20


def record_figures(scale: Scale, say: Callable[[str], None]) -> Iterator[Figure]:
    """Measure CPU time and memory of syncs, each round all of them in turn."""
    took: dict[str, list[Usage]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        five, one, few = (Path(folder, name) for name in ("five", "one", "few"))
        for directory, number, rows in (
            (five, 5, scale.rows),
            (one, 1, scale.rows),
            (few, 1, scale.few_rows),
        ):
            directory.mkdir()
            say(f"writing {number} pages of {rows:,} records")
            processes.run("benchmarks.pages", str(directory), str(number), str(rows))
        for number in range(1, scale.rounds + 1):
            say(f"records, round {number} of {scale.rounds}")
            took["csv"].append(processes.run("benchmarks.csv_alone", str(five)))
            for name, directory, count, rows in (
                ("five pages", five, 5, scale.rows),
                ("few", few, 1, scale.few_rows),
                ("many", one, scale.many_pages, scale.rows),
            ):
                module = Module(pages.MODULE, count)
                with processes.page_server(directory, [module], rows=rows) as config:
                    took[name].append(processes.tap(config, pages.catalog()))
                    if name == "five pages":
                        with _batch_config("parquet", "none") as (setting, _):
                            usage = processes.tap({**config, **setting}, pages.catalog())
                            took["five pages, parquet"].append(usage)
            module = Module(pages.MODULE, 1)
            with processes.page_server(one, [module], rows=scale.rows) as config:
                for name, usage in _one_page(config):
                    took[name].append(usage)
    yield from _record_figures(scale, took)


def _one_page(config: dict[str, Any]) -> Iterator[tuple[str, Usage]]:
    yield "one page", processes.tap(config, pages.catalog())
    yield "sdk", processes.tap(config, pages.catalog(), module="benchmarks.sdk_path")
    for file_format in ("jsonl", "parquet"):
        for compression in ("none", "gzip"):
            with _batch_config(file_format, compression) as (setting, folder):
                usage = processes.tap({**config, **setting}, pages.catalog())
                yield f"{file_format} {compression}", usage
                if (file_format, compression) == ("jsonl", "none"):
                    (file,) = folder.iterdir()
                    yield "gzip alone", processes.run("benchmarks.gzip_alone", str(file))


@contextmanager
def _batch_config(file_format: str, compression: str) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield the setting with which the tap writes files, and their folder, which is removed."""
    with tempfile.TemporaryDirectory() as name:
        encoding = {"format": file_format, "compression": compression}
        folder = Path(name)
        yield {"batch_config": {"encoding": encoding, "storage": {"root": folder.as_uri()}}}, folder


def _record_figures(scale: Scale, took: dict[str, list[Usage]]) -> Iterator[Figure]:
    cpu = {name: [each.cpu for each in usages] for name, usages in took.items()}
    peak = {
        name: statistics.median(each.peak_bytes for each in usages) for name, usages in took.items()
    }

    def ratio(numerator: str, *denominators: str) -> float:
        """Return the median over the rounds."""
        rounds = range(len(cpu[numerator]))
        return statistics.median(
            cpu[numerator][each] / sum(cpu[name][each] for name in denominators) for each in rounds
        )

    yield Figure("records, five pages ÷ csv.reader alone", ratio("five pages", "csv"), 3.0)
    yield Figure("records, one page ÷ the SDK's own path", ratio("one page", "sdk"))
    yield Figure("BATCH jsonl ÷ records", ratio("jsonl none", "one page"))
    yield Figure("BATCH jsonl, gzip ÷ records", ratio("jsonl gzip", "one page"))
    yield Figure(
        "BATCH jsonl, gzip ÷ (BATCH jsonl + gzip alone)",
        ratio("jsonl gzip", "jsonl none", "gzip alone"),
        1.05,
    )
    yield Figure(
        "BATCH parquet, five pages ÷ csv.reader alone", ratio("five pages, parquet", "csv"), 1.5
    )
    yield Figure("BATCH parquet ÷ records", ratio("parquet none", "one page"), 1.0)
    yield Figure("BATCH parquet, gzip ÷ records", ratio("parquet gzip", "one page"))
    few, one, many = scale.few_rows, scale.rows, scale.rows * scale.many_pages
    yield Figure(
        f"CPU for each record from {one:,} to {many:,} ÷ from {few:,} to {one:,}",
        statistics.median(
            ((cpu["many"][each] - cpu["one page"][each]) / (many - one))
            / ((cpu["one page"][each] - cpu["few"][each]) / (one - few))
            for each in range(scale.rounds)
        ),
        1.05,
    )
    yield Figure(f"peak memory at {one:,} records", peak["one page"] / _MEGABYTE, 150.0, "MB")
    yield Figure(f"peak memory at {many:,} records", peak["many"] / _MEGABYTE, 150.0, "MB")
    yield Figure(f"peak memory at {many:,} ÷ at {one:,}", peak["many"] / peak["one page"], 1.1)
    yield Figure(
        f"peak memory at {one:,} records, BATCH parquet",
        peak["parquet none"] / _MEGABYTE,
        150.0,
        "MB",
    )
