"""A run that stops anywhere resumes from its last STATE, completely, and pays for no job twice."""

from __future__ import annotations

import io
import itertools
import json
import re
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

import pytest

from local_zoho_crm import Fault, Organisation
from tap_zoho_bulk.api.client import ZohoClient
from tap_zoho_bulk.bulk_read.archive import Archive
from tap_zoho_bulk.bulk_read.chain import Chain
from tap_zoho_bulk.bulk_read.download import Downloader
from tap_zoho_bulk.bulk_read.job import BulkReadJobs, CreatedJob
from tap_zoho_bulk.bulk_read.page import JobResult, Page
from tap_zoho_bulk.bulk_read.position import Position
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.exceptions import ExitCode, JobFailedError
from tap_zoho_bulk.reporting.spending import Spending
from tap_zoho_bulk.settings import Settings
from tests.support.organisations import catalog, small_organisation
from tests.support.singer import FAST, as_full_table, select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import LoggedRequest, ZohoServer
    from tap_zoho_bulk.bulk_read.page import JobRef
    from tests.conftest import Serve
    from tests.support.singer import Json, RunningTap, TapCommand, TapRun

RECORDS, PAGE_SIZE, PAGES = 60, 10, 6
NOON = datetime(2025, 6, 1, 12, tzinfo=timezone.utc)

Place = Literal["details", "result"]
_PLACES = {"details": re.compile(r"/read/(\d+)$"), "result": re.compile(r"/read/(\d+)/result$")}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=41, only=["Deals"], sizes={"Deals": RECORDS})


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation, page_size=PAGE_SIZE)


class Hold:
    """Delays the request for a page of Deals, so that the tap waits at a known place."""

    def __init__(self, server: ZohoServer, place: Place, page: int) -> None:
        self._server = server
        self._path = _PLACES[place]
        self._page = page
        self._go = threading.Event()
        self.reached = threading.Event()
        server.on_request = self

    def __call__(self, request: LoggedRequest) -> None:
        """Delay the request if it is for the page."""
        match = self._path.search(request.path)
        job = next((each for each in self._server.jobs if match and each.id == match[1]), None)
        if job is not None and (job.module, job.page) == ("Deals", self._page):
            self.reached.set()
            self._go.wait(60)

    def end(self) -> None:
        """Release all requests."""
        self._server.on_request = None
        self._go.set()


@pytest.fixture
def hold(server: ZohoServer) -> Iterator[Any]:
    made: list[Hold] = []

    def start(place: Place, page: int, at: ZohoServer = server) -> Hold:
        made.append(Hold(at, place, page))
        return made[-1]

    yield start
    for each in made:
        each.end()


def count_records(messages: list[Json]) -> int:
    return sum(message["type"] == "RECORD" for message in messages)


def tells_of_all_jobs(server: ZohoServer, messages: list[Json], page: int) -> bool:
    """Return whether the last STATE resumes at this page, with all jobs that were paid for."""
    states = [message["value"] for message in messages if message["type"] == "STATE"]
    progress = states[-1]["bookmarks"].get("Deals", {}).get("bulk_read") if states else None
    return (
        progress is not None
        and progress["page"] == page
        and all(job.id in json.dumps(progress) for job in server.jobs if job.page >= page)
    )


def stop(running: RunningTap, server: ZohoServer, page: int, how: str) -> None:
    """Stop the tap while it reads a page."""
    if how == "killed":
        # What a lost machine did in its last half second is unknown.
        running.wait_for(lambda messages: tells_of_all_jobs(server, messages, page))
        running.kill()
    else:
        done = (page - 1) * PAGE_SIZE
        running.wait_for(lambda messages: count_records(messages) == done or not done)
        running.terminate()


def terminate_in_page(tap: TapCommand, running: RunningTap, server: ZohoServer) -> TapRun:
    """Terminate the tap while it waits for its stdout to be read, and return its output."""
    running.terminate()
    running.wait_for_event("run_stopping")
    running.taken.set()
    return tap.finish(running, server)


def records_by_id(*runs: TapRun) -> dict[str, Json]:
    return {record["id"]: record for run in runs for record in run.records("Deals")}


