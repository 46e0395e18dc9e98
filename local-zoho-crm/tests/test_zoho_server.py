"""The local Zoho CRM is what Zoho's documentation describes."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import icalendar
import pytest
import requests

from local_zoho_crm import (
    BulkWriteJob,
    CsvStyle,
    CustomView,
    Fault,
    Field,
    Module,
    Organisation,
    RandomFaults,
    ZohoServer,
    too_many_requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import (
        LoggedRequest,
    )

NOON = datetime(2025, 6, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
SECOND = timedelta(seconds=1)
NOT_TEXT: list[Any] = [[], {}, ["x"], {"x": 1}, None, 7, True]
NOT_IDS: list[Any] = [[], {}, True, 1.5]
NOT_NUMBERS: list[Any] = [[], {}, True, 1.5, "1"]
NOT_URLS: list[Any] = [*NOT_TEXT, "", "x", "http://[", "http://"]
GROUP = "GROUP_OPERATOR_NOT_SUPPORTED"


class Client:
    """Speaks to the server as the documentation says."""

    def __init__(self, server: ZohoServer, refresh_token: str | None = None) -> None:
        self.server = server
        self.session = requests.Session()
        answer = self.token(**({"refresh_token": refresh_token} if refresh_token else {}))
        self.access_token = answer.json()["access_token"]
        self.session.headers["Authorization"] = f"Zoho-oauthtoken {self.access_token}"

    def token(self, **form: str) -> requests.Response:
        """Ask for an access token."""
        config = self.server.tap_config()
        keys = ("client_id", "client_secret", "refresh_token")
        content = {"grant_type": "refresh_token", **{key: config[key] for key in keys}, **form}
        return self.session.post(f"{self.server.url}/oauth/v2/token", data=content)

    def get(self, path: str, **headers: str) -> requests.Response:
        """GET a path."""
        return self.session.get(self.server.url + path, headers=headers)

    def post(self, body: Any, version: str = "v8") -> requests.Response:
        """POST a bulk read request."""
        return self.session.post(f"{self.server.url}/crm/bulk/{version}/read", json=body)

    def start(self, body: Any, version: str = "v8") -> str:
        """Start a job; its id."""
        answer = self.post(body, version)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"][0]["details"]["id"])

    def details(self, job_id: str, version: str = "v8") -> dict[str, Any]:
        """A job's details."""
        answer = self.get(f"/crm/bulk/{version}/read/{job_id}")
        assert answer.status_code == 200, answer.text
        (details,) = answer.json()["data"]
        return dict(details)

    def download(self, job_id: str, version: str = "v8") -> requests.Response:
        """GET a job's file."""
        return self.get(f"/crm/bulk/{version}/read/{job_id}/result")

    def text(self, job_id: str) -> str:
        """The text in a job's file."""
        with zipfile.ZipFile(io.BytesIO(self.download(job_id).content)) as archive:
            (name,) = archive.namelist()
            assert name.partition(".")[0] == job_id
            return archive.read(name).decode()

    def rows(self, job_id: str) -> list[dict[str, str]]:
        """The rows in a job's CSV."""
        csv.field_size_limit(max(csv.field_size_limit(), 1_000_000))
        return list(csv.DictReader(io.StringIO(self.text(job_id), newline="")))

    def export(self, query: dict[str, Any], version: str = "v8") -> list[dict[str, str]]:
        """All pages of a query, by page token or by number as the version has it."""
        rows: list[dict[str, str]] = []
        ask = query
        while True:
            job_id = self.start({"query": ask}, version)
            result = self.details(job_id, version)["result"]
            page = self.rows(job_id)
            assert len(page) == result["count"]
            rows += page
            if not result["more_records"]:
                return rows
            token = result.get("next_page_token")
            ask = {"page_token": token} if token else {**query, "page": result["page"] + 1}


@contextmanager
def serving(organisation: Organisation, **options: Any) -> Iterator[Client]:
    with ZohoServer(organisation, **options) as server:
        client = Client(server)
        with client.session:
            yield client


@pytest.fixture
def organisation() -> Organisation:
    made = Organisation.generate(seed=3, sizes={"Leads": 45})
    made.set_now(NOON)
    return made


@pytest.fixture
def client(organisation: Organisation) -> Iterator[Client]:
    with serving(organisation, page_size=20) as made:
        yield made


def leads(**query: Any) -> dict[str, Any]:
    return {"query": {"module": {"api_name": "Leads"}, **query}}


def where(field: str, comparator: str, value: Any) -> dict[str, Any]:
    """A criterion."""
    return {"field": {"api_name": field}, "comparator": comparator, "value": value}


def callback(given: Any) -> dict[str, Any]:
    """A request with a callback."""
    return {**leads(), "callback": given}


def code(answer: requests.Response) -> str:
    content = answer.json()
    return str(content["data"][0]["code"] if "data" in content else content["code"])


# Signing in


def test_a_refresh_token_gives_an_access_token(client: Client) -> None:
    answer = client.token()

    assert answer.status_code == 200
    assert answer.json()["api_domain"] == client.server.url
    assert answer.json()["expires_in"] == 3600
    assert "refresh_token" not in answer.json()


def test_bad_credentials_answer_200(client: Client) -> None:
    for form, error in (
        ({"refresh_token": "1000.no"}, "invalid_code"),
        ({"client_secret": "no"}, "invalid_client"),
    ):
        answer = client.token(**form)
        assert (answer.status_code, answer.json()) == (200, {"error": error})


def test_secrets_in_the_url_are_refused(client: Client) -> None:
    config = client.server.tap_config()

    answer = requests.post(
        f"{client.server.url}/oauth/v2/token",
        params={"refresh_token": config["refresh_token"]},
        data={"grant_type": "refresh_token"},
        timeout=5,
    )

    assert answer.status_code == 400


