"""The local Zoho CRM works with an independent client: Zoho's own Python SDK."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import BulkWriteJob, CustomView, Organisation, ZohoServer
from local_zoho_crm.oauth import DEFAULT_SCOPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_zoho_crm import LoggedRequest

Json = dict[str, Any]

PAGE_SIZE = 20
FIELDS = [
    *("Last_Name", "Description", "Owner.last_name", "Annual_Revenue", "No_of_Employees"),
    *("Email_Opt_Out", "Interests", "First_Visited_On", "Modified_Time"),
]


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S}+00:00"


READ: dict[str, Callable[[str], Any]] = {
    "Annual_Revenue": Decimal,
    "No_of_Employees": int,
    "Email_Opt_Out": {"true": True, "false": False}.__getitem__,
    "Modified_Time": _utc,
}
"""What the text of a CSV cell means, if it stands for something other than text."""


@dataclass(frozen=True)
class Visit:
    """What the SDK did at a server."""

    server: ZohoServer
    report: Json
    directory: Path

    @property
    def exports(self) -> list[Json]:
        """Return the result of each requested export."""
        return list(self.report["exports"])

    def text(self, file: str) -> str:
        """Return the text of the only file in a downloaded ZIP."""
        with zipfile.ZipFile(self.directory / file) as archive:
            (name,) = archive.namelist()
            return archive.read(name).decode()

    def rows(self, file: str) -> list[dict[str, str]]:
        """Return the rows of a downloaded CSV."""
        csv.field_size_limit(max(csv.field_size_limit(), 1_000_000))
        return list(csv.DictReader(io.StringIO(self.text(file), newline="")))

    def records(self, export: Json) -> dict[str, Json]:
        """Return the records on all pages of an export by id, typed as `Organisation.truth`."""
        return {
            row["Id"]: {
                "id" if name == "Id" else name.replace(".", "__"): (
                    READ.get(name, str)(text) if text else None
                )
                for name, text in row.items()
            }
            for page in export["pages"]
            for row in self.rows(page["file"])
        }


def _send_sdk(server: ZohoServer, directory: Path, **order: Any) -> Visit:
    """Run the SDK with an order (see zoho_sdk_client.py), with its files in this directory."""
    config = server.tap_config()
    client = {key: config[key] for key in ("client_id", "client_secret", "refresh_token")}
    done = subprocess.run(
        # Isolated, so that the program does not import the files beside it
        [sys.executable, "-I", Path(__file__).with_name("zoho_sdk_client.py")],
        cwd=directory,
        env={"HOME": str(directory)},
        input=json.dumps({"url": server.url, "client": client, **order}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["strays"] == []
    return Visit(server, report, directory)


@pytest.fixture
def organisation() -> Organisation:
    made = Organisation.generate(
        seed=11, sizes={"Leads": 130, "Events": 30}, only=("Leads", "Events"), awkward=0.2
    )
    made.set_now(datetime(2025, 6, 1, 12, tzinfo=timezone.utc))
    return made


@pytest.fixture
def server(organisation: Organisation) -> Iterator[ZohoServer]:
    def pass_time(request: LoggedRequest) -> None:
        if request.method == "GET" and request.path.startswith("/crm/bulk/"):
            organisation.advance(timedelta(seconds=1))

    scopes = DEFAULT_SCOPES | {"ZohoCRM.bulk.CREATE"}  # for the results of bulk writes
    with ZohoServer(organisation, page_size=PAGE_SIZE, job_seconds=2, scopes=scopes) as made:
        # The clock advances only with requests for a job's details.
        made.on_response = pass_time
        yield made


def test_it_exports_what_its_criteria_keep_page_by_page(
    server: ZohoServer, organisation: Organisation, tmp_path: Path
) -> None:
    truth = organisation.truth("Leads", FIELDS)
    since = sorted(record["Modified_Time"] for record in truth.values())[20]
    criteria = {
        "group_operator": "and",
        "group": [
            {"field": "Modified_Time", "comparator": "greater_equal", "value": {"instant": since}},
            {
                "group_operator": "or",
                "group": [
                    {"field": "Email_Opt_Out", "comparator": "equal", "value": True},
                    {"field": "No_of_Employees", "comparator": "greater_than", "value": 100},
                    {"field": "Annual_Revenue", "comparator": "equal", "value": "${EMPTY}"},
                ],
            },
        ],
    }
    expected = {
        record_id
        for record_id, record in truth.items()
        if record["Modified_Time"] >= since
        and (
            record["Email_Opt_Out"]
            or (record["No_of_Employees"] or 0) > 100
            or record["Annual_Revenue"] is None
        )
    }
    assert 3 * PAGE_SIZE < len(expected) < len(truth) - 20

    visit = _send_sdk(
        server,
        tmp_path,
        exports=[
            {
                "module": "Leads",
                "fields": FIELDS,
                "criteria": criteria,
                "callback": "https://example.com/done",
            }
        ],
    )

    (export,) = visit.exports
    assert visit.records(export) == {record_id: truth[record_id] for record_id in expected}
    pages = export["pages"]
    assert [page["page"] for page in pages] == list(range(1, len(pages) + 1))
    assert [page["more_records"] for page in pages] == [True] * (len(pages) - 1) + [False]
    for page, job in zip(pages, server.jobs, strict=True):
        assert page["job_id"] == job.id
        assert page["states"] == ["ADDED", "IN PROGRESS", "COMPLETED"]
        assert page["module"] == "Leads"
        assert page["created_by"] == organisation.current_user["full_name"]
        assert datetime.fromisoformat(page["created_time"]) == job.created_time
        assert page["count"] == len(visit.rows(page["file"]))
        # The SDK finds the name where Zoho's servers put it.
        assert page["file"] == f"{job.id}.zip"
        assert job.callback == {"url": "https://example.com/done", "method": "post"}


def test_it_exports_a_custom_view_and_meetings_as_ics(
    server: ZohoServer, organisation: Organisation, tmp_path: Path
) -> None:
    criteria = {"field": {"api_name": "Email_Opt_Out"}, "comparator": "equal", "value": "true"}
    view = CustomView(id=organisation.new_id(), name="Quiet", criteria=criteria)
    organisation.module("Leads").custom_views.append(view)

    visit = _send_sdk(
        server,
        tmp_path,
        exports=[
            {"module": "Leads", "fields": FIELDS, "cvid": int(view.id), "page": 1},
            {"module": "Events", "file_type": "ics"},
        ],
    )

    quiet, meetings = visit.exports
    truth = organisation.truth("Leads", FIELDS)
    assert visit.records(quiet) == {
        record_id: record for record_id, record in truth.items() if record["Email_Opt_Out"]
    }
    calendars = [visit.text(page["file"]) for page in meetings["pages"]]
    assert sum(text.count("BEGIN:VEVENT") for text in calendars) == 30


def test_it_understands_why_it_is_refused(server: ZohoServer, tmp_path: Path) -> None:
    phrases = {"field": "Last_Name", "comparator": "between", "value": ["A", "B"]}
    visit = _send_sdk(
        server,
        tmp_path,
        exports=[
            {"module": "Leads", "fields": ["Nobody"]},
            {"module": "Leads", "fields": ["Last_Name"], "criteria": phrases},
            {"module": "Leads", "cvid": 1},
        ],
    )

    errors = [export["error"] for export in visit.exports]
    assert [(error["status"], error["code"]) for error in errors] == [
        (400, "FIELD_NOT_AVAILABLE"),
        (400, "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE"),
        (400, "CVID_NOT_SUPPORTED"),
    ]
    assert errors[0]["details"]["api_name"] == "Nobody"


def test_it_downloads_what_became_of_a_bulk_write(
    server: ZohoServer, organisation: Organisation, tmp_path: Path
) -> None:
    rows = [
        ("Boyle", "b@example.com", "Zylker", "ADDED", "5725767000000411001", ""),
        ("", "x@example.com", "Zylker", "SKIPPED", "", "MANDATORY_NOT_FOUND-Last_Name"),
    ]
    columns = ("Last_Name", "Email", "Company")
    job = BulkWriteJob(module="Leads", columns=columns, rows=rows, operation="upsert")

    visit = _send_sdk(server, tmp_path, write_jobs=[organisation.add_bulk_write_job(job)])

    (result,) = visit.report["write_results"]
    assert result == {
        "status": "COMPLETED",
        "operation": "upsert",
        "module": "Leads",
        "added": 1,
        "skipped": 1,
        "file": "Leads-bulkwrite.zip",
    }
    assert [tuple(row.values()) for row in visit.rows(result["file"])] == rows


def test_it_reads_what_there_is(
    server: ZohoServer, organisation: Organisation, tmp_path: Path
) -> None:
    gone, destroyed, *left = sorted(organisation.truth("Leads"))
    organisation.delete("Leads", gone)
    organisation.delete("Leads", destroyed, permanent=True)

    metadata = _send_sdk(server, tmp_path, metadata_of="Leads").report["metadata"]

    leads = organisation.module("Leads")
    assert metadata == {
        "modules": list(organisation.modules),
        "fields": {"id": "bigint"}
        | {each.api_name: each.data_type for each in leads.fields.values() if each.listed},
        "custom_views": [view.name for view in leads.custom_views],
        "users": [user["email"] for user in organisation.users.records.values()],
        "roles": [role["name"] for role in organisation.roles],
        "profiles": [profile["name"] for profile in organisation.profiles],
        "zgid": organisation.company["zgid"],
        "deleted": {gone: "recycle", destroyed: "permanent"},
        "count": len(left),
    }
