"""Results of bulk write jobs, compared with the server's rows."""

from __future__ import annotations

import json
from datetime import timezone
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import BulkWriteJob, Fault, Organisation
from local_zoho_crm.oauth import DEFAULT_SCOPES
from tap_zoho_bulk.api.client import download_host
from tap_zoho_bulk.exceptions import ExitCode, PageDamagedError
from tap_zoho_bulk.settings import Settings
from tap_zoho_bulk.streams.bulk_write_results import errors, result_rows
from tests.support.pages import page_of, zipped
from tests.support.singer import select

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

NAME = "bulk_write_results"
SCOPES = DEFAULT_SCOPES | {"ZohoCRM.bulk.CREATE"}
COLUMNS = ("Last_Name", "Email", "STATUS")
ROWS = (
    ("Boyle", "b@example.com", "hot", "ADDED", "5725767000000400999", ""),
    ('M"üller\n, Jr.', "", "", "UPDATED", "5725767000000401000", ""),
    ("", "x", "", "SKIPPED", "", "MANDATORY_NOT_FOUND-Company,Last_Name:DUPLICATE_DATA-Email"),
)
RESULTS: tuple[Json, ...] = (
    {
        "columns": {"Last_Name": "Boyle", "Email": "b@example.com", "STATUS": "hot"},
        "status": "ADDED",
        "record_id": "5725767000000400999",
        "errors": None,
    },
    {
        "columns": {"Last_Name": 'M"üller\n, Jr.', "Email": None, "STATUS": None},
        "status": "UPDATED",
        "record_id": "5725767000000401000",
        "errors": None,
    },
    {
        "columns": {"Last_Name": None, "Email": "x", "STATUS": None},
        "status": "SKIPPED",
        "record_id": None,
        "errors": [
            {"code": "MANDATORY_NOT_FOUND", "columns": ["Company", "Last_Name"]},
            {"code": "DUPLICATE_DATA", "columns": ["Email"]},
        ],
    },
)


def made(organisation: Organisation, **options: Any) -> str:
    return organisation.add_bulk_write_job(
        BulkWriteJob(module="Leads", **{"columns": COLUMNS, "rows": ROWS, **options})
    )


def expected(organisation: Organisation, job_id: str) -> list[Json]:
    job = organisation.bulk_write_jobs[job_id]
    assert job.created_time
    common = {
        "job_id": job_id,
        "module": "Leads",
        "operation": "insert",
        "job_status": "COMPLETED",
        "created_time": job.created_time.astimezone(timezone.utc).isoformat(),
        "file_name": "Leads.csv",
        "total_count": 3,
        "added_count": 1,
        "updated_count": 1,
        "skipped_count": 1,
    }
    nothing = {"columns": None, "status": None, "record_id": None, "errors": None}
    return [
        {**common, "row_number": number, **row} for number, row in enumerate((nothing, *RESULTS))
    ]


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=931, only=["Tasks"])


def sync(tap: TapCommand, server: ZohoServer, *job_ids: str, **settings: Any) -> TapRun:
    settings = {"bulk_write_job_ids": list(job_ids), **settings}
    catalog = select(tap.discover(server, **settings), {NAME: None})
    return tap.run(server, catalog=catalog, **settings)