def test_the_eleventh_token_request_in_ten_minutes_is_denied(
    client: Client, organisation: Organisation
) -> None:
    answers = [client.token() for _ in range(10)]

    assert [answer.status_code for answer in answers] == [200] * 9 + [400]
    assert answers[-1].json()["error"] == "Access Denied"

    organisation.advance(timedelta(minutes=10))
    assert client.token().status_code == 200


def test_an_access_token_lives_an_hour(client: Client, organisation: Organisation) -> None:
    organisation.advance(timedelta(minutes=59))
    assert client.get("/crm/v8/org").status_code == 200

    organisation.advance(timedelta(minutes=1))
    answer = client.get("/crm/v8/org")
    assert (answer.status_code, code(answer)) == (401, "INVALID_TOKEN")


def test_the_eleventh_access_token_evicts_the_first(organisation: Organisation) -> None:
    with serving(organisation, tokens_per_ten_minutes=None) as client:
        for _ in range(9):
            client.token()
        assert client.get("/crm/v8/org").status_code == 200
        client.token()
        assert client.get("/crm/v8/org").status_code == 401


def test_a_code_gives_a_refresh_token_once(client: Client) -> None:
    form = {"grant_type": "authorization_code", "code": client.server.desk.authorization_code()}

    first, second = client.token(**form), client.token(**form)

    assert client.token(refresh_token=first.json()["refresh_token"]).status_code == 200
    assert second.json() == {"error": "invalid_code"}


def test_client_credentials_give_the_scopes_that_were_asked_for(client: Client) -> None:
    soid = f"ZohoCRM.{client.server.organisation.company['zgid']}"

    answer = client.token(
        grant_type="client_credentials", scope="ZohoCRM.org.READ", soid=soid
    ).json()

    assert "refresh_token" not in answer
    client.session.headers["Authorization"] = f"Zoho-oauthtoken {answer['access_token']}"
    assert client.get("/crm/v8/org").status_code == 200
    assert code(client.get("/crm/v8/users")) == "OAUTH_SCOPE_MISMATCH"


@pytest.mark.parametrize("header", ["Bearer {}", "{}", "Zoho-oauthtoken x{}"])
def test_only_zohos_own_authorization_scheme_passes(client: Client, header: str) -> None:
    answer = client.get("/crm/v8/org", Authorization=header.format(client.access_token))
    assert (answer.status_code, code(answer)) == (401, "INVALID_TOKEN")


def test_scopes_are_checked(organisation: Organisation) -> None:
    scopes = ["ZohoCRM.bulk.ALL", "ZohoCRM.modules.leads.READ", "ZohoCRM.settings.ALL"]
    with serving(organisation, scopes=scopes) as client:
        assert client.get("/crm/v8/settings/fields?module=Leads").status_code == 200
        assert client.post(leads()).status_code == 201
        for answer in (
            client.get("/crm/v8/users"),
            client.get("/crm/v8/Contacts/deleted"),
            client.post({"query": {"module": {"api_name": "Contacts"}}}),
        ):
            assert (answer.status_code, code(answer)) == (401, "OAUTH_SCOPE_MISMATCH")


def test_all_secrets_are_known(client: Client) -> None:
    config = client.server.tap_config()
    expected = {client.access_token, config["client_secret"], config["refresh_token"]}
    assert expected <= set(client.server.secrets)


def test_forgotten_tokens_are_invalid(client: Client) -> None:
    client.server.forget_tokens()
    assert code(client.get("/crm/v8/org")) == "INVALID_TOKEN"


def test_a_form_that_is_not_utf8_is_refused(client: Client) -> None:
    answer = client.session.post(f"{client.server.url}/oauth/v2/token", data=b"client_id=\xff")
    assert (answer.status_code, answer.json()) == (200, {"error": "invalid_client"})


# Metadata and people


def test_modules_are_of_every_kind(client: Client) -> None:
    modules = client.get("/crm/v8/settings/modules").json()["modules"]

    assert {module["generated_type"] for module in modules} == {
        *("default", "custom", "subform", "linking", "web")
    }
    assert any(not module["api_supported"] for module in modules)
    events = next(module for module in modules if module["api_name"] == "Events")
    assert events["plural_label"] == "Meetings"


def test_fields_of_a_module(client: Client) -> None:
    listed = client.get("/crm/v8/settings/fields?module=Leads&type=all").json()["fields"]
    fields = {field["api_name"]: field for field in listed}

    assert fields["id"]["data_type"] == "bigint"
    assert fields["Days_Open"]["formula"]["return_type"] == "double"
    assert fields["Lead_Source"]["pick_list_values"][0]["actual_value"] == "Web"
    assert "$converted" not in fields
    older = client.get("/crm/v2/settings/fields?module=Leads").json()["fields"]
    assert "id" not in {field["api_name"] for field in older}


def test_odd_fields_lack_what_they_lack(client: Client) -> None:
    listed = client.get("/crm/v8/settings/fields?module=Custom_Projects").json()["fields"]
    fields = {field["api_name"]: field for field in listed}

    assert "length" not in fields["Name"]
    assert fields["No_Json_Type"]["json_type"] is None
    assert fields["Odd_Formula"]["formula"] is None
    assert set(fields["Bare"]) >= {"api_name", "data_type"}
    assert "json_type" not in fields["Bare"]


@pytest.mark.parametrize(
    ("module", "status", "expected"),
    [
        ("CTI_Entry", 204, None),
        ("Email_Analytics", 400, "INVALID_MODULE"),
        ("Functions__s", 400, "FEATURE_NOT_ENABLED"),
        ("Secret_Payroll", 403, "NO_PERMISSION"),
        ("Nothing", 400, "INVALID_MODULE"),
        ("", 400, "REQUIRED_PARAM_MISSING"),
    ],
)
def test_fields_of_modules_that_have_none(
    client: Client, module: str, status: int, expected: str | None
) -> None:
    answer = client.get(f"/crm/v8/settings/fields?module={module}")
    assert answer.status_code == status
    assert (code(answer) if answer.content else None) == expected


