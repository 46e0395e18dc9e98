"""Meetings as calendar events, through the tap's command line: every event by value."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from local_zoho_crm import CustomView, Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import FAST, entry, metadata, parse, select

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

EVENTS, PAGE_SIZE, PAGES = 70, 20, 4
STREAM = "Events_ics"
Key = tuple[str, str]


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(
        seed=19, only=["Events", "Contacts"], sizes={"Events": EVENTS, "Contacts": 5}
    )


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation, page_size=PAGE_SIZE)


def catalog_of(tap: TapCommand, server: ZohoServer, *properties: str) -> Json:
    """Return the catalog with only this stream selected, and only the listed properties."""
    return select(tap.discover(server), {STREAM: properties or None})


def by_key(*runs: TapRun) -> dict[Key, Json]:
    records = [record for run in runs for record in run.records(STREAM)]
    found = {(record["uid"], record["recurrence_id"]): record for record in records}
    assert len(found) == len(records), "an event came twice"
    return found


def ics_jobs(server: ZohoServer) -> list[Any]:
    return [job for job in server.jobs if job.chain.query.file_type == "ics"]


def bodies(server: ZohoServer) -> list[Json]:
    """Return the bodies of the requests that created jobs."""
    return [
        json.loads(request.body)
        for request in server.requests
        if request.method == "POST" and request.path.endswith("/read")
    ]


# The catalog


def test_it_is_offered_and_not_selected(tap: TapCommand, server: ZohoServer) -> None:
    catalog = tap.discover(server)

    found = entry(catalog, STREAM)
    assert found["key_properties"] == ["uid", "recurrence_id"]
    assert found["replication_method"] == "FULL_TABLE"
    assert metadata(catalog, STREAM)["selected-by-default"] is False
    assert metadata(catalog, "Events").get("selected-by-default") is not False


@pytest.mark.parametrize("with_catalog", [False, True])
def test_nobody_gets_it_who_does_not_ask(
    tap: TapCommand,
    server: ZohoServer,
    with_catalog: bool,  # noqa: FBT001
) -> None:
    run = tap.sync(server, catalog=tap.discover(server) if with_catalog else None)

    assert "Events" in run.streams
    assert STREAM not in run.streams
    assert not ics_jobs(server)


@pytest.mark.parametrize(
    ("only", "setting"),
    [
        (["Contacts"], {}),
        (["Contacts", "Events"], {"exclude_modules": ["Eve*"]}),
        (["Contacts", "Events"], {"modules": ["Contacts"]}),
    ],
)
def test_it_is_not_there_without_the_meetings_module(
    tap: TapCommand, serve: Serve, only: list[str], setting: Json
) -> None:
    catalog = tap.discover(serve(Organisation.generate(seed=1, only=only)), **setting)

    names = [each["tap_stream_id"] for each in catalog["streams"]]
    assert "Contacts" in names
    assert STREAM not in names


def test_the_meetings_custom_view_narrows_it_by_name(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    criteria = {"field": {"api_name": "All_day"}, "comparator": "equal", "value": True}
    view = CustomView(id=organisation.new_id(), name="Whole days", criteria=criteria)
    organisation.module("Events").custom_views.append(view)
    options = {"Events": {"custom_view": "Whole days"}}

    run = tap.sync(server, catalog=catalog_of(tap, server), module_options=options)

    assert {job.query["cvid"] for job in server.jobs} == {view.id}
    assert 0 < len(by_key(run)) < EVENTS
    assert all(event["all_day"] for event in by_key(run).values())


# Every event by value


@pytest.mark.parametrize("version", ["v8", "v7", "v6", "v2"])
def test_every_event_of_several_pages_comes_once_and_as_it_is(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, version: str
) -> None:
    catalog = catalog_of(tap, server)
    before = len(server.requests)

    run = tap.sync(server, catalog=catalog, api_version=version)

    assert by_key(run) == organisation.calendar_truth()
    assert [job.page for job in server.jobs] == [1, 2, 3, 4]
    assert not [each for each in server.requests[before:] if "/settings/" in each.path]
    module: Any = "Events" if version == "v2" else {"api_name": "Events"}
    first, *others = bodies(server)
    paged = {} if version in {"v8", "v7"} else {"page": 1}
    assert first == {"query": {"module": module, **paged}, "file_type": "ics"}
    for page, body in enumerate(others, 2):
        if paged:
            expected = {"query": {"module": module, "page": page}, "file_type": "ics"}
            assert body == expected
        else:
            assert set(body) == {"query"}
            assert set(body["query"]) == {"page_token"}
    jobs, looks = PAGES * 50, len([each for each in server.requests if each.method == "GET"])
    assert f"{EVENTS}      4" in run.stderr
    assert server.credits <= jobs + looks


def test_the_meetings_cover_what_calendars_have(organisation: Organisation) -> None:
    """The comparison above covers all of this, with UIDs that are ids in `Events`."""
    truth = list(organisation.calendar_truth().values())

    assert len(truth) == EVENTS
    zones = {record["start_time_zone"] for record in truth}
    assert zones >= {None, "UTC", "America/Los_Angeles", "W. Europe Standard Time"}
    assert "Zoho/Head Office" in zones
    floating = [each for each in truth if re.search(r"DTSTART:[0-9T]+\r", each["vevent"])]
    assert {each["start_time_zone"] for each in floating} == {organisation.time_zone}
    assert all(each["start"] for each in floating)
    ids = organisation.module("Events").records.keys()
    assert {each["uid"] for each in truth} <= ids
    assert {each["uid"] for each in truth if each["recurrence_id"] == "master"} < ids
    assert [each for each in truth if each["recurrence_id"] != "master"]
    for name in truth[0]:
        assert [each for each in truth if each[name]], name


def test_only_selected_properties_come(tap: TapCommand, server: ZohoServer) -> None:
    catalog = catalog_of(tap, server, "summary", "attendees")

    run = tap.sync(server, catalog=catalog)

    kept = {"uid", "recurrence_id", "summary", "attendees"}
    assert {name for record in run.records(STREAM) for name in record} == kept
    assert set(run.schemas[STREAM]["schema"]["properties"]) == kept


def test_the_sdks_own_path_gives_the_same(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    run = tap.sync(
        server,
        catalog=catalog_of(tap, server),
        stream_maps={STREAM: {"title": "summary", "__alias__": STREAM}},
    )

    truth = organisation.calendar_truth()
    assert by_key(run) == {
        key: {**record, "title": record["summary"]} for key, record in truth.items()
    }


def test_options_of_the_module_narrow_it(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    records = organisation.module("Events").records.values()
    times = sorted(record["Modified_Time"] for record in records)
    criteria = {
        "field": {"api_name": "Modified_Time"},
        "comparator": "less_than",
        "value": times[10].isoformat(),
    }

    run = tap.sync(
        server,
        catalog=catalog_of(tap, server),
        module_options={"Events": {"criteria": criteria}},
    )

    due = {record["id"] for record in records if record["Modified_Time"] < times[10]}
    assert len(due) == 10
    found = "".join(record["vevent"] for record in run.records(STREAM))
    assert {each.split("\r\n")[0] for each in found.split("X-ZOHO-ID:")[1:]} == due


# BATCH


@pytest.mark.parametrize("file_format", ["jsonl", "parquet"])
def test_batch_files_hold_every_event(
    tap: TapCommand,
    server: ZohoServer,
    organisation: Organisation,
    tmp_path: Path,
    file_format: str,
) -> None:
    run = tap.sync(
        server,
        catalog=catalog_of(tap, server),
        batch_config={
            "encoding": {"format": file_format, "compression": "none"},
            "storage": {"root": (tmp_path / "out").as_uri()},
        },
    )

    files = [
        Path(urlsplit(url).path)
        for message in run.of_type("BATCH", STREAM)
        for url in message["manifest"]
    ]
    assert len(files) == PAGES
    records = [record for file in files for record in _records_in(file)]
    found = {(record["uid"], record["recurrence_id"]): record for record in records}
    assert found == organisation.calendar_truth()
    assert len(records) == EVENTS


def _records_in(file: Path) -> list[Json]:
    if file.suffix == ".parquet":
        return [
            {name: _as_json(value) for name, value in row.items()}
            for row in pq.read_table(file).to_pylist()
        ]
    return [parse(line) for line in file.read_text(encoding="utf-8").split("\n")[:-1]]


def _as_json(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


# Trouble


def test_a_killed_run_goes_on_where_it_was(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog = catalog_of(tap, server)
    go, reached = threading.Event(), threading.Event()

    def hold(request: LoggedRequest) -> None:
        jobs = [job for job in server.jobs if f"/read/{job.id}/result" in request.path]
        if jobs and jobs[0].page == 3:
            reached.set()
            go.wait(60)

    server.on_request = hold
    running = tap.start(server.tap_config(**FAST), catalog=catalog)
    running.wait_until(reached)

    def tells_of_page_3(messages: list[Json]) -> bool:
        states = [each["value"] for each in messages if each["type"] == "STATE"]
        told = states[-1]["bookmarks"][STREAM].get("bulk_read", {}) if states else {}
        jobs = [job.id for job in server.jobs if job.page >= 3]
        return told.get("page") == 3 and all(job in json.dumps(told) for job in jobs)

    running.wait_for(tells_of_page_3)
    running.kill()
    stopped = tap.finish(running, server)
    server.on_request = None
    go.set()
    rest = tap.sync(server, catalog=catalog, state=stopped.state)

    assert len(stopped.records(STREAM)) == 2 * PAGE_SIZE
    assert len(rest.records(STREAM)) == EVENTS - 2 * PAGE_SIZE
    assert by_key(stopped, rest) == organisation.calendar_truth()
    assert [job.page for job in server.jobs] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["corrupt", "truncate"])
def test_a_damaged_page_is_downloaded_again(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, kind: Any
) -> None:
    catalog = catalog_of(tap, server)
    server.faults.add(Fault(kind=kind, skip=1))

    run = tap.sync(server, catalog=catalog)

    assert by_key(run) == organisation.calendar_truth()
    assert len(server.jobs) == PAGES


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(kind="ragged_row", times=1), "a component of the calendar has no end"),
        (Fault(kind="count_off_by", off_by=1, times=1), "20 events, but the job reports 21"),
    ],
)
def test_the_job_of_a_page_that_is_not_whole_is_made_again(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, fault: Fault, said: str
) -> None:
    catalog = catalog_of(tap, server)
    server.faults.add(fault)

    run = tap.sync(server, catalog=catalog)

    assert said in run.stderr
    assert by_key(run) == organisation.calendar_truth()


def test_a_page_that_stays_damaged_fails_the_stream_alone(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = select(tap.discover(server), {STREAM: None, "Contacts": None})
    server.faults.add(Fault(kind="ragged_row", module="Events", times=None))

    run = tap.run(server, catalog=catalog)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "Events_ics failed; its bookmark has not moved." in run.stderr
    assert "1 of 2 streams failed" in run.stderr
    assert not run.records(STREAM)
    assert len(run.records("Contacts")) == 5


def test_old_rows_go_after_the_last_event(tap: TapCommand, server: ZohoServer) -> None:
    run = tap.sync(server, catalog=catalog_of(tap, server), emit_activate_version_messages=True)

    own = [message for message in run.messages if message.get("stream") == STREAM]
    (active,) = [message for message in own if message["type"] == "ACTIVATE_VERSION"]
    assert own[-1] is active
    versions = {message["version"] for message in own if message["type"] == "RECORD"}
    assert versions == {active["version"]}
