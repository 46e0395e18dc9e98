"""The benchmarks run; tests do not judge their results."""

from __future__ import annotations

import subprocess
import sys

from tests.support.singer import ROOT


def test_the_quick_benchmarks_print_a_table() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    assert [row.split("|")[1].strip().split(" ")[0] for row in rows[2:]] == [
        *("records,", "records,", "BATCH", "BATCH", "BATCH", "BATCH", "BATCH", "CPU"),
        *("peak", "peak", "peak", "peak", "12", "12", "discovery"),
    ]