def test_users_come_in_pages(client: Client) -> None:
    seen = []
    for page in (1, 2, 3):
        answer = client.get(f"/crm/v8/users?type=AllUsers&page={page}&per_page=2").json()
        seen += [user["id"] for user in answer["users"]]
        assert answer["info"]["more_records"] == (page < 3)
    assert seen == list(client.server.organisation.users.records)
    assert client.get("/crm/v8/users?type=AllUsers&page=4&per_page=2").status_code == 204
    assert code(client.get("/crm/v8/users?type=Everybody")) == "INVALID_DATA"


def test_org_roles_profiles_views(client: Client) -> None:
    assert client.get("/crm/v8/org").json()["org"][0]["time_zone"] == "America/Los_Angeles"
    assert client.get("/crm/v8/settings/roles").json()["roles"]
    assert client.get("/crm/v8/settings/profiles").json()["profiles"]
    views = client.get("/crm/v8/settings/custom_views?module=Leads").json()
    assert [view["system_name"] for view in views["custom_views"]] == [
        *("ALLVIEWS", "CONVERTED", None)
    ]


@pytest.mark.parametrize("path", ["/crm/v8/settings/x", "/crm/v9/org", "/crm/v1/org", "/"])
def test_other_urls_are_refused(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, code(answer)) == (404, "INVALID_URL_PATTERN")


def test_other_methods_are_refused(client: Client) -> None:
    answer = client.session.put(f"{client.server.url}/crm/v8/org")
    assert (answer.status_code, code(answer)) == (400, "INVALID_REQUEST_METHOD")


# Bulk read: the export


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


def test_a_job_goes_through_its_states(organisation: Organisation) -> None:
    with serving(organisation, job_seconds=10, parallel_jobs=1) as client:
        first, second = client.start(leads()), client.start(leads())
        states = []
        for _ in range(11):
            states.append(client.details(first)["state"])
            assert "result" in client.details(first) or states[-1] != "COMPLETED"
            organisation.advance(SECOND)
        assert states == ["ADDED", "QUEUED", *["IN PROGRESS"] * 8, "COMPLETED"]
        assert client.details(second)["state"] == "QUEUED"
        organisation.advance(9 * SECOND)
        assert client.details(second)["state"] == "COMPLETED"


def test_a_result_is_refused_before_its_time_and_after_a_day(organisation: Organisation) -> None:
    with serving(organisation, job_seconds=10) as client:
        job_id = client.start(leads())
        assert client.download(job_id).status_code == 400
        organisation.advance(timedelta(seconds=10))
        assert client.download(job_id).status_code == 200
        organisation.advance(timedelta(days=1))
        client.session.headers["Authorization"] = (
            f"Zoho-oauthtoken {client.token().json()['access_token']}"
        )
        assert code(client.download(job_id)) == "RESOURCE_NOT_FOUND"


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


def test_page_numbers_read_live_data(client: Client, organisation: Organisation) -> None:
    first = client.start(leads(page=1), "v3")
    before = [row for row in (client.details(first, "v3"), *client.rows(first)) if "Id" in row]
    organisation.delete("Leads", before[0]["Id"])
    second = client.start(leads(page=2), "v3")
    client.details(second, "v3")
    assert "next_page_token" not in client.details(first, "v3")["result"]

    # The deletion shifted the second page by one: a record was never seen.
    ids = sorted(organisation.module("Leads").records, key=int)
    assert [row["Id"] for row in client.rows(second)] == ids[20:40]
    assert ids[19] not in {row["Id"] for row in before}


def test_a_token_chain_keeps_its_ids_and_reads_values_live(
    client: Client, organisation: Organisation
) -> None:
    first = client.start(leads(fields=["Company"]))
    result = client.details(first)["result"]
    seen = {row["Id"] for row in client.rows(first)}
    new_id = organisation.insert("Leads")[0]
    gone, changed, *_ = [
        record_id for record_id in organisation.module("Leads").records if record_id not in seen
    ]
    organisation.delete("Leads", gone)
    organisation.update("Leads", changed, Company="changed")

    rows = []
    while token := result.get("next_page_token"):
        job_id = client.start({"query": {"page_token": token}})
        result = client.details(job_id)["result"]
        rows += client.rows(job_id)

    found = {row["Id"]: row["Company"] for row in rows}
    assert found[changed] == "changed"
    assert seen | set(found) == set(organisation.module("Leads").records) - {new_id}


def test_a_page_token_is_stable_and_lives_a_day(client: Client, organisation: Organisation) -> None:
    job_id = client.start(leads())
    token = client.details(job_id)["result"]["next_page_token"]
    assert client.details(job_id)["result"]["next_page_token"] == token
    body = {"query": {"page_token": token}}
    pages = [client.start(body), client.start(body)]
    for page in pages:
        client.details(page)
    assert client.text(pages[0]) == client.text(pages[1])

    organisation.advance(timedelta(days=1))
    again = Client(client.server)
    with again.session:
        assert again.post(body).status_code == 400


def test_a_page_token_is_its_users_own(client: Client, organisation: Organisation) -> None:
    token = client.details(client.start(leads()))["result"]["next_page_token"]
    user_id = list(organisation.users.records)[1]
    other = Client(client.server, client.server.desk.grant(user_id=user_id))
    with other.session:
        assert other.post({"query": {"page_token": token}}).status_code == 400


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


def test_csv_style(organisation: Organisation) -> None:
    style = CsvStyle(
        id_column="id",
        shuffled=True,
        surplus_columns=("Extra",),
        booleans=("FALSE", "TRUE"),
        separator=",",
        bom=True,
        line_end="\n",
    )
    with serving(organisation, csv=style) as client:
        job_id = client.start(leads(fields=["Converted__s", "Company", "Interests"]))
        client.details(job_id)
        text = client.text(job_id)
    assert text.startswith("\ufeff")
    header, _, rest = text[1:].partition("\n")
    assert set(header.split(",")) == {"id", "Converted__s", "Company", "Interests", "Extra"}
    assert "FALSE" in rest
    assert "surplus" in rest


