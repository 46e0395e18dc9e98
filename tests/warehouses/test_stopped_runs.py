"""Whatever stops tap or loader in the middle, the next run completes the warehouse."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from itertools import islice
from typing import TYPE_CHECKING

from local_zoho_crm import Organisation
from tests.support.loaders import batch_config, duckdb_loader
from tests.support.singer import FAST, MAX_RUN_SECONDS
from tests.support.warehouse import compare, differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from local_zoho_crm import LoggedRequest
    from tests.conftest import Serve
    from tests.support.loaders import Loader
    from tests.support.singer import Json, TapCommand

    Process = subprocess.Popen[str]

PAGES = 6
PAGE_SIZE = 20


class Pipeline:
    """Runs of tap and loader, each from the last state that the loader handed on."""

    def __init__(self, tap: TapCommand, serve: Serve, loader: Loader) -> None:
        sizes = {"Leads": PAGES * PAGE_SIZE}
        self.organisation = Organisation.generate(seed=12, only=["Leads"], sizes=sizes, awkward=0)
        self.server = serve(self.organisation, page_size=PAGE_SIZE)
        self.loader = loader
        self.folder = loader.directory / "files"
        self.state: Json | None = None
        self._tap = tap
        self._settings = {**FAST, "modules": ["Leads"], "batch_config": batch_config(self.folder)}
        self._catalog = tap.discover(self.server, modules=["Leads"])

    def tap_command(self) -> list[str]:
        """Return the command line of the next run."""
        config = self.server.tap_config(**self._settings)
        return self._tap.line(config, catalog=self._catalog, state=self.state)

    def run(self, stop: Callable[[Pipeline, Process, Process], None]) -> None:
        """Run tap and loader, and let `stop` stop them."""
        with (
            (self.loader.directory / "log").open("w") as log,
            subprocess.Popen(
                self.tap_command(), stdout=subprocess.PIPE, stderr=log, text=True
            ) as tap,
            subprocess.Popen(
                self.loader.command(),
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            ) as loader,
        ):
            assert tap.stdout
            assert loader.stdout
            tap.stdout.close()  # The loader has it.
            stop(self, tap, loader)
            self.take(loader.stdout)

    def take(self, states: Iterable[str]) -> None:
        """Keep the last complete one of the states that a loader hands on."""
        for line in states:
            if line.endswith("\n"):
                self.state = json.loads(line)

    def complete(self) -> None:
        """Run to the end, and compare the warehouse with the server."""
        self.state = self.loader.load(self.tap_command())
        (found,) = compare(self.loader.warehouse, self.organisation, modules=["Leads"])
        assert not differences([found])
        assert found.rows == PAGES * PAGE_SIZE


def kill_the_loader_after_states(pipeline: Pipeline, _: Process, loader: Process) -> None:
    assert loader.stdout
    pipeline.take(islice(loader.stdout, 3))
    loader.kill()


def kill_the_loader_while_it_loads(pipeline: Pipeline, tap: Process, loader: Process) -> None:
    before = {*pipeline.folder.iterdir()}
    while tap.poll() is None and {*pipeline.folder.iterdir()} <= before:
        time.sleep(0.001)
    loader.kill()


def kill_the_tap_in_a_page(pipeline: Pipeline, tap: Process, _: Process) -> None:
    def kill(request: LoggedRequest) -> None:
        if request.path.endswith("/result"):
            tap.kill()

    pipeline.server.on_request = kill
    tap.wait(MAX_RUN_SECONDS)
    pipeline.server.on_request = lambda _: None


def test_a_killed_tap_or_loader_costs_no_record(
    tap: TapCommand, serve: Serve, loader: Loader
) -> None:
    pipeline = Pipeline(tap, serve, loader)

    pipeline.run(kill_the_loader_after_states)
    assert loader.warehouse.table("Leads")
    pipeline.run(kill_the_loader_while_it_loads)
    pipeline.run(kill_the_tap_in_a_page)

    pipeline.complete()


def test_ctrl_c_at_a_terminal_keeps_what_was_loaded(
    tap: TapCommand, serve: Serve, tmp_path: Path
) -> None:
    loader = duckdb_loader(tmp_path / "loader")
    pipeline = Pipeline(tap, serve, loader)
    states, log = loader.directory / "states", loader.directory / "log"
    line = f"{shlex.join(pipeline.tap_command())} | {shlex.join(loader.command())} > {states}"
    downloads = []

    def press(request: LoggedRequest) -> None:
        """Press Ctrl-C before the fourth page is there, and after the second went out."""
        if request.path.endswith("/result"):
            downloads.append(request)
            if len(downloads) == 4:
                while "page 2 emitted" not in log.read_text() and shell.poll() is None:
                    time.sleep(0.05)
                os.killpg(shell.pid, signal.SIGINT)

    pipeline.server.on_request = press
    # As a terminal's shell, this one outlives Ctrl-C.
    shell = subprocess.Popen(
        ["sh", "-c", f"trap : INT; exec 2> {log}; {line}"], start_new_session=True
    )
    shell.wait(MAX_RUN_SECONDS)
    pipeline.server.on_request = lambda _: None
    pipeline.take(states.read_text().splitlines(keepends=True))

    assert "SIGINT: loading what the tap still sends" in log.read_text()
    table = loader.warehouse.table("Leads")
    assert table
    assert pipeline.state
    resumes_at = pipeline.state["bookmarks"]["Leads"]["bulk_read"]["page"]
    assert 2 * PAGE_SIZE <= (resumes_at - 1) * PAGE_SIZE <= len(table.rows) < PAGES * PAGE_SIZE
    pipeline.complete()
    assert [job.page for job in pipeline.server.jobs] == [*range(1, PAGES + 1)]