@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize(
    "at", [("details", 1), ("result", 1), ("details", 3), ("result", 3), ("result", 6)]
)
def test_a_stopped_run_goes_on_where_it_was(
    tap: TapCommand, server: ZohoServer, hold: Any, at: tuple[Place, int], how: str
) -> None:
    organisation, (_, page) = server.organisation, at
    held = hold(*at)
    running = tap.start(server.tap_config(**FAST))
    running.wait_until(held.reached)

    stop(running, server, page, how)
    stopped = tap.finish(running, server)
    held.end()
    rest = tap.sync(server, state=stopped.state)

    assert stopped.exit_code == (-9 if how == "killed" else 143)
    assert "replication_key_value" not in stopped.bookmark("Deals")
    assert len(stopped.records("Deals")) == (page - 1) * PAGE_SIZE
    assert len(rest.records("Deals")) == RECORDS - (page - 1) * PAGE_SIZE
    assert records_by_id(stopped, rest) == organisation.truth("Deals")
    assert [job.page for job in server.jobs] == [1, 2, 3, 4, 5, 6]
    latest = max(record["Modified_Time"] for record in organisation.truth("Deals").values())
    assert rest.bookmark("Deals") == {
        "replication_key": "Modified_Time",
        "replication_key_value": latest,
    }


