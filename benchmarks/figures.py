"""The figures that README quotes: each a ratio of things measured in the same run."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pages, processes
from tests.resilience.organisations import catalog, small_organisation
from tests.zoho_server import ZohoServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.processes import Usage

_MEGABYTE = 1 << 20
_LATENCY_SECONDS = 0.1


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
            pages.write_pages(directory, pages=number, rows=rows)
        for number in range(1, scale.rounds + 1):
            say(f"records, round {number} of {scale.rounds}")
            took["csv"].append(processes.run("benchmarks.csv_alone", str(five)))
            for name, directory, count, rows in (
                ("five pages", five, 5, scale.rows),
                ("few", few, 1, scale.few_rows),
                ("many", one, scale.many_pages, scale.rows),
            ):
                with processes.page_server(directory, pages=count, rows=rows) as config:
                    took[name].append(processes.tap(config, pages.catalog()))
            with processes.page_server(one, pages=1, rows=scale.rows) as config:
                for name, usage in _one_page(config):
                    took[name].append(usage)
    yield from _record_figures(scale, took)


def _one_page(config: dict[str, Any]) -> Iterator[tuple[str, Usage]]:
    yield "one page", processes.tap(config, pages.catalog())
    yield "sdk", processes.tap(config, pages.catalog(), module="benchmarks.sdk_path")
    for file_format in ("jsonl", "parquet"):
        for compression in ("none", "gzip"):
            with tempfile.TemporaryDirectory() as folder:
                batch_config = {
                    "encoding": {"format": file_format, "compression": compression},
                    "storage": {"root": Path(folder).as_uri()},
                }
                usage = processes.tap({**config, "batch_config": batch_config}, pages.catalog())
                yield f"{file_format} {compression}", usage
                if (file_format, compression) == ("jsonl", "none"):
                    (file,) = Path(folder).iterdir()
                    yield "gzip alone", processes.run("gzip", "--fast", str(file))


def _record_figures(scale: Scale, took: dict[str, list[Usage]]) -> Iterator[Figure]:
    cpu = {name: [each.cpu for each in usages] for name, usages in took.items()}
    peak = {
        name: statistics.median(each.peak_bytes for each in usages) for name, usages in took.items()
    }

    def ratio(numerator: str, *denominators: str) -> float:
        """Give the median over the rounds."""
        rounds = range(len(cpu[numerator]))
        return statistics.median(
            cpu[numerator][each] / sum(cpu[name][each] for name in denominators) for each in rounds
        )

    yield Figure("records, five pages ÷ csv.reader alone", ratio("five pages", "csv"), 3.0)
    yield Figure("records, one page ÷ the SDK's own path", ratio("one page", "sdk"))
    yield Figure("BATCH jsonl ÷ records", ratio("jsonl none", "one page"))
    yield Figure(
        "BATCH jsonl, gzip ÷ (BATCH jsonl + gzip alone)",
        ratio("jsonl gzip", "jsonl none", "gzip alone"),
        1.0,
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


def side_by_side_figures(scale: Scale, say: Callable[[str], None]) -> Iterator[Figure]:
    """Measure the wall time of jobs at Zoho, and of discovery."""
    page_size = 20
    # One chain of two jobs among eleven of one.
    sizes = {f"Module_{number}": page_size for number in range(12)}
    sizes["Module_5"] = page_size * 2
    jobs = len(sizes) + 1
    organisation = small_organisation(sizes)
    longest = small_organisation({"Module_5": sizes["Module_5"]})
    # Looks every second, so that a job's end is seen within a second.
    settings = {
        "max_concurrent_jobs": 12,
        "downloads_per_minute": 10_000,
        "max_poll_interval_seconds": min(1.0, scale.job_seconds),
        "poll_interval_seconds": min(1.0, scale.job_seconds),
    }

    def wall(parallel_jobs: int | None, which: Any) -> float:
        with ZohoServer(
            which,
            page_size=page_size,
            job_seconds=scale.job_seconds,
            parallel_jobs=parallel_jobs,
        ) as server:
            return processes.tap(server.tap_config(**settings), catalog(which)).wall

    parallel, in_turn, discovery = [], [], []
    found = small_organisation(dict.fromkeys(map("Module_{}".format, range(scale.modules)), 1))
    for number in range(1, scale.rounds + 1):
        say(f"jobs and discovery, round {number} of {scale.rounds}")
        parallel.append(wall(None, organisation) / wall(None, longest))
        in_turn.append(wall(1, organisation) / (jobs * scale.job_seconds))
        with ZohoServer(found, latency=_LATENCY_SECONDS) as server:
            usage = processes.tap(server.tap_config(), None)
        discovery.append(usage.wall / (scale.modules * _LATENCY_SECONDS))
    yield Figure(
        "12 modules, jobs in parallel ÷ the longest chain", statistics.median(parallel), 1.4
    )
    yield Figure("12 modules, jobs one by one ÷ Zoho's own time", statistics.median(in_turn), 1.15)
    yield Figure(
        f"discovery of {scale.modules} modules ÷ their requests one by one",
        statistics.median(discovery),
        0.25,
    )
