"""The benchmarks run; tests do not judge their results."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from itertools import takewhile
from typing import TYPE_CHECKING

import pytest
import requests

from benchmarks import processes
from benchmarks.figures import Scale
from benchmarks.records import record_figures
from benchmarks.server import Module
from benchmarks.shapes import SHAPES, Chains, Shape
from benchmarks.target import target_of
from tests.support.singer import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_quick_benchmarks_print_tables() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    lines = iter(run.stdout.splitlines()[2:])
    rows = list(takewhile(bool, lines))
    assert [row.split("|")[1].strip().split(" ")[0] for row in rows[2:]] == [
        *("records,", "records,", *["BATCH"] * 6, "CPU"),
        *("peak", "peak", "peak", "peak", "any", "peak", "pages", "12", "12", "discovery"),
    ]
    shapes = [[cell.strip() for cell in line.split("|")] for line in lines][2:]
    assert [cells[1] for cells in shapes] == ["1 x 1 x 0.1 s, 2 x 2 x 0.05 s", "2 x 2 x 0.05 s"]
    assert [cells[10].partition(" of ")[2] for cells in shapes] == ["5 pages", "4 pages"]


def test_only_what_the_selected_figures_need_is_run() -> None:
    said: list[str] = []

    figures = [*record_figures(Scale(rounds=1, rows=100), said.append, ["parquet, five pages"])]

    assert [figure.what for figure in figures] == ["BATCH parquet, five pages ÷ csv.reader alone"]
    assert said == ["records, round 1 of 1", "writing 5 pages of 100 records"]


@pytest.mark.parametrize(("parallel", "least"), [(True, 0.1), (False, 0.2)])
def test_jobs_take_their_time_at_the_server(
    tmp_path: Path, *, parallel: bool, least: float
) -> None:
    modules = [Module("Leads", 1, 0.1), Module("Deals", 1, 0.1)]
    with processes.page_server(tmp_path, modules, rows=1, parallel=parallel) as config:
        began = time.monotonic()
        for module in modules:
            query = {"query": {"module": {"api_name": module.name}}}
            job = requests.post(f"{config['api_url']}/read", json=query, timeout=9).json()
        status = f"{config['api_url']}/read/{job['data'][0]['details']['id']}"
        while requests.get(status, timeout=9).json()["data"][0]["state"] != "COMPLETED":
            time.sleep(0.01)

    assert time.monotonic() - began >= least


def test_a_target_takes_its_time_for_each_record() -> None:
    lines = [b'{"type":"SCHEMA"}\n', *[b'{"type":"RECORD"}\n'] * 50, b'{"type":"STATE"}\n']
    began = time.monotonic()

    target_of(500)(io.BytesIO(b"".join(lines)))

    # It is idle before the first record, which gives it a hundredth of a second.
    assert time.monotonic() - began >= 50 / 500 - 0.011


def test_the_three_organisations_that_lost_most_are_measured_against_their_longest_chain() -> None:
    least = [shape.least(0.0) for shape in SHAPES[:3]]

    assert [longest for _, longest in least] == ["longest chain"] * 3
    # The second one's last page goes to the target when its job of 10 s has ended.
    assert [seconds for seconds, _ in least] == pytest.approx([12.0, 10.0 + 1.0, 6.0])


@pytest.mark.parametrize(
    ("shape", "expected", "what"),
    [
        (Shape((Chains(2, 3, 2.0), Chains(1, 1, 5.0))), 6.0, "longest chain"),
        (Shape((Chains(2, 3, 2.0), Chains(1, 1, 5.0)), parallel=False), 17.0, "jobs"),
        (Shape((Chains(30, 1, 2.0),), max_concurrent_jobs=10), 6.0, "jobs"),
        (Shape((Chains(2, 3, 0.1),), rows=100, pace=50), 12.0, "target"),
        (Shape((Chains(2, 3, 0.1),), rows=1_000), 6.0, "decoding"),
        (Shape((Chains(2, 3, 0.1),), downloads_per_minute=3), 60.05, "downloads"),
        (Shape((Chains(2, 3, 2.0),), downloads_per_minute=6), 6.05, "longest chain"),
    ],
)
def test_the_least_possible_is_what_takes_longest(shape: Shape, expected: float, what: str) -> None:
    seconds, longest = shape.least(0.001)

    assert longest == what
    assert seconds == pytest.approx(expected, abs=0.1)
