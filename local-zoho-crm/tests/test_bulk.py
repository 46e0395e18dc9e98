"""The bulk read calls: a job's details, its result, and the limit on downloads."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from local_zoho_crm import Field, Module
from zoho_client import SECOND, code, leads, serving, where

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from zoho_client import Client


def test_an_export_holds_the_truth(client: Client, organisation: Organisation) -> None:
    rows = client.export(leads()["query"])
    truth = organisation.truth("Leads")

    assert len(rows) == len(truth) == 45
    for row in rows:
        expected = truth[row["Id"]]
        assert set(row) - {"Id"} == set(expected) - {"id"}
        for name in ("Last_Name", "Phone", "Description", "Tag", "Interests", "Owner", "Company"):
            assert (row[name] or None) == expected[name]
        for name in ("Annual_Revenue", "Rating_Score", "Days_Open"):
            assert (Decimal(row[name]) if row[name] else None) == expected[name]
        assert row["Blood_Group"] == ""
        modified = datetime.fromisoformat(row["Modified_Time"])
        assert modified == datetime.fromisoformat(expected["Modified_Time"])


def test_times_have_the_users_offset_at_that_instant(organisation: Organisation) -> None:
    record_id = next(iter(organisation.module("Leads").records))
    for month, offset in ((1, "-08:00"), (7, "-07:00")):
        instant = datetime(2024, month, 1, 12, tzinfo=timezone.utc)
        organisation.update("Leads", record_id, Last_Activity_Time=instant)
        criteria = where("id", "equal", record_id)
        with serving(organisation) as client:
            (row,) = client.export(leads(fields=["Last_Activity_Time"], criteria=criteria)["query"])
        assert row["Last_Activity_Time"].endswith(offset)


def test_details_of_a_job(client: Client) -> None:
    answer = client.post(leads(fields=["Last_Name"]))
    assert answer.status_code == 201
    content = answer.json()
    assert content["info"] == {}
    added = content["data"][0]
    assert (added["status"], added["code"]) == ("success", "ADDED_SUCCESSFULLY")
    assert added["details"]["state"] == "ADDED"
    assert added["details"]["created_time"] == "2025-06-01T05:00:00-07:00"

    details = client.details(added["details"]["id"], "v6")
    assert details["state"] == "COMPLETED"
    assert details["query"]["module"]["api_name"] == "Leads"
    assert details["query"]["fields"] == ["Last_Name"]
    assert details["file_type"] == "csv"
    assert details["result"]["download_url"] == f"/crm/bulk/v6/read/{details['id']}/result"
    assert details["result"]["per_page"] == 20


def test_a_download_is_a_named_zip(client: Client) -> None:
    job_id = client.start(leads())
    client.details(job_id)

    answer = client.download(job_id)

    assert answer.headers["Content-Type"] == "application/x-download"
    assert answer.headers["Content-Disposition"] == f"attachment;filename*=UTF-8''{job_id}.zip"
    ranged = client.get(f"/crm/bulk/v8/read/{job_id}/result", Range="bytes=0-9")
    assert (ranged.status_code, ranged.content) == (200, answer.content)


def test_unknown_jobs(client: Client) -> None:
    details, result = client.get("/crm/bulk/v8/read/7"), client.download("7")
    assert (details.status_code, code(details)) == (404, "RESOURCE_NOT_FOUND")
    assert (result.status_code, code(result)) == (400, "RESOURCE_NOT_FOUND")


def test_a_page_token_stands_alone(client: Client) -> None:
    token = client.details(client.start(leads()))["result"]["next_page_token"]
    for extra in ({"page": 2}, {"module": {"api_name": "Leads"}}, {"fields": ["Company"]}):
        answer = client.post({"query": {"page_token": token, **extra}})
        assert (answer.status_code, code(answer)) == (400, "QUERY_NOT_SUPPORTED")


def test_no_rows_give_a_header(client: Client) -> None:
    job_id = client.start(leads(fields=["Company"], criteria=where("id", "equal", "1")))
    assert client.details(job_id)["result"]["count"] == 0
    assert client.text(job_id) == "Id,Company\r\n"


def test_more_than_200_fields_give_all_fields(organisation: Organisation) -> None:
    names = [f"Field_{number}" for number in range(205)]
    module = Module.of("Wide", *(Field(name, "text") for name in names), Field("Last", "text"))
    organisation.add_module(module)
    organisation.insert("Wide")
    with serving(organisation) as client:
        for count, width in ((200, 201), (201, 207)):
            query = {"module": {"api_name": "Wide"}, "fields": names[:count]}
            (row,) = client.export(query)
            assert len(row) == width


def test_related_fields_come_through_lookups(client: Client, organisation: Organisation) -> None:
    names = ["Owner", "Owner.last_name", "Account_Name.Phone", "Account_Name.Owner"]
    rows = client.export({"module": {"api_name": "Contacts"}, "fields": names})
    truth = organisation.truth("Contacts", names)
    assert {row["Id"]: row["Account_Name.Phone"] or None for row in rows} == {
        record_id: record["Account_Name__Phone"] for record_id, record in truth.items()
    }
    assert {row["Owner.last_name"] for row in rows} <= {
        user["last_name"] for user in organisation.users.records.values()
    }


def test_a_custom_view_filters(client: Client, organisation: Organisation) -> None:
    records = organisation.module("Leads").records
    views = {view.name: view.id for view in organisation.module("Leads").custom_views}
    rows = client.export(leads(cvid=views["Web, with an e-mail"], fields=["Email"])["query"])
    assert {row["Id"] for row in rows} == {
        record_id
        for record_id, record in records.items()
        if record["Lead_Source"] == "Web" and record["Email"]
    }
    number = client.export(leads(cvid=int(views["All Leads"]))["query"])
    assert len(number) == len(records)


def test_the_eleventh_download_in_a_minute_blocks_for_a_minute(organisation: Organisation) -> None:
    with serving(organisation, downloads_per_minute=10) as client:
        job_id = client.start(leads())
        client.details(job_id)
        answers = [client.download(job_id) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert code(answers[-1]) == "TOO_MANY_REQUESTS"
        organisation.advance(timedelta(seconds=59))
        assert client.download(job_id).status_code == 429
        organisation.advance(SECOND)
        assert client.download(job_id).status_code == 200
