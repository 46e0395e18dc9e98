"""Streams alternate page by page, but each is as if it ran alone, at minimum cost."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.organisations import QUICK, catalog, small_organisation
from tests.support.singer import events

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import RunningTap, TapCommand, TapRun

PAGE = 5
SIZES = {f"Module_{number}": size for number, size in enumerate([12, 5, 0, 23, 1, 5, 9])}
_summary_row = re.compile(
    r"(Module_\d|deleted_records|all) +([\d,]+) +(\d+) +[\d,]+ +(?:[\d.]+ +)?\d+ *(\w*)"
)


def by_stream(run: TapRun) -> dict[str, list[tuple[str, list[str]]]]:
    """Return each stream's messages in their order; Zoho's order of records varies."""
    of_stream: dict[str, list[Any]] = {}
    for message in run.messages:
        if message["type"] != "STATE":
            of_stream.setdefault(message["stream"], []).append({**message, "time_extracted": None})
    return {
        stream: [
            (kind, sorted(map(repr, same)))
            for kind, same in groupby(messages, key=lambda message: message["type"])
        ]
        for stream, messages in of_stream.items()
    }


def summary(run: TapRun) -> list[tuple[str, ...]]:
    """Return records, jobs and outcome by stream, from the summary in the log."""
    return _summary_row.findall(run.stderr)


def after_records(run: TapRun) -> dict[str, list[tuple[int, Any]]]:
    """Return how many of a stream's records came before each change of its bookmark."""
    steps: dict[str, list[tuple[int, Any]]] = {}
    records: Counter[str] = Counter()
    for message in run.messages:
        if message["type"] == "RECORD":
            records[message["stream"]] += 1
        elif message["type"] == "STATE":
            for name, kept in message["value"].get("bookmarks", {}).items():
                marks = {key: kept[key] for key in kept if key != "bulk_read"}
                of_stream = steps.setdefault(name, [])
                if marks and (not of_stream or of_stream[-1][1] != marks):
                    of_stream.append((records[name], marks))
    return steps


def test_each_stream_is_as_if_it_ran_alone(tap: TapCommand, serve: Serve) -> None:
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

    assert by_stream(at_once) == by_stream(in_turn)
    assert after_records(at_once) == after_records(in_turn)
    assert at_once.state["bookmarks"] == in_turn.state["bookmarks"]
    assert sorted(summary(at_once)) == sorted(summary(in_turn))
    assert len(summary(at_once)) == len(SIZES) + 2


def test_a_page_that_is_ready_waits_for_no_other_stream(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation({"First": 2 * PAGE, "Second": 2 * PAGE, "Third": PAGE})
    server = serve(organisation, page_size=PAGE)
    others_are_complete = threading.Event()

    def hold_the_second_page(request: LoggedRequest) -> None:
        for job in server.jobs:
            if (job.module, job.page) == ("First", 2) and request.path.endswith(f"/{job.id}"):
                others_are_complete.wait(60)

    server.on_request = hold_the_second_page
    running = tap.start(server.tap_config(**QUICK), catalog=catalog(organisation, deleted=True))
    for name in ("Second", "Third", "deleted_records"):
        running.wait_for_event("stream_ended", name)
    running.wait_for(lambda messages: count(messages, "First") == PAGE)
    others_are_complete.set()
    run = tap.finish(running, server)

    assert run.exit_code == 0
    streams = [message["stream"] for message in run.messages if message["type"] == "RECORD"]
    assert streams[-PAGE:] == ["First"] * PAGE
    assert Counter(streams) == {"First": 2 * PAGE, "Second": 2 * PAGE, "Third": PAGE}
    for name in organisation.modules:
        assert run.by_id(name) == organisation.truth(name)


def count(messages: list[Any], stream: str) -> int:
    return sum((each["type"], each.get("stream")) == ("RECORD", stream) for each in messages)


def test_jobs_run_at_the_same_time(tap: TapCommand, serve: Serve) -> None:
    organisation = small_organisation(SIZES)
    server = serve(organisation, page_size=PAGE, job_seconds=1.0)

    tap.sync(server, catalog=catalog(organisation), max_concurrent_jobs=len(SIZES))

    first = [job for job in server.jobs if job.page == 1]
    assert len(first) == len(SIZES)
    assert max(job.created_time for job in first) < min(job.ends for job in first)


BIG_PAGE = 600  # records, more than a pipe holds
PAGES = 4
BIG_SIZES = dict.fromkeys(["First", "Second", "Third"], PAGES * BIG_PAGE)


def downloads(server: ZohoServer) -> Counter[str]:
    """Return the downloads of each module."""
    modules = {job.id: job.module for job in server.jobs}
    asked = server.requests_matching("GET", "/result$")
    return Counter(modules[request.path.split("/")[-2]] for request in asked)


def start_with_a_target_that_stalls(
    tap: TapCommand, server: ZohoServer, **settings: Any
) -> RunningTap:
    """Start a tap whose target takes the first page's first records, and no more yet."""
    config = server.tap_config(**QUICK, **settings)
    running = tap.start(config, catalog=catalog(server.organisation))
    running.stall_in_a_page()
    return running


def finish(tap: TapCommand, running: RunningTap, server: ZohoServer) -> None:
    """Release the target, and check what it received."""
    running.taken.set()
    run = tap.finish(running, server)
    assert run.exit_code == 0
    for name in server.organisation.modules:
        assert run.by_id(name) == server.organisation.truth(name)


def test_chains_do_not_wait_for_the_target(tap: TapCommand, serve: Serve) -> None:
    server = serve(small_organisation(BIG_SIZES), page_size=BIG_PAGE)

    all_are_downloaded = threading.Event()
    everything = dict.fromkeys(BIG_SIZES, PAGES)

    def look(_: LoggedRequest) -> None:
        if downloads(server) == everything:
            all_are_downloaded.set()

    server.on_request = look
    running = start_with_a_target_that_stalls(tap, server)
    running.wait_until(all_are_downloaded)

    assert len(events(running.log(), "decode_ended")) <= 2  # which the target took by then
    finish(tap, running, server)


@pytest.mark.parametrize(
    ("max_spool_bytes", "fewest", "most"),
    [(0, 3, 3), (5 * 16 << 20, 5, 7)],
)
def test_pages_that_wait_on_disk_are_bounded(
    tap: TapCommand, serve: Serve, max_spool_bytes: int, fewest: int, most: int
) -> None:
    server = serve(small_organisation(BIG_SIZES), page_size=BIG_PAGE)
    are_enough = threading.Event()

    def look(_: LoggedRequest) -> None:
        if downloads(server).total() > fewest:
            are_enough.set()

    server.on_request = look
    running = start_with_a_target_that_stalls(tap, server, max_spool_bytes=max_spool_bytes)
    running.wait_until(are_enough)

    def on_disk() -> int:
        """Return how many pages are on disk; the target may have begun to take one of them."""
        return downloads(server).total() - len(events(running.log(), "decode_ended"))

    quiet, seen = 0, -1
    for _ in range(300):
        if quiet >= 10 and on_disk() >= fewest:  # All chains wait.
            break
        quiet = quiet + 1 if seen == len(server.requests) else 0
        seen = len(server.requests)
        time.sleep(0.1)

    assert fewest <= on_disk() <= most + 1
    finish(tap, running, server)


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