def test_meetings_as_ics(client: Client, organisation: Organisation) -> None:
    query = {"module": {"api_name": "Events"}}
    job_id = client.start({"query": query, "file_type": "ics"})
    assert client.details(job_id)["file_type"] == "ics"
    text = client.text(job_id)
    assert text.count("BEGIN:VEVENT") == len(organisation.module("Events").records) == 12
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "RRULE:" in text
    keys = re.findall(r"UID:(.*)\r\n(RECURRENCE-ID[:;].*\r\n)?", text)
    assert len(set(keys)) == 12
    assert len({uid for uid, _ in keys}) < 12
    read = [
        (str(event["UID"]), str(event.get("SUMMARY", "")))
        for event in icalendar.Calendar.from_ical(text).walk("VEVENT")
    ]
    truth = organisation.calendar_truth().values()
    assert sorted(read) == sorted((each["uid"], each["summary"] or "") for each in truth)
    zones = set(re.findall(r"TZID=([^:]+):", text))
    assert zones
    assert zones == set(re.findall(r"\r\nTZID:(.+)\r\n", text))
    with_fields = client.post({"query": {**query, "fields": ["Venue"]}, "file_type": "ics"})
    assert code(with_fields) == "QUERY_NOT_SUPPORTED"
    refused = client.post({**leads(), "file_type": "ics"})
    assert (refused.status_code, code(refused)) == (400, "MODULE_NOT_SUPPORTED")


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


