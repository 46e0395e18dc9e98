"""What records cost: CPU time and memory of whole syncs, as ratios measured in the same run.

`python -m benchmarks.records` measures them alone; with `--only TEXT`, the figures whose names
contain a text.

Pages are written by a process of their own: a process that is started counts as its own the memory
that the one that starts it has at that moment.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import pages, processes
from benchmarks.figures import Figure, Scale, table
from benchmarks.server import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from benchmarks.processes import Usage

_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class _Measure:
    """A figure to be measured.

    Args:
        what: What is measured against what.
        runs: The names of the runs that it needs.
        of: Returns it, from what the runs of one round took, by name.
        most: The goal.
        unit: After the value.
    """

    what: str
    runs: tuple[str, ...]
    of: Callable[[Mapping[str, Usage]], float]
    most: float | None = None
    unit: str = "times"


def _ratio(what: str, run: str, *others: str, most: float | None = None) -> _Measure:
    """Return the measure of a run's CPU time, as a ratio to that of others together."""
    return _Measure(
        what,
        (run, *others),
        lambda took: took[run].cpu / sum(took[other].cpu for other in others),
        most,
    )


def _peak(what: str, run: str) -> _Measure:
    return _Measure(what, (run,), lambda took: took[run].peak_bytes / _MEGABYTE, 150.0, "MB")


def _measures(scale: Scale) -> list[_Measure]:
    few, one, many = scale.few_rows, scale.rows, scale.rows * scale.many_pages
    return [
        _ratio("records, five pages ÷ csv.reader alone", "five pages", "csv", most=3.0),
        _ratio("records, one page ÷ the SDK's own path", "one page", "sdk"),
        _ratio("BATCH jsonl ÷ records", "jsonl none", "one page"),
        _ratio("BATCH jsonl, gzip ÷ records", "jsonl gzip", "one page"),
        _ratio(
            "BATCH jsonl, gzip ÷ (BATCH jsonl + gzip alone)",
            *("jsonl gzip", "jsonl none", "gzip alone"),
            most=1.05,
        ),
        _ratio(
            "BATCH parquet, five pages ÷ csv.reader alone",
            *("five pages, parquet", "csv"),
            most=1.5,
        ),
        _ratio("BATCH parquet ÷ records", "parquet none", "one page", most=1.0),
        _ratio("BATCH parquet, gzip ÷ records", "parquet gzip", "one page"),
        _Measure(
            f"CPU for each record from {one:,} to {many:,} ÷ from {few:,} to {one:,}",
            ("few", "one page", "many"),
            lambda took: (
                ((took["many"].cpu - took["one page"].cpu) / (many - one))
                / ((took["one page"].cpu - took["few"].cpu) / (one - few))
            ),
            1.05,
        ),
        _peak(f"peak memory at {one:,} records", "one page"),
        _peak(f"peak memory at {many:,} records", "many"),
        _Measure(
            f"peak memory at {many:,} ÷ at {one:,}",
            ("many", "one page"),
            lambda took: took["many"].peak_bytes / took["one page"].peak_bytes,
            1.1,
        ),
        _peak(f"peak memory at {one:,} records, BATCH parquet", "parquet none"),
    ]


@dataclass(frozen=True)
class _Runs:
    """The runs that figures are made of.

    Args:
        directory: For all files.
        scale: How much to measure.
        say: Reports what is under way.
    """

    directory: Path
    scale: Scale
    say: Callable[[str], None]

    def by_name(self) -> dict[str, Callable[[], Usage]]:
        """Return them in their order; `gzip alone` needs the file of `jsonl none`."""
        scale = self.scale
        return {
            "csv": lambda: processes.run("benchmarks.csv_alone", str(self._pages(5))),
            "five pages": lambda: self._sync(5, 5),
            "five pages, parquet": lambda: self._sync(5, 5, encoding=("parquet", "none")),
            "few": lambda: self._sync(1, 1, rows=scale.few_rows),
            "many": lambda: self._sync(1, scale.many_pages),
            "one page": lambda: self._sync(1, 1),
            "sdk": lambda: self._sync(1, 1, module="benchmarks.sdk_path"),
            "jsonl none": lambda: self._sync(1, 1, encoding=("jsonl", "none")),
            "gzip alone": lambda: processes.run("benchmarks.gzip_alone", str(self._jsonl)),
            "jsonl gzip": lambda: self._sync(1, 1, encoding=("jsonl", "gzip")),
            "parquet none": lambda: self._sync(1, 1, encoding=("parquet", "none")),
            "parquet gzip": lambda: self._sync(1, 1, encoding=("parquet", "gzip")),
        }

    @property
    def _jsonl(self) -> Path:
        return self.directory / "page.jsonl"

    def _pages(self, number: int, rows: int | None = None) -> Path:
        """Return the folder of so many pages; write them at first."""
        rows = rows or self.scale.rows
        folder = self.directory / f"{number} of {rows}"
        if not folder.exists():
            self.say(f"writing {number} pages of {rows:,} records")
            folder.mkdir()
            processes.run("benchmarks.pages", str(folder), str(number), str(rows))
        return folder

    def _sync(
        self,
        written: int,
        number: int,
        *,
        rows: int | None = None,
        encoding: tuple[str, str] | None = None,
        module: str = "tap_zoho_bulk",
    ) -> Usage:
        """Run the tap.

        Args:
            written: How many pages there are.
            number: How many it reads; they are over and over the same if there are fewer.
            rows: Records of each; as the scale has it if None.
            encoding: Format and compression of files; None for records.
            module: Whose command line it is.
        """
        folder = self._pages(written, rows)
        modules = [Module(pages.MODULE, number)]
        with (
            processes.page_server(folder, modules, rows=rows or self.scale.rows) as config,
            tempfile.TemporaryDirectory(dir=self.directory) as files,
        ):
            setting: dict[str, Any] = {}
            if encoding:
                setting["batch_config"] = {
                    "encoding": dict(zip(("format", "compression"), encoding, strict=True)),
                    "storage": {"root": Path(files).as_uri()},
                }
            usage = processes.tap({**config, **setting}, pages.catalog(), module=module)
            if encoding == ("jsonl", "none"):
                (file,) = Path(files).iterdir()
                file.replace(self._jsonl)
        return usage


def record_figures(
    scale: Scale, say: Callable[[str], None], only: Iterable[str] = ("",)
) -> Iterator[Figure]:
    """Measure CPU time and memory of syncs, each round all of them in turn.

    Args:
        scale: How much to measure.
        say: Reports what is under way.
        only: Texts, one of which the name of a figure must contain.
    """
    measures = [
        measure for measure in _measures(scale) if any(text in measure.what for text in only)
    ]
    needed = {run for measure in measures for run in measure.runs}
    took: list[dict[str, Usage]] = []
    with tempfile.TemporaryDirectory() as folder:
        runs = _Runs(Path(folder), scale, say).by_name()
        for number in range(1, scale.rounds + 1):
            say(f"records, round {number} of {scale.rounds}")
            took.append({name: run() for name, run in runs.items() if name in needed})
    for measure in measures:
        value = statistics.median(map(measure.of, took))
        yield Figure(measure.what, value, measure.most, measure.unit)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.records", description=__doc__)
    parser.add_argument("--only", action="append", metavar="TEXT")
    only = parser.parse_args().only or [""]
    scale = Scale()
    print(*table(list(record_figures(scale, _say, only)), scale.rounds), sep="\n")  # noqa: T201


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