def test_there_is_no_stream_without_ids(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    catalog = tap.discover(serve(organisation, scopes=SCOPES))

    assert NAME not in {each["stream"] for each in catalog["streams"]}


@pytest.mark.parametrize("absolute", [True, False])
def test_a_job_comes_with_its_rows(
    tap: TapCommand, serve: Serve, organisation: Organisation, *, absolute: bool
) -> None:
    job_ids = [made(organisation, absolute_url=absolute), made(organisation)]
    server = serve(organisation, scopes=SCOPES)
    run = sync(tap, server, *job_ids)

    assert run.exit_code == 0, run.stderr
    assert run.schemas[NAME]["key_properties"] == ["job_id", "row_number"]
    assert run.records(NAME) == [
        row for job_id in job_ids for row in expected(organisation, job_id)
    ]


def test_ids_come_from_the_environment(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    job_id = made(organisation)
    server = serve(organisation, scopes=SCOPES)
    environment = {"TAP_ZOHO_BULK_BULK_WRITE_JOB_IDS": json.dumps([job_id])}
    run = tap.run(server, "--config", "ENV", environment=environment, exclude_modules=["*"])

    assert run.exit_code == 0, run.stderr
    assert run.records(NAME) == expected(organisation, job_id)


def test_a_wrong_id_is_named(tap: TapCommand, serve: Serve, organisation: Organisation) -> None:
    server = serve(organisation, scopes=SCOPES)
    run = tap.run(server, bulk_write_job_ids=["12/../34"])

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "bulk_write_job_ids" in run.stderr
    assert not server.requests


def test_no_page_waits_for_a_running_job(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    job_ids = [made(organisation)]
    server = serve(organisation, scopes=SCOPES)
    run = tap.sync(server, modules=["Tasks"], bulk_write_job_ids=job_ids)

    streams = [message["stream"] for message in run.messages if message["type"] == "RECORD"]
    assert "Tasks" in streams
    assert streams[streams.index(NAME) :] == [NAME] * len(expected(organisation, *job_ids))


def test_a_running_job_is_waited_for(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    job_id = made(organisation, polls=3)
    server = serve(organisation, scopes=SCOPES)
    run = sync(tap, server, job_id)

    assert run.records(NAME) == expected(organisation, job_id)
    assert len(server.requests_matching("GET", rf"/write/{job_id}$")) == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"status": "FAILED"}, "is FAILED, with no result."),
        ({"polls": 10**9}, "was still IN PROGRESS after"),
    ],
)
def test_a_job_without_a_result_is_a_row_that_tells_its_state(
    tap: TapCommand, serve: Serve, organisation: Organisation, options: Json, said: str
) -> None:
    job_ids = [made(organisation, **options), made(organisation)]
    run = sync(tap, serve(organisation, scopes=SCOPES), *job_ids, job_timeout_seconds=1)

    assert run.exit_code == 0, run.stderr
    assert said in run.stderr
    state = options.get("status", "IN PROGRESS")
    assert run.records(NAME)[0] == {**expected(organisation, job_ids[0])[0], "job_status": state}
    assert run.records(NAME)[1:] == expected(organisation, job_ids[1])


