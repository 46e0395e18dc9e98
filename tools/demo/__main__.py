"""Sync a local Zoho CRM into DuckDB with Meltano, twice, and check every value both times.

Between the runs, records are changed, added, deleted and restored, and rows leave a subform. The
demo fails if a value in the warehouse differs from the server's, without a join with anything, or
if the second run loads anything that has not changed.
"""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_zoho_crm import ZohoServer
from tests.support.due import Bookmarks, loads, moved
from tests.support.meltano_project import OWN_FIELDS, MeltanoProject, PipelineError
from tests.support.singer import ROOT
from tests.support.warehouse import DuckDBWarehouse, compare, differences
from tools.demo.organisation import PAGE_SIZE, change, generate
from tools.demo.terminal import heading, say, table

if TYPE_CHECKING:
    from pathlib import Path

    from local_zoho_crm import Organisation
    from tests.support.due import Loads

OUTPUT = ROOT / "output" / "demo"
JOB = "tap-zoho-bulk-to-duckdb"
READ_ALL = ("Quoted_Items",)
"""Modules that the second sync reads completely: Zoho lists no rows that left a subform."""
_SHOWN = 20


@dataclass
class Run:
    """The time and cost of a run of the pipeline."""

    seconds: float
    credits: int
    jobs: int

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s, {self.jobs} bulk read jobs, {self.credits:,} API credits"


class Demo:
    """The demo's organisation, server, project and warehouse.

    Args:
        organisation: Served by the server.
        server: The running server.
        output: An empty directory for the warehouse and the logs.
    """

    def __init__(self, organisation: Organisation, server: ZohoServer, output: Path) -> None:
        self._organisation = organisation
        self._server = server
        self._output = output
        file = output / "warehouse.duckdb"
        self.warehouse = DuckDBWarehouse(file)
        self._project = MeltanoProject(
            output / "project",
            {
                # With Zoho's limit of ten downloads a minute, the demo would wait.
                "tap-zoho-bulk": server.tap_config(
                    # The lists of these names are not the modules, which bulk read refuses.
                    _select=[*OWN_FIELDS, "!notes.*", "!attachments.*", "!deleted_records.*"],
                    emit_deletes=True,
                    emit_activate_version_messages=True,
                    downloads_per_minute=1000,
                    poll_interval_seconds=0.1,
                ),
                "target-duckdb": {"filepath": str(file)},
            },
        )
        self._problems: list[str] = []

    def sync(self, log_name: str) -> Run:
        """Run the pipeline, and return its time and cost."""
        say(f"meltano run {JOB} …")
        credits_before, jobs_before = self._server.credits, len(self._server.jobs)
        started = time.monotonic()
        log = self._project.run(JOB)
        (self._output / log_name).write_text(log)
        return Run(
            time.monotonic() - started,
            self._server.credits - credits_before,
            len(self._server.jobs) - jobs_before,
        )

    def check(self) -> None:
        """Compare the warehouse with the server, value by value, and print the result."""
        comparisons = compare(self.warehouse, self._organisation)
        found = differences(comparisons)
        self._problems += found
        table(
            ["module", "rows", "deleted", "columns", "values checked", "wrong"],
            [
                (c.module, c.rows, c.deleted, c.columns, c.values, len(c.differences))
                for c in comparisons
            ],
        )
        values = sum(each.values for each in comparisons)
        if not values:
            self._problems.append("Nothing was compared.")
        say(f"{values:,} values compared with the server's: {_verdict(found)}")

    def loads(self) -> Loads:
        """Return when each row was last loaded."""
        return loads(self.warehouse, self._organisation)

    def bookmarks(self) -> Bookmarks:
        """Return the bookmarks after the sync that has just ended."""
        return Bookmarks.of(self._organisation, self._server)

    def check_moved(self, before: Loads, bookmarks: Bookmarks, run: Run) -> None:
        """Compare the rows loaded since then with those that were due, and print both."""
        due = bookmarks.due(self._organisation, in_streams=True, read_all=READ_ALL)
        actual = moved(before, self.loads())
        say(f"{sum(map(len, actual.values())):,} records moved; {run}")
        say("")
        repeated = bookmarks.repeated(self._organisation)
        rows = []
        for stream, keys in actual.items():
            wrong = keys ^ due[stream]
            if wrong:
                self._problems += [
                    f"{stream}: {' '.join(key)} "
                    + (
                        "moved though nothing changed"
                        if key in keys
                        else "changed but did not move"
                    )
                    for key in sorted(wrong)
                ]
            if keys or due[stream]:
                again = repeated.get(stream, 0)
                if stream in READ_ALL or stream not in bookmarks.by_module:
                    again = len(due[stream])  # read completely
                rows.append((stream, len(due[stream]) - again, again, len(keys)))
        table(["stream", "changed", "again by design", "moved"], rows)
        say("Again by design: records of the bookmark's own second, and what is read completely:")
        say("modules without Modified_Time, and once a week a subform.")

    def report(self) -> int:
        """Print the differences, and return the exit code."""
        if not self._problems:
            return 0
        heading(f"FAILED: {len(self._problems):,} differences")
        for problem in self._problems[:_SHOWN]:
            say(problem)
        if len(self._problems) > _SHOWN:
            say("…")
        return 1


def _verdict(found: list[str]) -> str:
    return f"{len(found):,} DIFFER" if found else "all equal"


def main() -> int:
    """Run the demo, and return the exit code."""
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    organisation = generate()

    heading("A local Zoho CRM")
    with ZohoServer(organisation, page_size=PAGE_SIZE, job_seconds=0.3) as server:
        records = sum(len(organisation.truth(name)) for name in organisation.modules)
        say(f"{server.url}: {records:,} records, {PAGE_SIZE:,} a job, {organisation.time_zone}")
        demo = Demo(organisation, server, OUTPUT)

        heading("First sync: everything")
        run = demo.sync("first.log")
        before, bookmarks = demo.loads(), demo.bookmarks()
        say(f"{sum(map(len, before.values())):,} records moved; {run}")
        say("")
        demo.check()

        heading("On the server, a week later")
        table(["module", "what", "records"], change(organisation))

        heading("Second sync: only what changed")
        run = demo.sync("second.log")
        demo.check_moved(before, bookmarks, run)
        say("")
        demo.check()

        code = demo.report()
    if code == 0:
        heading("Done: the warehouse holds what the server holds, and only changes moved")
        say(f"The warehouse:  {(OUTPUT / 'warehouse.duckdb').relative_to(ROOT)}")
        say(f"Meltano's logs: {OUTPUT.relative_to(ROOT)}/first.log, second.log")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except PipelineError as error:
        sys.exit(f"\nFAILED: {error}")