# Bulk read: refusals


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "QUERY_NOT_SUPPORTED"),
        (leads(colour="red"), "QUERY_NOT_SUPPORTED"),
        ({**leads(), "extra": 1}, "REQUEST_BODY_NOT_SUPPORTED"),
        ({"query": {"module": "Leads"}}, "QUERY_NOT_SUPPORTED"),
        ({"query": {"module": {"api_name": "Nothing"}}}, "MODULE_NOT_AVAILABLE"),
        ({"query": {"module": {"api_name": "Notes"}}}, "MODULE_NOT_SUPPORTED"),
        ({"query": {"module": {"api_name": "Contact_Projects"}}}, "MODULE_NOT_SUPPORTED"),
        *(({"query": {"module": {"api_name": name}}}, "QUERY_NOT_SUPPORTED") for name in NOT_TEXT),
        *((leads(fields=[name]), "QUERY_NOT_SUPPORTED") for name in NOT_TEXT),
        *((leads(cvid=view), "CVID_NOT_SUPPORTED") for view in NOT_IDS),
        *((leads(page=page), "PAGE_NOT_SUPPORTED") for page in NOT_NUMBERS),
        *(({"query": {"page_token": token}}, "QUERY_NOT_SUPPORTED") for token in NOT_TEXT),
        *(({**leads(), "file_type": kind}, "REQUEST_BODY_NOT_SUPPORTED") for kind in NOT_TEXT),
        *((callback({"url": url, "method": "post"}), "INVALID_CALLBACK_URL") for url in NOT_URLS),
        *(
            (callback({"url": "https://x", "method": method}), "INVALID_CALLBACK_METHOD")
            for method in NOT_TEXT
        ),
        (leads(fields=["Nothing"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Id"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Owner.Nothing"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Company.Phone"]), "FIELD_NOT_AVAILABLE"),
        (leads(fields=["Mailing_Address"]), "FIELD_NOT_SUPPORTED"),
        (leads(fields=["Contract"]), "FIELD_NOT_SUPPORTED"),
        (leads(cvid="1"), "CVID_NOT_SUPPORTED"),
        (leads(page=0), "PAGE_NOT_SUPPORTED"),
        (leads(page=501), "PAGE_RANGE_EXCEEDED"),
        (leads(page=2), "PAGE_NOT_SUPPORTED"),
        ({**leads(), "callback": {"url": "ftp://x", "method": "post"}}, "INVALID_CALLBACK_URL"),
        ({**leads(), "callback": {"url": "https://x", "method": "get"}}, "INVALID_CALLBACK_METHOD"),
        ({**leads(), "file_type": "pdf"}, "REQUEST_BODY_NOT_SUPPORTED"),
        ({"query": {"page_token": "no such"}}, "INVALID_REQUEST"),
    ],
)
def test_requests_that_are_refused(client: Client, body: dict[str, Any], expected: str) -> None:
    answer = client.post(body)
    assert (answer.status_code, code(answer)) == (400, expected)
    assert client.server.jobs == []


def test_a_refused_field_is_named(client: Client) -> None:
    answer = client.post(
        {"query": {"module": {"api_name": "Custom_Projects"}, "fields": ["Address"]}}
    )
    assert answer.json()["data"][0]["details"]["api_name"] == "Address"


def test_a_page_beyond_the_last_is_refused_with_the_limit(client: Client) -> None:
    assert client.post(leads(page=501), "v4").json()["details"] == {"max_limit": 500}


def test_a_module_without_permission(client: Client) -> None:
    answer = client.post({"query": {"module": {"api_name": "Secret_Payroll"}}})
    assert (answer.status_code, code(answer)) == (403, "NO_PERMISSION")


@pytest.mark.parametrize(
    ("content", "media_type", "status", "expected"),
    [
        (json.dumps(leads()), "text/plain", 415, "MEDIA_TYPE_NOT_SUPPORTED"),
        ("", "application/json", 400, "REQUEST_BODY_IS_EMPTY"),
        ("{", "application/json; charset=utf-8", 400, "REQUEST_BODY_NOT_READABLE"),
        (b'{"\xff": 1}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ('{"query": NaN}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ('{"query": 1e999}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ('{"query": "\\ud800"}', "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
        ("[" * 100_000, "application/json", 400, "REQUEST_BODY_NOT_READABLE"),
    ],
)
def test_bodies_that_are_refused(
    client: Client, content: str | bytes, media_type: str, status: int, expected: str
) -> None:
    answer = client.session.post(
        f"{client.server.url}/crm/bulk/v8/read",
        data=content,
        headers={"Content-Type": media_type},
    )
    assert (answer.status_code, code(answer)) == (status, expected)


def test_version_2_names_modules_and_fields_directly(client: Client) -> None:
    criteria = {"api_name": "Last_Name", "comparator": "not_equal", "value": "${EMPTY}"}
    query = {"module": "Leads", "criteria": criteria}
    assert len(client.export(query, "v2")) == 45
    for wrong in (
        leads(),
        {"query": {"module": "Leads", "criteria": where("Last_Name", "equal", "x")}},
    ):
        assert client.post(wrong, "v2").status_code == 400
    assert client.post(leads(criteria=criteria)).status_code == 400


# Criteria


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ({}, "INVALID_CRITERIA"),
        ({"field": {"api_name": "Company"}}, "INVALID_CRITERIA"),
        ({**where("Company", "equal", "x"), "group": []}, "AMBIGUOUS_CRITERIA"),
        ({"group": [where("Company", "equal", "x")]}, "GROUP_OPERATOR_NOT_SUPPORTED"),
        (
            {"group": [where("Company", "equal", "x")], "group_operator": "xor"},
            "GROUP_OPERATOR_NOT_SUPPORTED",
        ),
        ({"group": [], "group_operator": "and"}, "INVALID_CRITERIA"),
        (
            {"group": [where("Company", "equal", "x")] * 26, "group_operator": "or"},
            "CRITERIA_LIMIT_EXCEEDED",
        ),
        (where("Nothing", "equal", "x"), "FIELD_IN_CRITERIA_NOT_AVAILABLE"),
        (where("Description", "equal", "x"), "FIELD_IN_CRITERIA_NOT_SUPPORTED"),
        (where("Contract", "equal", "x"), "FIELD_IN_CRITERIA_NOT_SUPPORTED"),
        (where("Company", "like", "x"), "FIELD_COMPARATOR_IN_CRITERIA_NOT_SUPPORTED"),
        (
            where("Company", "greater_than", "x"),
            "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (
            where("Email_Opt_Out", "not_equal", "true"),
            "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (
            where("No_of_Employees", "between", [1, 2]),
            "FIELD_AND_COMPARATOR_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        *(
            (where("Company", comparator, "x"), "FIELD_COMPARATOR_IN_CRITERIA_NOT_SUPPORTED")
            for comparator in NOT_TEXT
        ),
        *(
            ({"group": [where("Company", "equal", "x")], "group_operator": operator}, GROUP)
            for operator in NOT_TEXT
        ),
        *((where(name, "equal", "x"), "INVALID_CRITERIA") for name in NOT_TEXT),
        ({"field": [], "comparator": "equal", "value": "x"}, "INVALID_CRITERIA"),
        (where("Company", "equal", []), "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE"),
        (where("Company", "in", [[]]), "VALUE_TYPE_NOT_SUPPORTED"),
        (where("Company", "in", [{}]), "VALUE_TYPE_NOT_SUPPORTED"),
        (where("Company", "equal", {}), "VALUE_TYPE_NOT_SUPPORTED"),
        (where("Company", "in", "x"), "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE"),
        (where("Company", "equal", ["x"]), "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE"),
        (
            where("Modified_Time", "between", ["2024-01-01T00:00:00Z"]),
            "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (
            where("Modified_Time", "less_than", "${EMPTY}"),
            "COMPARATOR_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (where("Company", "equal", None), "VALUE_TYPE_NOT_SUPPORTED"),
        (where("Company", "equal", "x" * 256), "VALUE_LIMIT_EXCEEDED_IN_CRITERIA"),
        (
            where("Modified_Time", "greater_equal", "2024-01-01T00:00:00.000+00:00"),
            "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (
            where("Modified_Time", "greater_equal", "2024-01-01T00:00:00"),
            "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (
            where("First_Visited_On", "equal", "2024-02-30"),
            "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE",
        ),
        (where("No_of_Employees", "equal", "1.5"), "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE"),
        (where("Owner", "equal", "Patricia"), "FIELD_AND_VALUE_IN_CRITERIA_NOT_COMPATIBLE"),
    ],
)
def test_criteria_that_are_refused(client: Client, criteria: dict[str, Any], expected: str) -> None:
    answer = client.post(leads(criteria=criteria))
    assert (answer.status_code, code(answer)) == (400, expected)


def test_criteria_nested_too_deeply_are_refused(client: Client) -> None:
    criteria = where("Company", "equal", "x")
    for _ in range(100):
        criteria = {"group": [criteria], "group_operator": "and"}
    assert client.export(leads(criteria=criteria)["query"]) == []
    criteria = {"group": [criteria], "group_operator": "and"}
    answer = client.post(leads(criteria=criteria))
    assert (answer.status_code, code(answer)) == (400, "INVALID_CRITERIA")


def test_an_incompatible_comparator_comes_with_those_that_are(client: Client) -> None:
    answer = client.post(leads(criteria=where("Owner", "contains", "1")))
    details = answer.json()["data"][0]["details"]
    assert details["supported"] == ["equal", "not_equal", "in", "not_in"]


CRITERIA_RECORDS: list[dict[str, Any]] = [
    {"Name": "Alpha", "Size": 1, "On": True, "Day": date(2024, 1, 1), "Kinds": ["a"]},
    {"Name": "Beta", "Size": 2, "On": False, "Day": date(2024, 2, 1), "Kinds": ["b"]},
    {"Name": None, "Size": None, "On": None, "Day": None, "Kinds": []},
]


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        (where("Name", "equal", "alpha"), [0]),
        (where("Name", "not_equal", "Alpha"), [1, 2]),
        (where("Name", "equal", "${EMPTY}"), [2]),
        (where("Name", "not_equal", "${EMPTY}"), [0, 1]),
        (where("Name", "in", ["Alpha", "${EMPTY}"]), [0, 2]),
        (where("Name", "not_in", ["Alpha"]), [1, 2]),
        (where("Name", "contains", "et"), [1]),
        (where("Name", "not_contains", "et"), [0, 2]),
        (where("Name", "starts_with", "Al"), [0]),
        (where("Name", "ends_with", "a"), [0, 1]),
        (where("Size", "less_than", 2), [0]),
        (where("Size", "less_equal", "2"), [0, 1]),
        (where("Size", "greater_than", 1), [1]),
        (where("Size", "greater_equal", 1), [0, 1]),
        (where("On", "equal", "true"), [0]),
        (where("On", "equal", "false"), [1, 2]),
        (where("Day", "between", ["2024-01-01", "2024-01-31"]), [0]),
        (where("Day", "not_between", ["2024-01-01", "2024-01-31"]), [1, 2]),
        (where("Kinds", "contains", "b"), [1]),
        (where("Kinds", "equal", "${EMPTY}"), [2]),
        (
            {
                "group_operator": "or",
                "group": [
                    where("Size", "equal", 2),
                    {
                        "group_operator": "and",
                        "group": [where("Name", "equal", "Alpha"), where("On", "equal", "true")],
                    },
                ],
            },
            [0, 1],
        ),
    ],
)
def test_criteria_filter(criteria: dict[str, Any], expected: list[int]) -> None:
    organisation = Organisation.generate(only=[])
    organisation.add_module(
        Module.of(
            "Things",
            Field("Name", "text"),
            Field("Size", "integer"),
            Field("On", "boolean"),
            Field("Day", "date"),
            Field("Kinds", "multiselectpicklist"),
        )
    )
    ids = [organisation.insert("Things", values=values)[0] for values in CRITERIA_RECORDS]
    with serving(organisation) as client:
        rows = client.export({"module": {"api_name": "Things"}, "criteria": criteria})
    assert sorted(ids.index(row["Id"]) for row in rows) == expected