def test_one_bad_id_does_not_stop_the_others(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    job_id = made(organisation)
    server = serve(organisation, scopes=SCOPES)
    run = sync(tap, server, "404", job_id, emit_activate_version_messages=True)

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "cannot read the results of 404." in run.stderr
    assert run.records(NAME) == expected(organisation, job_id)
    assert not run.of_type("ACTIVATE_VERSION")


def test_a_damaged_result_is_downloaded_again(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    job_id = made(organisation)
    server = serve(organisation, scopes=SCOPES)
    server.faults.add(Fault(kind="corrupt", path=r"/write/\d+/result$", times=1))
    run = sync(tap, server, job_id)
    rows = {row["row_number"]: row for row in run.records(NAME)}

    assert run.exit_code == 0, run.stderr
    assert list(rows.values()) == expected(organisation, job_id)

    server.faults.add(Fault(kind="corrupt", path=r"/write/\d+/result$", times=None))
    failed = sync(tap, server, job_id)
    assert failed.exit_code == ExitCode.TRY_AGAIN_LATER
    assert f"cannot read the results of {job_id}." in failed.stderr


def test_files_of_subforms_go_on_counting(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    child = BulkWriteJob(
        module="Quoted_Items", columns=("Quantity",), rows=[("2", "ADDED", "77", "")]
    )
    job_id = made(organisation, children=[child])
    run = sync(tap, serve(organisation, scopes=SCOPES), job_id)

    rows = run.records(NAME)
    assert [(row["row_number"], row["module"]) for row in rows] == [
        *((0, None), (1, "Leads"), (2, "Leads"), (3, "Leads"), (4, "Quoted_Items"))
    ]
    assert (rows[4]["columns"], rows[4]["record_id"]) == ({"Quantity": "2"}, "77")


def test_a_result_of_too_few_rows_is_told(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    job_id = made(organisation)
    server = serve(organisation, scopes=SCOPES)

    def lose_a_row(request: LoggedRequest) -> None:
        if request.path.endswith("/result"):
            organisation.bulk_write_jobs[job_id].rows = ROWS[:2]

    server.on_request = lose_a_row
    run = sync(tap, server, job_id)

    assert [row["status"] for row in run.records(NAME)] == [None, "ADDED", "UPDATED"]
    assert f"of bulk write job {job_id} has 2 rows, but the job reports 3." in run.stderr


def rows_of(content: bytes, **options: Any) -> list[Json]:
    archive = page_of(zipped(content), count=0).archive
    with archive.open_all() as files:
        return [row for _, entry in files for row in result_rows(archive, entry, **options)]


HEADER = b"Name,STATUS,RECORD_ID,ERRORS\r\n"
ROW = b"a,ADDED,1,\r\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks STATUS"),
        (b"Name,STATUS,ERRORS\r\na,ADDED,\r\n", "lacks STATUS, RECORD_ID or ERRORS"),
        (HEADER + b"a,ADDED,1\r\n", "a row has 3 cells, the header 4"),
        (HEADER + b'a,"ADDED', "the CSV is damaged"),
        (HEADER + b"\xff,ADDED,1,\r\n", "the CSV is damaged"),
        (HEADER + 3 * ROW, "more than 2 rows"),
    ],
)
def test_what_is_no_result_is_damaged(content: bytes, said: str) -> None:
    with pytest.raises(PageDamagedError, match=said):
        rows_of(content, max_rows=2)


def test_empty_lines_and_a_byte_order_mark_are_no_data() -> None:
    row = {"columns": {"Name": "a"}, "status": "ADDED", "record_id": "1", "errors": None}

    assert rows_of(b"\xef\xbb\xbf" + HEADER + b"\r\n" + ROW + b"\r\n" + ROW) == [row, row]


def test_a_missing_scope_names_itself(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    run = sync(tap, server, made(organisation), made(organisation))

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "whose scopes include ZohoCRM.bulk.CREATE." in run.stderr
    assert len(server.requests_matching("GET", r"/write/\d+$")) == 1  # The next would also fail.


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("", None),
        ("NOT_APPROVED", [("NOT_APPROVED", [])]),
        ("MANDATORY_NOT_FOUND-Company", [("MANDATORY_NOT_FOUND", ["Company"])]),
        ("INVALID_DATA-Start: Day,E-Mail", [("INVALID_DATA", ["Start: Day", "E-Mail"])]),
        (
            "INVALID_DATA-a,b:LIMIT_EXCEEDED:DUPLICATE_DATA-c",
            [("INVALID_DATA", ["a", "b"]), ("LIMIT_EXCEEDED", []), ("DUPLICATE_DATA", ["c"])],
        ),
    ],
)
def test_errors_have_a_code_and_columns(cell: str, found: Any) -> None:
    expected = found and [{"code": code, "columns": columns} for code, columns in found]
    assert errors(cell) == expected


@pytest.mark.parametrize(
    ("url", "api_url", "host"),
    [
        ("https://download-accl.zoho.eu/v2/crm/1/a.zip", None, "https://download-accl.zoho.eu"),
        ("https://download-accl.zoho.eu/v2/crm/1/a.zip", "http://127.0.0.1:1", None),
        ("https://download-accl.zoho.com/v2/crm/1/a.zip", None, None),
        ("http://download-accl.zoho.eu/v2/crm/1/a.zip", None, None),
        ("https://download-accl.zoho.eu.example/a.zip", None, None),
        ("https://download-accl.zoho.eu@elsewhere.example/a.zip", None, None),
        ("/crm/bulk/v8/write/1/result", None, None),
    ],
)
def test_the_token_goes_to_no_host_but_zohos_own(
    url: str, api_url: str | None, host: str | None
) -> None:
    account = dict.fromkeys(("client_id", "client_secret", "refresh_token"), "x")
    settings = Settings.from_config({**account, "data_center": "eu", "api_url": api_url})

    assert download_host(url, settings) == host
