"""The benchmark of whole pipelines runs; its results are not judged here."""

from __future__ import annotations

import subprocess
import sys

from tests.support.singer import ROOT


def test_the_quick_benchmark_prints_a_table_of_the_selected_pipelines() -> None:
    run = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.warehouses"),
            *("--quick", "--only", "alone", "--only", "files"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert [row.split("|")[1].strip() for row in run.stdout.splitlines()[4:]] == [
        *("`csv.reader` alone", "DuckDB's `read_csv` alone", "PostgreSQL's `COPY` alone"),
        *("files → `loaders/duckdb`", "files → `loaders/postgres`"),
    ]