def test_criteria_reach_through_lookups(client: Client, organisation: Organisation) -> None:
    user_id, user = list(organisation.users.records.items())[1]
    criteria = where("Owner.last_name", "equal", user["last_name"])
    rows = client.export(leads(criteria=criteria, fields=["Owner"])["query"])
    assert rows
    assert {row["Owner"] for row in rows} == {user_id}


def test_modified_time_is_inclusive_in_any_offset(
    client: Client, organisation: Organisation
) -> None:
    (new_id,) = organisation.insert("Leads")
    criteria = where("Modified_Time", "greater_equal", "2025-06-01T14:00:00+02:00")
    rows = client.export(leads(criteria=criteria, fields=["Modified_Time"])["query"])
    assert rows == [{"Id": new_id, "Modified_Time": "2025-06-01T05:00:00-07:00"}]


# Limits and the log


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


def test_too_many_requests_at_once(organisation: Organisation) -> None:
    barrier = threading.Barrier(3, timeout=10)

    def wait(request: LoggedRequest) -> None:
        if request.path.startswith("/crm/v8/org"):
            barrier.wait()

    with serving(organisation, concurrent_requests=2, latency=0.2) as client:
        client.server.on_request = wait
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: client.get("/crm/v8/org"), range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
        assert client.server.peak_concurrency == 3


def test_credits_are_counted(client: Client, organisation: Organisation) -> None:
    organisation.delete("Leads", next(iter(organisation.module("Leads").records)))
    job_id = client.start(leads())
    assert client.server.credits == 50
    client.details(job_id)
    client.download(job_id)
    assert client.server.credits == 52
    client.get("/crm/v8/Leads/deleted")
    client.get("/crm/v8/Leads/actions/count")
    assert client.server.credits == 55


def test_requests_are_logged_and_announced(client: Client) -> None:
    heard: list[LoggedRequest] = []
    client.server.on_request = heard.append
    client.post(leads(fields=["Company"]))
    (logged,) = client.server.requests_matching("POST", r"/read$")
    assert heard == [logged]
    assert logged.json["query"]["fields"] == ["Company"]
    assert logged.headers["authorization"].endswith(client.access_token)
    assert logged.status == 201


# Deleted records, cheap looks


def test_deleted_records_are_listed(client: Client, organisation: Organisation) -> None:
    first, second, third, *_ = organisation.module("Leads").records
    organisation.delete("Leads", first)
    organisation.advance(SECOND)
    organisation.delete("Leads", second, permanent=True)
    organisation.delete("Leads", third)
    organisation.restore("Leads", third)

    answer = client.get("/crm/v8/Leads/deleted?type=all&per_page=1").json()
    assert [(row["id"], row["type"]) for row in answer["data"]] == [(second, "permanent")]
    assert answer["data"][0]["deleted_time"] == "2025-06-01T05:00:01-07:00"
    assert answer["info"]["more_records"] is True
    recycled = client.get("/crm/v8/Leads/deleted?type=recycle").json()["data"]
    assert [row["id"] for row in recycled] == [first]
    for per_page in ("201", "0", "x", "9" * 5000, "%D9%A1"):
        assert client.get(f"/crm/v8/Leads/deleted?per_page={per_page}").status_code == 400

    since = {"If-Modified-Since": "2025-06-01T12:00:01+00:00"}
    assert len(client.get("/crm/v8/Leads/deleted", **since).json()["data"]) == 1
    since = {"If-Modified-Since": "2025-06-01T12:00:02+00:00"}
    assert client.get("/crm/v8/Leads/deleted", **since).status_code == 304
    assert client.get("/crm/v8/Contacts/deleted").status_code == 204


def test_the_recycle_bin_is_emptied_after_sixty_days(organisation: Organisation) -> None:
    first, second, *_ = organisation.module("Leads").records
    organisation.delete("Leads", first)
    organisation.delete("Leads", second, permanent=True)
    organisation.advance(timedelta(days=61))
    assert [row.id for row in organisation.deleted("Leads")] == [second]
    organisation.advance(timedelta(days=60))
    assert organisation.deleted("Leads") == []


