"""The jobs of `meltano.yml`, which hand records to the loaders in files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from local_zoho_crm import Organisation
from tests.support.loaders import duckdb_loader, postgres_loader
from tests.support.meltano_project import OWN_FIELDS, MeltanoProject
from tests.support.singer import FAST, MAX_RUN_SECONDS
from tests.support.warehouse import compare, differences

if TYPE_CHECKING:
    from pathlib import Path

    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.loaders import Loader

PAGES = 6
PAGE_SIZE = 10


def organisation() -> Organisation:
    sizes = {"Leads": PAGES * PAGE_SIZE}
    return Organisation.generate(seed=13, only=["Leads"], sizes=sizes, awkward=0.4)


def project(directory: Path, server: ZohoServer, loader: Loader) -> MeltanoProject:
    tap = server.tap_config(**FAST, _select=OWN_FIELDS, modules=["Leads"])
    settings = {"tap-zoho-bulk": tap, loader.plugin: loader.settings}
    return MeltanoProject(directory / "project", settings)


def check(loader: Loader, leads: Organisation) -> None:
    found = compare(loader.warehouse, leads, modules=["Leads"])
    assert not differences(found)
    assert [each.rows for each in found] == [PAGES * PAGE_SIZE]


def test_the_job_fills_postgresql(serve: Serve, tmp_path: Path, postgres: str) -> None:
    leads = organisation()
    loader = postgres_loader(tmp_path / "loader", postgres)
    meltano = project(tmp_path, serve(leads, page_size=PAGE_SIZE), loader)

    meltano.run("tap-zoho-bulk-to-postgres")

    check(loader, leads)
    assert not list((meltano.directory / ".meltano" / "batch").iterdir())


def test_after_ctrl_c_the_next_run_resumes_after_what_was_loaded(
    serve: Serve, tmp_path: Path
) -> None:
    leads = organisation()
    server = serve(leads, page_size=PAGE_SIZE)
    loader = duckdb_loader(tmp_path / "loader")
    meltano = project(tmp_path, server, loader)
    is_page_requested, is_released = threading.Event(), threading.Event()

    def hold(request: LoggedRequest) -> None:
        """Hold the download of the fifth page."""
        if len(server.requests_matching("GET", r"/result$")) == 5 and request.path.endswith(
            "/result"
        ):
            is_page_requested.set()
            is_released.wait(MAX_RUN_SECONDS)

    server.on_request = hold
    running = meltano.start("run", "tap-zoho-bulk-to-duckdb")
    assert is_page_requested.wait(MAX_RUN_SECONDS)
    while stored_page(meltano) < 3:
        assert running.poll() is None
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    log, _ = running.communicate(timeout=MAX_RUN_SECONDS)
    is_released.set()

    assert "SIGINT: loading what the tap still sends" in log
    assert 3 <= stored_page(meltano) <= 5
    table = loader.warehouse.table("Leads")
    assert table
    assert len(table.rows) >= (stored_page(meltano) - 1) * PAGE_SIZE
    meltano.run("tap-zoho-bulk-to-duckdb")
    check(loader, leads)
    assert [job.page for job in server.jobs][:5] == [1, 2, 3, 4, 5]
    assert not [job.page for job in server.jobs[5:] if job.page < 4]


def stored_page(meltano: MeltanoProject) -> int:
    """Return the page from which the next run would begin, as Meltano has stored it."""
    database = meltano.directory / ".meltano" / "meltano.db"
    with closing(sqlite3.connect(database)) as connection:
        stored = connection.execute("SELECT partial_state, completed_state FROM state").fetchall()
    pages = [
        json.loads(each)["singer_state"]["bookmarks"]["Leads"].get("bulk_read", {}).get("page", 0)
        for row in stored
        for each in row
        if each and each != "{}"
    ]
    return max(pages, default=0)
