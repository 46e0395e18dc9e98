"""A failing stream keeps its bookmark and says why; the others are complete."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import CsvStyle, Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import FAST, as_full_table

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

CREATE = r"^/crm/bulk/v8/read$"
RESULT = r"/read/\d+/result$"
BOOKMARK: Json = {
    "replication_key": "Modified_Time",
    "replication_key_value": "2023-01-01T00:00:00+00:00",
}
STATE: Json = {"bookmarks": {"Calls": BOOKMARK, "Deals": BOOKMARK, "Tasks": BOOKMARK}}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(
        seed=81, only=["Calls", "Deals", "Tasks"], sizes={"Calls": 8, "Deals": 30, "Tasks": 8}
    )


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation, page_size=10)


def errors(run: TapRun) -> list[str]:
    return [line for line in run.stderr.splitlines() if "| ERROR " in line]


def assert_deals_failed_alone(run: TapRun, organisation: Organisation) -> str:
    """Return the line that says why Deals failed, and check that no other stream failed."""
    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.by_id("Calls") == organisation.truth("Calls")
    assert run.by_id("Tasks") == organisation.truth("Tasks")
    assert run.bookmark("Deals") == BOOKMARK
    assert run.bookmark("Tasks")["replication_key_value"] > BOOKMARK["replication_key_value"]
    assert "Traceback" not in run.stderr
    why, summary = errors(run)  # One line says why, and the last one which streams failed.
    assert "Deals" in why
    assert "Deals" in summary
    assert "Tasks" not in summary
    return why


def test_a_job_that_fails_is_made_again(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    failure = Fault(kind="job_failure", module="Deals", times=2)
    server.faults.add(failure)

    run = tap.sync(server)

    assert run.by_id("Deals") == organisation.truth("Deals")
    assert failure.hits == 2
    assert sum(job.module == "Deals" for job in server.jobs) == 3 + 2


def test_a_job_that_always_fails_ends_its_stream_only(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    server.faults.add(Fault(kind="job_failure", module="Deals", times=None))

    run = tap.run(server, state=STATE)

    why = assert_deals_failed_alone(run, organisation)
    assert "INTERNAL_SERVER_ERROR" in why
    tried = [job for job in server.jobs if job.module == "Deals"]
    assert len(tried) == 3
    assert tried[-1].id in why
    assert not run.records("Deals")


def test_a_job_of_an_unknown_state_fails_at_the_deadline(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    server.faults.add(Fault(kind="job_state", module="Deals", times=None, state="PAUSED"))

    run = tap.run(server, state=STATE, job_timeout_seconds=0.2)

    why = assert_deals_failed_alone(run, organisation)
    assert "PAUSED" in why
    assert "`job_timeout_seconds`" in why


def test_abort_ends_the_run_at_the_first_failure(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    server.faults.add(Fault(kind="job_failure", module="Deals", times=None))
    server.faults.add(Fault(kind="job_state", module="Tasks", times=None, state="IN PROGRESS"))
    calls_are_complete = threading.Event()

    def hold_deals(request: LoggedRequest) -> None:
        if any(job.module == "Deals" and job.id in request.path for job in server.jobs):
            calls_are_complete.wait(60)

    server.on_request = hold_deals
    config = server.tap_config(**FAST, on_stream_error="abort")
    running = tap.start(config, state=STATE)
    running.wait_for_event("stream_ended", "Calls")
    calls_are_complete.set()
    run = tap.finish(running, server)

    assert run.exit_code == ExitCode.TRY_AGAIN_LATER
    assert run.by_id("Calls") == organisation.truth("Calls")
    assert not run.records("Tasks")
    # Deals starts again, since it would fail again; Tasks resumes with its job.
    assert run.bookmark("Deals") == BOOKMARK
    assert run.bookmark("Tasks").pop("bulk_read")["page"] == 1
    assert run.bookmark("Tasks") == BOOKMARK
    assert "INTERNAL_SERVER_ERROR" in run.stderr
    assert "Deals" in run.stderr


PAGE_FAULTS: dict[str, dict[str, Any]] = {
    "ragged row": {"kind": "ragged_row"},
    "missing column": {"kind": "drop_column", "column": "Stage"},
    "missing id": {"kind": "drop_column", "column": "Id"},
    "count too high": {"kind": "count_off_by", "off_by": 1},
    "count too low": {"kind": "count_off_by", "off_by": -1},
}


@pytest.mark.parametrize("fault", PAGE_FAULTS)
def test_a_damaged_page_is_downloaded_again_then_made_again_then_whole(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, fault: str
) -> None:
    server.faults.add(Fault(module="Deals", **PAGE_FAULTS[fault]))

    run = tap.sync(server)

    # Records before the damage may have been emitted: targets upsert by key.
    assert {record["id"]: record for record in run.records("Deals")} == organisation.truth("Deals")
    first, *_ = [job for job in server.jobs if job.module == "Deals"]
    assert len(server.requests_matching("GET", f"/read/{first.id}/result$")) == 2
    assert [job.page for job in server.jobs if job.module == "Deals"].count(1) == 2


@pytest.mark.parametrize("fault", ["ragged row", "missing column", "count too high"])
def test_a_page_that_stays_damaged_ends_its_stream_only(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, fault: str
) -> None:
    server.faults.add(Fault(module="Deals", times=None, **PAGE_FAULTS[fault]))

    run = tap.run(server, state=STATE)

    why = assert_deals_failed_alone(run, organisation)
    assert "page 1" in why
    assert "bulk_read" not in run.bookmark("Deals")


@pytest.mark.parametrize("kind", ["corrupt", "truncate", "vanish", "reset", "lost"])
def test_a_download_that_is_spoilt_once_is_made_good(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, kind: Any
) -> None:
    fault = Fault(kind=kind, path=RESULT, skip=1)
    server.faults.add(fault)

    run = tap.sync(server)

    assert fault.hits == 1
    for name in organisation.modules:
        records = run.records(name)
        assert {record["id"]: record for record in records} == organisation.truth(name)


def test_an_invalid_value_fails_its_stream_and_is_not_shown(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Products", "Tasks"])
    server = serve(organisation, csv=CsvStyle(booleans=("nope-nope", "yep-yep")))
    state: Json = {"bookmarks": {"Products": BOOKMARK}}

    run = tap.run(server, state=state)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.bookmark("Products") == BOOKMARK
    assert run.by_id("Tasks") == organisation.truth("Tasks")
    why, _ = errors(run)
    assert "Product_Active" in why
    assert "`on_invalid_value`" in why
    assert "nope" not in run.stderr
    assert "yep" not in run.stderr


def test_an_invalid_value_becomes_null_by_setting_and_is_counted(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(only=["Products"], sizes={"Products": 30}, empty=0)
    server = serve(organisation, page_size=12, csv=CsvStyle(booleans=("nope-nope", "yep-yep")))

    run = tap.sync(server, on_invalid_value="null")

    truth = organisation.truth("Products")
    assert run.by_id("Products") == {
        key: {**record, "Product_Active": None} for key, record in truth.items()
    }
    assert run.event("stream_ended", "Products")["invalid_values"] == 30
    assert "nope" not in run.stderr


def test_a_refused_module_fails_alone(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    organisation.module("Deals").bulk_error = "NO_PERMISSION"

    run = tap.run(server, state=STATE)

    why = assert_deals_failed_alone(run, organisation)
    assert "NO_PERMISSION" in why
    assert "profile" in why
    assert not run.records("Deals")


def test_a_server_that_stays_broken_fails_its_stream_and_keeps_its_place(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog = tap.discover(server, modules=["Deals"])
    broken = Fault(path=RESULT, status=503, skip=1, times=None, headers={"Retry-After": "0"})
    server.faults.add(broken)

    run = tap.run(server, catalog=catalog, state={"bookmarks": {"Deals": BOOKMARK}})
    server.faults.clear()
    rest = tap.sync(server, catalog=catalog, state=run.state)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert broken.hits == 3  # once, and max_retries times more
    assert run.line("Deals", "503")
    assert run.bookmark("Deals")["replication_key_value"] == BOOKMARK["replication_key_value"]
    assert len(run.records("Deals")) == 10
    assert len(rest.records("Deals")) == 20
    everything = [*run.records("Deals"), *rest.records("Deals")]
    assert {record["id"]: record for record in everything} == organisation.truth("Deals")
    assert [job.page for job in server.jobs] == [1, 2, 3]


def test_old_rows_go_only_after_the_last_page(tap: TapCommand, server: ZohoServer) -> None:
    catalog = as_full_table(tap.discover(server), "Deals")

    run = tap.sync(server, catalog=catalog, emit_activate_version_messages=True)

    (activated,) = run.of_type("ACTIVATE_VERSION", "Deals")
    records = run.of_type("RECORD", "Deals")
    assert len(records) == 30
    assert {message["version"] for message in records} == {activated["version"]}
    assert run.messages.index(activated) > run.messages.index(records[-1])
    later = tap.sync(server, catalog=catalog, state=run.state, emit_activate_version_messages=True)
    # A read of only changed rows must not remove the others.
    assert later.of_type("RECORD", "Tasks")
    assert not later.of_type("ACTIVATE_VERSION", "Tasks")


def test_old_rows_stay_when_a_page_is_missing(tap: TapCommand, server: ZohoServer) -> None:
    catalog = as_full_table(tap.discover(server), "Deals")
    server.faults.add(Fault(kind="ragged_row", module="Deals", skip=2, times=None))

    run = tap.run(server, catalog=catalog, emit_activate_version_messages=True)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert len(run.records("Deals")) >= 20
    assert not run.of_type("ACTIVATE_VERSION", "Deals")


def test_a_later_full_table_has_a_greater_version(tap: TapCommand, server: ZohoServer) -> None:
    catalog = as_full_table(tap.discover(server), "Deals")
    settings = {"emit_activate_version_messages": True}

    first = tap.sync(server, catalog=catalog, **settings)
    second = tap.sync(server, catalog=catalog, state=first.state, **settings)

    (one,), (two,) = (run.of_type("ACTIVATE_VERSION", "Deals") for run in (first, second))
    assert one["version"] < two["version"]


def test_what_one_stream_cannot_do_is_its_own_trouble(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    state = {"bookmarks": {"Deals": {**BOOKMARK, "replication_key_value": "last week"}}}

    run = tap.run(server, state=state)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("Deals", "last week")
    assert "Traceback" not in run.stderr
    assert not run.records("Deals")
    assert run.by_id("Tasks") == organisation.truth("Tasks")


def test_arrays_that_nothing_says_how_to_split_fail_their_stream(
    tap: TapCommand, serve: Serve
) -> None:
    server = serve(Organisation.generate(seed=82, only=["Leads", "Tasks"]))
    catalog = tap.discover(server, multiselect_separator=";")
    arrays = [
        stream["tap_stream_id"]
        for stream in catalog["streams"]
        if any("array" in each["type"] for each in stream["schema"]["properties"].values())
    ]
    assert arrays

    run = tap.run(server, catalog=catalog)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "`multiselect_separator`" in run.stderr
    assert not any(run.records(name) for name in arrays)


def test_a_removed_stream_costs_nothing(tap: TapCommand, server: ZohoServer) -> None:
    run = tap.sync(server, stream_maps={"Deals": None})

    assert not run.of_type("SCHEMA", "Deals")
    assert "Deals" not in {job.module for job in server.jobs}
    assert run.records("Tasks")


def test_told_to_stop_the_tap_does_not_sit_out_a_long_wait(
    tap: TapCommand, server: ZohoServer
) -> None:
    server.faults.add(
        Fault(path="/deleted$", times=None, status=429, headers={"Retry-After": "500"})
    )
    running = tap.start(server.tap_config(**FAST))
    running.wait_for_event("request_repeated")
    running.terminate()

    assert tap.finish(running, server).exit_code == 143


@pytest.mark.parametrize(
    "wait", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "-5", "soon", "1e99"]
)
def test_a_senseless_retry_after_is_no_reason_to_fail(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, wait: str
) -> None:
    server.faults.add(Fault(path=r"/read$", status=503, headers={"Retry-After": wait}))

    assert tap.sync(server).by_id("Deals") == organisation.truth("Deals")


def test_a_wait_that_is_too_long_is_told(tap: TapCommand, server: ZohoServer) -> None:
    server.faults.add(
        Fault(path=r"/read$", times=None, status=429, headers={"Retry-After": "3600"})
    )

    run = tap.run(server)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert [line for line in errors(run) if "3600 s" in line]
