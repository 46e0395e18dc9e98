"""Whole pipelines: pages at a local server, through the tap and a loader, into a table.

`python -m benchmarks.warehouses` measures them, which takes a quarter of an hour; with `--quick`, a
minute, which says nothing but that it works. `--only files --only alone` measures the ways whose
names contain one of the texts. Meltano's plugins must be installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pages, processes
from benchmarks.processes import ENVIRONMENT, ROOT, Usage
from benchmarks.server import Module
from tests.support.loaders import batch_config, duckdb_loader, postgres_loader
from tests.support.meltano_project import loader_executable
from tests.support.postgres import postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.loaders import Loader

_MEGABYTE = 1 << 20
_HEADINGS = (
    "| way | wall | ÷ `csv.reader` | records a second | CPU of tap | of loader | of server "
    "| peak of the loader |"
)
_TICKS = os.sysconf("SC_CLK_TCK")
_BASE = "`csv.reader` alone"
_UV = str(Path(sysconfig.get_path("scripts"), "uv"))
_DLT = (_UV, "run", "--quiet", "--no-project", "--with", "dlt[duckdb]", "--with", "pyarrow")


@dataclass(frozen=True)
class Took:
    """What one run took.

    Args:
        wall: Seconds from the start of the tap to the end of the loader.
        loader: Of what fills the table.
        tap: Of the tap, if there is one.
        server: CPU seconds of PostgreSQL's own processes.
    """

    wall: float
    loader: Usage
    tap: Usage | None = None
    server: float = 0.0


@dataclass
class Bench:
    """Everything that the ways into a warehouse share.

    Args:
        directory: For all files.
        rows: Records of a page.
        postgres: URI of the server.
    """

    directory: Path
    rows: int
    postgres: str
    took: dict[str, list[Took]] = field(default_factory=dict)

    def ways(self) -> dict[str, Callable[[], Took]]:
        """Return the ways, by name; the first two of each warehouse are its limits."""
        duckdb = duckdb_loader(self.directory / "duckdb")
        postgres = postgres_loader(self.directory / "postgres", self.postgres)
        released = {
            loader.plugin: str(loader_executable(loader.plugin, loader.plugin))
            for loader in (duckdb, postgres)
        }
        csv = str(self.directory / "page.csv")
        return {
            _BASE: lambda: self._alone("benchmarks.csv_alone", str(self._pages)),
            "DuckDB's `read_csv` alone": lambda: self._alone(
                "benchmarks.database_alone", "duckdb", csv, str(self.directory / "alone.duckdb")
            ),
            "PostgreSQL's `COPY` alone": lambda: self._alone(
                "benchmarks.database_alone", "postgres", csv, self.postgres
            ),
            "files → `loaders/duckdb`": lambda: self._pipeline(duckdb, is_batch=True),
            "records → `loaders/duckdb`": lambda: self._pipeline(duckdb),
            "records → target-duckdb 0.8.0": lambda: self._pipeline(
                duckdb, executable=released[duckdb.plugin]
            ),
            "dlt, the CSV by Arrow, merged into DuckDB": lambda: self._dlt(csv),
            "files → `loaders/postgres`": lambda: self._pipeline(postgres, is_batch=True),
            "records → `loaders/postgres`": lambda: self._pipeline(postgres),
            "records → target-postgres 0.8.1, `use_copy`": lambda: self._pipeline(
                postgres, executable=released[postgres.plugin], use_copy=True, validate_records=True
            ),
        }

    @property
    def _pages(self) -> Path:
        return self.directory / "pages"

    def write_pages(self) -> None:
        """Write the page, as the ZIP that Zoho serves and as the CSV that databases read."""
        self._pages.mkdir()
        processes.run("benchmarks.pages", str(self._pages), "1", str(self.rows))
        with zipfile.ZipFile(self._pages / "1.zip") as archive:
            name = archive.namelist()[0]
            archive.extract(name, self.directory)
        (self.directory / name).rename(self.directory / "page.csv")

    def _alone(self, *arguments: str) -> Took:
        before = self._server_seconds()
        usage = processes.run(*arguments)
        return Took(usage.wall, usage, server=self._server_seconds() - before)

    def _dlt(self, csv: str) -> Took:
        script = ROOT / "benchmarks" / "dlt_alone.py"
        with tempfile.TemporaryDirectory() as folder:
            command = [*_DLT, "python", str(script), csv, folder]
            subprocess.run([*command, "--prepare"], env=ENVIRONMENT, check=True)  # noqa: S603 - our own program
            usage = _wait(subprocess.Popen(command, env=ENVIRONMENT), time.monotonic())  # noqa: S603
        return Took(usage.wall, usage)

    def _pipeline(
        self,
        loader: Loader,
        *,
        is_batch: bool = False,
        executable: str | None = None,
        **settings: Any,
    ) -> Took:
        """Run tap and loader into an empty table."""
        self._drop(loader)
        command = loader.command(**settings)
        if executable:
            command[0] = executable
        with ExitStack() as stack:
            modules = [Module(pages.MODULE, 1)]
            config = stack.enter_context(
                processes.page_server(self._pages, modules, rows=self.rows)
            )
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            if is_batch:
                config = {**config, "batch_config": batch_config(folder / "files")}
            files = {"config": config, "catalog": pages.catalog()}
            options = []
            for name, content in files.items():
                (folder / name).write_text(json.dumps(content), encoding="utf-8")
                options += [f"--{name}", str(folder / name)]
            log = stack.enter_context((folder / "log").open("w+"))
            before, began = self._server_seconds(), time.monotonic()
            tap = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "tap_zoho_bulk", *options],
                cwd=ROOT,
                env=ENVIRONMENT,
                stdout=subprocess.PIPE,
                stderr=log,
            )
            target = subprocess.Popen(  # noqa: S603 - our own program
                command,
                env=ENVIRONMENT,
                stdin=tap.stdout,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
            if tap.stdout:
                tap.stdout.close()
            tap_usage, usage = _wait(tap, began), _wait(target, began)
            if tap.returncode or target.returncode:
                log.seek(0)
                raise RuntimeError(f"{command[0]} failed:\n{log.read()[-2000:]}")
            return Took(usage.wall, usage, tap_usage, self._server_seconds() - before)

    def _drop(self, loader: Loader) -> None:
        import psycopg  # noqa: PLC0415 - not before memory is measured

        if loader.plugin == "target-duckdb":
            Path(loader.settings["filepath"]).unlink(missing_ok=True)
            return
        with psycopg.connect(self.postgres, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS zoho_crm CASCADE")
            connection.execute("CHECKPOINT")

    def _server_seconds(self) -> float:
        """Return what PostgreSQL has taken, with all processes that it started and that ended."""
        data = Path(self.postgres.partition("host=")[2])
        pid = (data / "postmaster.pid").read_text().split()[0]
        fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS


def _wait(process: subprocess.Popen[bytes], began: float) -> Usage:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(usage.ru_utime + usage.ru_stime, time.monotonic() - began, usage.ru_maxrss * 1024)


def _lines(rows: int, took: dict[str, list[Took]]) -> list[str]:
    """Return the table, in medians."""

    def median(name: str, value: Callable[[Took], float]) -> float:
        return statistics.median(value(each) for each in took[name])

    csv = median(_BASE, lambda each: each.wall)
    lines = [_HEADINGS, "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name in took:
        wall = median(name, lambda each: each.wall)
        tap = median(name, lambda each: each.tap.cpu if each.tap else 0.0)
        cpu = median(name, lambda each: each.loader.cpu)
        server = median(name, lambda each: each.server)
        peak = median(name, lambda each: each.loader.peak_bytes) / _MEGABYTE
        lines.append(
            f"| {name} | {wall:.1f} s | {wall / csv:.1f} | {rows / wall:,.0f} | {tap:.1f} s "
            f"| {cpu:.1f} s | {server:.1f} s | {peak:.0f} MB |"
        )
    return lines


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.warehouses", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", metavar="TEXT")
    arguments = parser.parse_args()
    rounds, rows = (1, 500) if arguments.quick else (3, 200_000)
    parts = arguments.only or [""]
    with tempfile.TemporaryDirectory() as directory, postgres_server() as uri:
        bench = Bench(Path(directory), rows, uri)
        bench.write_pages()
        ways = {
            name: way
            for name, way in bench.ways().items()
            if name == _BASE or any(part in name for part in parts)
        }
        took: dict[str, list[Took]] = {name: [] for name in ways}
        for number in range(1, rounds + 1):
            for name, way in ways.items():
                print(f"{name}, round {number} of {rounds}", file=sys.stderr, flush=True)  # noqa: T201
                took[name].append(way())
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; medians of {rounds}\n")  # noqa: T201
    print(*_lines(rows, took), sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
