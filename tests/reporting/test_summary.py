"""Stderr shows the state of each job, and a summary of records and costs at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from local_zoho_crm import Fault, Organisation
from tests.support.singer import select

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

HEADINGS = ["stream", "records", "jobs", "bytes", "seconds", "credits", "outcome"]


def table(stderr: str) -> dict[str, dict[str, str]]:
    """Return the rows of the summary by stream."""
    texts = [line.rsplit("| ", 1)[1] for line in stderr.splitlines() if "| " in line]
    (start,) = [number for number, text in enumerate(texts) if text.split() == HEADINGS]
    rows = {}
    for text in texts[start + 1 :]:
        name, *cells = re.split(r"\s+", text.strip(), maxsplit=6)
        rows[name] = dict(zip(HEADINGS[1:], cells, strict=False))
        if name == "all":
            # It has no seconds: the streams' own overlap.
            rows[name] = dict(zip(["records", "jobs", "bytes", "credits"], cells, strict=True))
            break
    return rows


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def test_the_summary_agrees_with_zohos_own_count(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(
        only=["Deals", "Tasks", "Locking_Information__s"], sizes={"Deals": 1_234, "Tasks": 5}
    )
    server = serve(organisation, page_size=500)
    names = ["Deals", "Tasks", "Locking_Information__s"]
    catalog = select(tap.discover(server), dict.fromkeys(names))
    before = server.credits

    run = tap.sync(server, catalog=catalog)

    rows = table(run.stderr)
    assert set(rows) == {*names, "all"}
    assert rows["Deals"]["records"] == "1,234"
    assert rows["Deals"]["jobs"] == "3"
    assert rows["Deals"]["outcome"] == "ok"
    assert rows["Tasks"]["records"] == "5"
    assert rows["Tasks"]["jobs"] == "1"
    assert rows["Locking_Information__s"]["outcome"] == "not supported"
    assert rows["Locking_Information__s"]["jobs"] == "0"
    assert number(rows["all"]["records"]) == 1_239
    assert number(rows["all"]["credits"]) == server.credits - before
    assert number(rows["all"]["jobs"]) == len(server.jobs) == 4
    sizes = [job.outcome.file.stat().st_size for job in server.jobs if job.outcome]
    assert number(rows["all"]["bytes"]) == sum(sizes)
    assert float(rows["Deals"]["seconds"]) >= 0


def test_the_summary_counts_what_faults_cost(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Deals"], sizes={"Deals": 30})
    server = serve(organisation, page_size=10)
    catalog = select(tap.discover(server), {"Deals": None})
    before = server.credits
    server.faults.add(
        Fault(kind="job_failure", module="Deals"),
        Fault(kind="ragged_row", module="Deals", skip=2),
    )

    run = tap.sync(server, catalog=catalog)

    rows = table(run.stderr)
    assert number(rows["Deals"]["jobs"]) == len(server.jobs)
    assert number(rows["Deals"]["credits"]) == server.credits - before


def test_a_failed_stream_is_marked(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Deals", "Tasks"])
    server = serve(organisation)
    server.faults.add(Fault(kind="job_failure", module="Deals", times=None))

    run = tap.run(server)

    rows = table(run.stderr)
    assert rows["Deals"]["outcome"] == "FAILED"
    assert rows["Tasks"]["outcome"] == "ok"


def test_a_waiting_job_says_what_it_does(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Deals"])
    server = serve(organisation)
    server.faults.add(Fault(kind="job_stuck", module="Deals", polls=5))

    run = tap.sync(server)

    (job,) = server.jobs
    lines = [line for line in run.stderr.splitlines() if job.id in line]
    told = [line for line in lines if "Deals" in line]
    assert "created for page 1" in told[0]
    assert any("IN PROGRESS" in line for line in told)
    assert "completed with 20 records" in told[-1]
    # Each state is logged once, not with every poll.
    assert job.polls >= 6
    assert len(told) == 3