def test_a_cheap_look(client: Client, organisation: Organisation) -> None:
    look = "/crm/v8/Leads?fields=id&per_page=1&converted=both&approved=both"
    since = {"If-Modified-Since": "2025-06-01T11:59:59+00:00"}
    assert client.get(look, **since).status_code == 304
    (new_id,) = organisation.insert("Leads")
    assert client.get(look, **since).json()["data"] == [{"id": new_id}]
    assert client.get("/crm/v8/Leads/actions/count").json() == {"count": 46}
    assert client.get("/crm/v8/Leads").status_code == 400


@pytest.mark.parametrize(
    ("criteria", "expected"),
    [
        ("(Last_Name:equals:Boyle\\, Esq.)", 1),
        ("((Last_Name:equals:Boyle\\, Esq.)or(Company:in:Zylker,Other \\(Ltd\\)))", 2),
        ("((Last_Name:starts_with:Boyle)and(Modified_Time:greater_equal:2025-06-01T12:00:00Z))", 1),
        ("(Last_Name:starts_with:Nobody)", 0),
    ],
)
def test_counts_by_criteria(
    client: Client, organisation: Organisation, criteria: str, expected: int
) -> None:
    organisation.insert("Leads", values={"Last_Name": "Boyle, Esq.", "Company": "x"})
    organisation.insert("Leads", values={"Last_Name": "Doe", "Company": "Other (Ltd)"})
    path = f"{client.server.url}/crm/v8/Leads/actions/count"
    answer = client.session.get(path, params={"criteria": criteria})
    assert answer.json() == {"count": expected}


@pytest.mark.parametrize(
    "criteria",
    ["", "x", "(" * 2000, "((A:equals:b)", "((A:equals:b)and(B:equals:c)or(C:equals:d))"],
)
def test_malformed_search_criteria(client: Client, criteria: str) -> None:
    path = f"{client.server.url}/crm/v8/Leads/actions/count"
    answer = client.session.get(path, params={"criteria": criteria})
    assert (answer.status_code, code(answer)) == (400, "INVALID_QUERY")


def test_converted_leads_are_exported_and_not_listed(
    client: Client, organisation: Organisation
) -> None:
    converted = {
        record_id
        for record_id, record in organisation.module("Leads").records.items()
        if record["$converted"]
    }
    assert converted
    rows = client.export(leads(fields=["$converted"])["query"])
    assert {row["Id"] for row in rows if row["$converted"] == "true"} == converted
    listed = client.get("/crm/v8/Leads?fields=id").json()["data"]
    assert not converted & {row["id"] for row in listed}


# Faults


@pytest.mark.parametrize("kind", ["reset", "lost", "truncate"])
def test_connections_break(client: Client, kind: Any) -> None:
    job_id = client.start(leads())
    client.details(job_id)
    client.server.faults.add(Fault(kind=kind, path="/result$"))
    with pytest.raises(requests.RequestException):
        client.download(job_id)
    assert client.download(job_id).status_code == 200


def test_a_lost_answer_is_of_a_request_that_was_handled(client: Client) -> None:
    for kind, jobs in (("reset", 0), ("lost", 1)):
        client.server.faults.add(Fault(kind=kind, method="POST", path="/read$"))  # type: ignore[arg-type]
        with pytest.raises(requests.ConnectionError):
            client.post(leads())
        assert len(client.server.jobs) == jobs


def test_the_server_stops_while_it_answers(organisation: Organisation) -> None:
    arrived = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with serving(organisation) as client:
            client.server.faults.add(Fault(kind="delay", seconds=3600, path="/org$"))
            client.server.on_request = lambda _: arrived.set()
            answer = pool.submit(requests.get, f"{client.server.url}/crm/v8/org", timeout=60)
            assert arrived.wait(10)
        with pytest.raises(requests.ConnectionError):
            answer.result()


def test_a_corrupt_zip(client: Client) -> None:
    job_id = client.start(leads())
    client.details(job_id)
    client.server.faults.add(Fault(kind="corrupt"))
    damaged, whole = client.download(job_id).content, client.download(job_id).content
    assert len(damaged) == len(whole)
    assert damaged != whole


