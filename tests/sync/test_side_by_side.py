"""Jobs run in parallel, but the output is as if streams ran in turn, at minimum cost."""

from __future__ import annotations

import re
import time
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tests.support.organisations import QUICK, catalog, small_organisation

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest
    from tests.conftest import Serve
    from tests.support.singer import TapCommand, TapRun

PAGE = 5
SIZES = {f"Module_{number}": size for number, size in enumerate([12, 5, 0, 23, 1, 5, 9])}
_summary_row = re.compile(
    r"(Module_\d|deleted_records|all) +([\d,]+) +(\d+) +[\d,]+ +(?:[\d.]+ +)?\d+ *(\w*)"
)


def in_order(run: TapRun) -> list[tuple[str, str, list[str]]]:
    """Return the records stream by stream; Zoho's order inside a stream varies."""
    blocks = groupby(
        (message for message in run.messages if message["type"] != "STATE"),
        key=lambda message: (message["type"], message["stream"]),
    )
    return [
        (
            kind,
            stream,
            sorted(repr({**message, "time_extracted": None}) for message in messages),
        )
        for (kind, stream), messages in blocks
    ]


def summary(run: TapRun) -> list[tuple[str, ...]]:
    """Return records, jobs and outcome by stream, from the summary in the log."""
    return _summary_row.findall(run.stderr)


def after_records(run: TapRun) -> list[tuple[int, Any]]:
    """Return how many records came before each change of a bookmark."""
    steps: list[tuple[int, Any]] = []
    records = 0
    for message in run.messages:
        records += message["type"] == "RECORD"
        if message["type"] == "STATE":
            marks = {
                name: mark["replication_key_value"]
                for name, mark in message["value"].get("bookmarks", {}).items()
                if "replication_key_value" in mark
            }
            if not steps or steps[-1][1] != marks:
                steps.append((records, marks))
    return steps


def test_what_comes_out_is_as_if_streams_ran_in_turn(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation(SIZES, undated=["Module_5"])
    everything = catalog(organisation, deleted=True)

    in_turn, at_once = (
        tap.sync(
            serve(organisation, page_size=PAGE, job_seconds=0.05),
            catalog=everything,
            max_concurrent_jobs=jobs,
        )
        for jobs in (1, 20)
    )

    assert in_order(at_once) == in_order(in_turn)
    assert after_records(at_once) == after_records(in_turn)
    assert at_once.state == in_turn.state
    assert summary(at_once) == summary(in_turn)
    assert len(summary(at_once)) == len(SIZES) + 2


def test_jobs_run_at_the_same_time(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation(SIZES)
    server = serve(organisation, page_size=PAGE, job_seconds=1.0)

    tap.sync(server, catalog=catalog(organisation), max_concurrent_jobs=len(SIZES))

    first = [job for job in server.jobs if job.page == 1]
    assert len(first) == len(SIZES)
    assert max(job.created_time for job in first) < min(job.ends for job in first)


def test_pages_that_wait_on_disk_are_bounded(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation(dict.fromkeys(["First", "Second", "Third"], 20))
    server = serve(organisation, page_size=1)
    downloaded: list[Counter[str]] = []

    def results() -> Counter[str]:
        modules = {job.id: job.module for job in server.jobs}
        asked = server.requests_matching("GET", "/result$")
        return Counter(modules[request.path.split("/")[-2]] for request in asked)

    def hold_the_first(request: LoggedRequest) -> None:
        held = [job.id for job in server.jobs if job.module == "First"][:1]
        if any(request.path.endswith(f"/{job_id}/result") for job_id in held):
            quiet, seen = 0, -1
            while quiet < 10:  # until the others wait
                quiet = quiet + 1 if seen == len(server.requests) else 0
                seen = len(server.requests)
                time.sleep(0.1)
            downloaded.append(results())

    server.on_request = hold_the_first
    run = tap.sync(server, catalog=catalog(organisation), **QUICK)

    # One page that a worker thread holds, and one that waits for the main thread.
    assert downloaded == [{"First": 1, "Second": 2, "Third": 2}]
    for name in organisation.modules:
        assert run.by_id(name) == organisation.truth(name)


def test_an_incremental_sync_costs_a_job_and_a_download_for_each_module(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = small_organisation(dict.fromkeys(SIZES, PAGE))
    everything = catalog(organisation)
    server = serve(organisation, page_size=PAGE)
    first = tap.sync(server, catalog=everything)
    for name, module in organisation.modules.items():
        organisation.update(name, next(iter(module.records)), Name="changed")
    before, spent = len(server.requests), server.credits

    run = tap.sync(server, catalog=everything, state=first.state)

    asked = Counter(_kind(request) for request in server.requests[before:])
    looks = asked.pop("look")
    modules = len(SIZES)
    assert asked == {"sign in": 1, "create": modules, "download": modules}
    assert looks >= modules
    assert server.credits - spent == 50 * modules + looks + modules
    assert run.event("run_ended")["credits"] == server.credits - spent
    assert all("changed" in {record["Name"] for record in run.records(name)} for name in SIZES)


def _kind(request: LoggedRequest) -> str:
    if request.path.startswith("/oauth"):
        return "sign in"
    if request.path.endswith("/result"):
        return "download"
    if "/bulk/" in request.path:
        return "create" if request.method == "POST" else "look"
    return request.path