def test_a_run_stopped_in_the_middle_of_a_page_emits_that_page_again(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(only=["Deals"], sizes={"Deals": 8_000}, awkward=0)
    server = serve(organisation, page_size=4_000)
    running = tap.start(server.tap_config(**FAST))
    running.stall_in_a_page()

    stopped = terminate_in_page(tap, running, server)
    rest = tap.sync(server, state=stopped.state)

    assert stopped.exit_code == 143
    assert 0 < len(stopped.records("Deals")) < 8_000
    assert records_by_id(stopped, rest) == organisation.truth("Deals")
    assert [job.page for job in server.jobs] == [1, 2]


def test_a_job_made_while_a_page_goes_out_is_not_paid_twice(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(
        only=["Deals", "Tasks"], sizes={"Deals": 8_000, "Tasks": 5}, awkward=0
    )
    server = serve(organisation)
    records_come = threading.Event()

    def make_tasks_wait(request: LoggedRequest) -> None:
        if request.method == "POST" and request.json and "Tasks" in str(request.json):
            records_come.wait(60)

    server.on_request = make_tasks_wait
    running = tap.start(server.tap_config(**FAST))
    running.stall_in_a_page()
    records_come.set()
    running.wait_for_event("job_created", "Tasks")

    stopped = terminate_in_page(tap, running, server)
    rest = tap.sync(server, state=stopped.state)

    assert stopped.exit_code == 143
    assert len(stopped.records("Deals")) < 8_000
    assert records_by_id(stopped, rest) == organisation.truth("Deals")
    assert rest.by_id("Tasks") == organisation.truth("Tasks")
    assert [job.module for job in server.jobs] == ["Deals", "Tasks"]


@pytest.mark.parametrize("how", ["terminated", "failed"])
def test_a_job_that_zoho_creates_while_the_run_ends_is_not_paid_twice(
    tap: TapCommand, serve: Serve, how: str
) -> None:
    organisation = small_organisation({"Rooms": 3, "Visits": 3})
    server = serve(organisation)
    if how == "failed":
        server.faults.add(Fault(kind="job_failure", module="Visits", times=None))
    requested, go = threading.Event(), threading.Event()

    def hold_rooms(request: LoggedRequest) -> None:
        if request.method == "POST" and "Rooms" in str(request.json):
            requested.set()
            go.wait(60)

    server.on_request = hold_rooms
    running = tap.start(server.tap_config(**FAST, on_stream_error="abort"))
    running.wait_until(requested)
    if how == "terminated":
        running.terminate()
    running.wait_for_log("Rooms: Waiting for the job")
    go.set()
    stopped = tap.finish(running, server)
    server.faults.clear()
    rest = tap.sync(server, state=stopped.state)

    assert stopped.exit_code == (143 if how == "terminated" else ExitCode.TRY_AGAIN_LATER)
    assert rest.by_id("Rooms") == organisation.truth("Rooms")
    assert [job.module for job in server.jobs].count("Rooms") == 1


def test_the_state_of_another_stream_names_the_jobs_of_running_chains(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = small_organisation({"Deals": 3})
    organisation.set_now(NOON)
    organisation.delete("Deals", next(iter(organisation.module("Deals").records)))
    server = serve(organisation, job_seconds=10)  # by a clock that stands still
    polled = threading.Event()

    def list_after_poll(request: LoggedRequest) -> None:
        if _PLACES["details"].search(request.path):
            polled.set()
        elif request.path.endswith("/deleted"):
            polled.wait(60)

    def state_of_deleted_records(messages: list[Json]) -> Json | None:
        states = [message["value"] for message in messages if message["type"] == "STATE"]
        return next((state for state in states if "deleted_records" in state["bookmarks"]), None)

    server.on_request = list_after_poll
    running = tap.start(server.tap_config(**FAST), catalog=catalog(organisation, deleted=True))
    state = running.wait_for(state_of_deleted_records)

    assert state["bookmarks"]["Deals"]["bulk_read"]["job_id"] == server.jobs[0].id


def test_a_chain_by_page_numbers_goes_on_too(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, hold: Any
) -> None:
    held = hold("result", 4)
    running = tap.start(server.tap_config(**FAST, api_version="v6"))
    running.wait_until(held.reached)

    stop(running, server, 4, "terminated")
    stopped = tap.finish(running, server)
    held.end()
    rest = tap.sync(server, state=stopped.state, api_version="v6")

    assert records_by_id(stopped, rest) == organisation.truth("Deals")
    assert [job.page for job in server.jobs] == [1, 2, 3, 4, 5, 6]


def test_streams_that_are_complete_by_then_begin_again(
    tap: TapCommand, serve: Serve, hold: Any
) -> None:
    organisation = Organisation.generate(
        only=["Calls", "Deals", "Tasks"], sizes={"Calls": 10, "Deals": RECORDS, "Tasks": 10}
    )
    server = serve(organisation, page_size=PAGE_SIZE)
    held = hold("result", 3, server)
    running = tap.start(server.tap_config(**FAST))
    running.wait_until(held.reached)
    running.wait_for_event("stream_ended", "Calls")
    running.wait_for_event("stream_ended", "Tasks")

    running.terminate()
    stopped = tap.finish(running, server)
    held.end()
    rest = tap.sync(server, state=stopped.state)

    for name in ("Calls", "Tasks"):
        assert stopped.by_id(name) == organisation.truth(name)
        assert "replication_key_value" in stopped.bookmark(name)
    assert records_by_id(stopped, rest) == organisation.truth("Deals")
    made = sorted((job.module, job.page) for job in server.jobs)
    assert made == [
        *[("Calls", 1)] * 2,
        *(("Deals", page) for page in range(1, PAGES + 1)),
        *[("Tasks", 1)] * 2,
    ]


def test_the_bookmark_of_a_resumed_chain_stays_at_its_first_job(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, hold: Any
) -> None:
    organisation.set_now(NOON)
    held = hold("result", 3)
    running = tap.start(server.tap_config(**FAST))
    running.wait_until(held.reached)
    running.terminate()
    stopped = tap.finish(running, server)
    held.end()
    organisation.advance(timedelta(hours=1))
    for record_id in organisation.truth("Deals"):
        organisation.update("Deals", record_id, Amount=None)

    rest = tap.sync(server, state=stopped.state)
    again = tap.sync(server, state=rest.state)

    assert rest.bookmark("Deals")["replication_key_value"] == "2025-06-01T12:00:00+00:00"
    assert again.by_id("Deals") == organisation.truth("Deals")


def test_a_resumed_full_table_keeps_its_version(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, hold: Any
) -> None:
    catalog = as_full_table(select(tap.discover(server), {"Deals": None}))
    settings = {**FAST, "emit_activate_version_messages": True}
    held = hold("result", 3)
    running = tap.start(server.tap_config(**settings), catalog=catalog)
    running.wait_until(held.reached)
    running.terminate()
    stopped = tap.finish(running, server)
    held.end()

    rest = tap.sync(server, catalog=catalog, state=stopped.state, **settings)

    assert records_by_id(stopped, rest) == organisation.truth("Deals")
    versions = {
        message["version"] for run in (stopped, rest) for message in run.of_type("RECORD", "Deals")
    }
    assert len(versions) == 1
    assert not stopped.of_type("ACTIVATE_VERSION")
    (activated,) = rest.of_type("ACTIVATE_VERSION")
    assert {activated["version"]} == versions
    assert rest.messages.index(activated) > rest.messages.index(rest.of_type("RECORD")[-1])


@pytest.fixture
def stopped(tap: TapCommand, server: ZohoServer, hold: Any) -> TapRun:
    held = hold("result", 3)
    running = tap.start(server.tap_config(**FAST))
    running.wait_until(held.reached)
    running.terminate()
    run = tap.finish(running, server)
    held.end()
    return run


def test_a_changed_query_begins_a_new_chain_with_a_warning(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, stopped: TapRun
) -> None:
    run = tap.sync(server, state=stopped.state, start_date="2024-01-01T00:00:00Z")

    expected = {
        record_id: record
        for record_id, record in organisation.truth("Deals").items()
        if record["Modified_Time"] >= "2024-01-01T00:00:00+00:00"
    }
    assert run.by_id("Deals") == expected
    assert run.event("chain_not_resumed", "Deals")["reason"] == "query"
    assert "bulk_read" not in run.bookmark("Deals")


@pytest.mark.parametrize("how", ["forgotten", "a day later"])
def test_a_stale_position_begins_a_new_chain_with_a_warning(
    tap: TapCommand,
    server: ZohoServer,
    organisation: Organisation,
    stopped: TapRun,
    how: str,
) -> None:
    if how == "forgotten":
        server.forget_jobs()
    else:
        organisation.advance(timedelta(hours=25))

    run = tap.sync(server, state=stopped.state)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert run.event("chain_restarted", "Deals")["page"] > 1


@pytest.mark.parametrize(
    "progress",
    [
        "nonsense",
        {},
        {"page": "3"},
        {"page": 0, "started": "2025-06-01T12:00:00+00:00"},
        {"page": 3, "page_token": 5, "started": "2025-06-01T12:00:00+00:00"},
    ],
)
def test_progress_that_no_tap_wrote_begins_a_new_chain(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, progress: Any
) -> None:
    state = {"bookmarks": {"Deals": {"bulk_read": progress}}}

    run = tap.sync(server, state=state)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert "bulk_read" not in run.bookmark("Deals")


def test_the_state_of_a_stopped_run_holds_no_secret(server: ZohoServer, stopped: TapRun) -> None:
    assert stopped.bookmark("Deals")["bulk_read"]
    config = server.tap_config()
    for secret in [*server.secrets, config["client_id"]]:
        assert secret not in str(stopped.state)


def test_page_numbers_of_another_day_begin_a_new_chain(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    """Only the age of a page number shows that it may mean other records by now."""
    server.faults.add(Fault(path=r"/read/\d+/result$", skip=3, times=None))
    stopped = tap.run(server, api_version="v6", max_retries=0)
    server.faults.clear()
    assert stopped.bookmark("Deals")["bulk_read"]["page"] == 4
    for record in stopped.records("Deals")[:5]:
        organisation.delete("Deals", record["id"])
    organisation.advance(timedelta(days=3))

    run = tap.sync(server, api_version="v6", state=stopped.state)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert run.event("chain_restarted", "Deals")["page"] == 4


def test_a_page_whose_jobs_fail_keeps_what_was_paid_before(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    server.faults.add(Fault(kind="job_failure", module="Deals", skip=4, times=3))
    failed = tap.run(server)
    assert failed.exit_code == ExitCode.STREAMS_FAILED

    dead = {job.id for job in server.jobs if job.page == 5}
    before = len(server.requests)

    rest = tap.sync(server, state=failed.state)

    assert records_by_id(failed, rest) == organisation.truth("Deals")
    assert [job.page for job in server.jobs] == [1, 2, 3, 4, 5, 5, 5, 5, 6]
    polled = {each.path.split("/")[-1] for each in server.requests[before:]}
    assert not polled & dead


def test_page_tokens_that_go_round_end_the_chain(
    server: ZohoServer,
) -> None:
    named = itertools.cycle(["a", "b"])

    class Jobs(BulkReadJobs):
        def create(self, *_: Any) -> CreatedJob:
            return CreatedJob("1", "2025-01-01T00:00:00+00:00")

        def wait(self, *_: Any, **__: Any) -> JobResult:
            return JobResult(0, "/x", more_records=True, next_page_token=next(named))

        def download(self, job: JobRef, result: JobResult) -> Page:
            return Page(job, result, Archive(str(job), io.BytesIO(), 0))

    settings = Settings.from_config(server.tap_config())
    client = ZohoClient(settings)
    chain = Chain(
        BulkReadQuery("Deals", ()),
        jobs=Jobs(client, Downloader(client, None), settings, Spending()),
    )

    with pytest.raises(JobFailedError, match="read before"):
        list(chain.follow(Position()))
    client.close()