def test_answers_are_replaced(client: Client) -> None:
    client.server.faults.add(
        too_many_requests(path="/org$", skip=1, headers={"Retry-After": "7"}),
        Fault(status=200, body="<html>", path="/users$"),
        Fault(kind="redirect", path="/roles$", location="https://elsewhere.example/"),
        Fault(kind="vanish"),
    )
    assert client.get("/crm/v8/org").status_code == 200
    limited = client.get("/crm/v8/org")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert client.get("/crm/v8/org").status_code == 200
    assert client.get("/crm/v8/users").text == "<html>"
    url = f"{client.server.url}/crm/v8/settings/roles"
    moved = client.session.get(url, allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (302, "https://elsewhere.example/")
    assert client.download("1").status_code == 400


def test_jobs_go_wrong(client: Client) -> None:
    faults = client.server.faults
    faults.add(Fault(kind="job_failure", module="Contacts"), Fault(kind="job_stuck", polls=2))
    stuck = client.start(leads())
    failed = client.start({"query": {"module": {"api_name": "Contacts"}}})
    fine = client.start(leads())

    states = [client.details(stuck)["state"] for _ in range(3)]
    assert states == ["IN PROGRESS", "IN PROGRESS", "COMPLETED"]
    details = client.details(failed)
    assert details["state"] == "FAILURE"
    assert details["result"]["error_message"]["code"] == "INTERNAL_SERVER_ERROR"
    assert client.download(failed).status_code == 400
    assert client.details(fine)["state"] == "COMPLETED"


def test_result_files_go_wrong(client: Client) -> None:
    client.server.faults.add(
        Fault(kind="count_off_by", off_by=-1),
        Fault(kind="drop_column", column="Company"),
        Fault(kind="ragged_row"),
        Fault(kind="download_url", location="https://elsewhere.example/{job_id}"),
    )
    job_id = client.start(leads(fields=["Company", "Owner"]))
    result = client.details(job_id)["result"]
    assert result["count"] == 19
    assert result["download_url"] == f"https://elsewhere.example/{job_id}"
    lines = client.text(job_id).splitlines()
    assert lines[0] == "Id,Owner"
    assert sum(line.count(",") == 0 for line in lines) == 1


def test_random_faults_are_the_same_for_a_seed() -> None:
    def struck() -> list[str | None]:
        faults = RandomFaults(seed=5, rate=0.5)
        found = [faults.strike("GET", "/crm/v8/org") for _ in range(50)]
        return [f"{fault.kind} {fault.status}" if fault else None for fault in found]

    assert struck() == struck()
    assert 10 < sum(each is not None for each in struck()) < 40
    assert RandomFaults(seed=5, rate=1).strike("POST", "/oauth/v2/token") is None


# The organisation


def test_equal_seeds_give_equal_data() -> None:
    first, second = (Organisation.generate(seed=9).truth("Contacts") for _ in range(2))
    assert first == second
    assert first != Organisation.generate(seed=10).truth("Contacts")


def test_the_truth_has_the_types_of_the_tap(organisation: Organisation) -> None:
    record_id = next(iter(organisation.module("Leads").records))
    instant = datetime(2024, 7, 1, 12, tzinfo=timezone.utc)
    organisation.update(
        "Leads",
        record_id,
        Annual_Revenue=Decimal("0.10"),
        Legacy_Number=9_223_372_036_854_775_807,
        Interests=["Red", "Blue"],
        Tag=["a", "b"],
        Company="",
        Last_Activity_Time=instant,
    )
    truth = organisation.truth("Leads")[record_id]
    assert truth["id"] == record_id
    assert str(truth["Annual_Revenue"]) == "0.10"
    assert truth["Legacy_Number"] == "9223372036854775807"
    assert truth["Interests"] == "Red;Blue"
    assert truth["Tag"] == "a,b"
    assert truth["Company"] is None
    assert truth["Last_Activity_Time"] == "2024-07-01T12:00:00+00:00"
    assert "Contract" not in truth
    assert "Mailing_Address" not in truth
    listed = organisation.truth("Leads", ["Interests"], multiselect_separator=";")
    assert listed[record_id] == {"id": record_id, "Interests": ["Red", "Blue"]}


def test_formulas_change_without_modified_time(organisation: Organisation) -> None:
    (record_id,) = organisation.insert("Leads")
    organisation.advance(SECOND)

    def modified() -> Any:
        return organisation.module("Leads").records[record_id]["Modified_Time"]

    organisation.update("Leads", record_id, Days_Open=Decimal(3))
    assert modified() == NOON.replace(microsecond=0)
    organisation.update("Leads", record_id, Company="x")
    assert modified() == NOON.replace(microsecond=0) + SECOND


def test_the_clock(client: Client, organisation: Organisation) -> None:
    assert organisation.now() == NOON
    assert client.get("/crm/v8/org").headers["Date"] == "Sun, 01 Jun 2025 12:00:00 GMT"
    ahead = Organisation.generate(only=[], clock_offset=timedelta(minutes=10))
    away = ahead.now() - datetime.now(timezone.utc)
    assert timedelta(minutes=9) < away <= timedelta(minutes=10)


def test_crafted_views_and_omitted_records(organisation: Organisation) -> None:
    module = organisation.module("DealHistory")
    module.omitted.add(next(iter(module.records)))
    module.custom_views.append(CustomView(id="77", name="Mine"))
    with serving(organisation) as client:
        rows = client.export({"module": {"api_name": "DealHistory"}, "cvid": "77"})
        assert client.get("/crm/v8/DealHistory/actions/count").json()["count"] == len(rows) + 1
    assert {row["Id"] for row in rows} == set(organisation.truth("DealHistory"))


def test_bulk_write_results(organisation: Organisation) -> None:
    child = BulkWriteJob(
        module="Quoted_Items", columns=("Quantity",), rows=[("2", "ADDED", "7", "")]
    )
    job = BulkWriteJob(
        module="Leads",
        columns=("Last_Name", "Email", "Company"),
        rows=[("Boyle", "b@example.com", "Zylker", "ADDED", "123", "")],
        looks=1,
        children=[child],
    )
    job_id = organisation.add_bulk_write_job(job)
    with serving(organisation) as client:
        assert code(client.get(f"/crm/bulk/v8/write/{job_id}")) == "OAUTH_SCOPE_MISMATCH"
    with serving(organisation, scopes={"ZohoCRM.bulk.CREATE"}) as client:
        running = client.get(f"/crm/bulk/v8/write/{job_id}").json()
        assert (running["status"], running["result"]) == ("IN PROGRESS", None)
        details = client.get(f"/crm/bulk/v8/write/{job_id}").json()
        assert "data" not in details
        assert [each["file"]["added_count"] for each in details["resource"]] == [1, 1]
        answer = client.session.get(details["result"]["download_url"])
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["Leads-bulkwrite.csv", "Quoted_Items-bulkwrite.csv"]
        text = archive.read("Leads-bulkwrite.csv").decode()
    assert re.match(r"Last_Name,Email,Company,STATUS,RECORD_ID,ERRORS\r\nBoyle", text)


def test_it_runs_by_hand(tmp_path: Path) -> None:
    config_file = tmp_path / "config.json"
    command = [sys.executable, "-m", "local_zoho_crm", "--size", "Leads=3", "--only", "Leads"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [*command, "--write-config", str(config_file)],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        assert "Zoho CRM is at" in process.stderr.readline()
        config = json.loads(config_file.read_text())
        form = {key: config[key] for key in ("client_id", "client_secret", "refresh_token")}
        url = f"{config['accounts_url']}/oauth/v2/token"
        answer = requests.post(url, data={"grant_type": "refresh_token", **form}, timeout=10)
        assert "access_token" in answer.json()
        process.terminate()
        out, log = process.communicate(timeout=10)
    assert process.returncode == 0
    assert json.loads(out) == config
    assert log.splitlines()[0] == "POST /oauth/v2/token 200"
