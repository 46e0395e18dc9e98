"""The admin page and API: what they show, change and refuse, and whom they answer."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests

from zoho_client import SECOND, leads, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_zoho_crm import Organisation
    from zoho_client import Client

PATHS = ("/_local/", "/_local/api/config", "/_local/api/modules")
MISSING = "5725767000000000000"


@pytest.fixture
def client(organisation: Organisation) -> Iterator[Client]:
    with serving(organisation, admin=True) as made:
        yield made


def send(client: Client, method: str, path: str, **options: Any) -> requests.Response:
    url = f"{client.server.url}/_local/{path}"
    return requests.request(method, url, timeout=10, allow_redirects=False, **options)


def api(client: Client, method: str, path: str, content: Any = None) -> requests.Response:
    return send(client, method, f"api/{path}", json=content)


def add(client: Client, module: str, **values: Any) -> str:
    answer = api(client, "POST", f"modules/{module}/records", values)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_it_is_off_unless_it_is_turned_on(organisation: Organisation) -> None:
    with serving(organisation) as client:
        for path in PATHS:
            answer = requests.get(client.server.url + path, timeout=10)
            assert (answer.status_code, answer.json()["code"]) == (404, "INVALID_URL_PATTERN")


def test_a_record_is_added_changed_and_deleted(client: Client, organisation: Organisation) -> None:
    record_id = add(client, "Leads", Last_Name="Miller", Company=None)
    record = organisation.module("Leads").records[record_id]
    assert (record["Last_Name"], record["Company"]) == ("Miller", None)
    assert record["Email"]

    organisation.advance(SECOND)
    path = f"modules/Leads/records/{record_id}"
    assert api(client, "PATCH", path, {"Last_Name": "Smith"}).status_code == 204
    changed = organisation.module("Leads").records[record_id]
    assert changed["Last_Name"] == "Smith"
    assert changed["Modified_Time"] == record["Modified_Time"] + SECOND
    exported = {row["Id"]: row["Last_Name"] for row in client.export(leads()["query"])}
    assert exported[record_id] == "Smith"

    assert api(client, "DELETE", path).status_code == 204
    assert record_id not in organisation.module("Leads").records
    assert [(row.id, row.type) for row in organisation.deleted("Leads")] == [(record_id, "recycle")]
    assert api(client, "DELETE", path).status_code == 404
    assert api(client, "DELETE", f"{path}?permanent=true").status_code == 204
    assert [row.type for row in organisation.deleted("Leads")] == ["permanent"]
    assert api(client, "DELETE", f"{path}?permanent=true").status_code == 404


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("Last_Name", "a = b", "a = b"),
        ("Last_Name", 5, "5"),
        ("Last_Name", "", None),
        ("No_of_Employees", "12", 12),
        ("No_of_Employees", -3, -3),
        ("Annual_Revenue", "1.10", Decimal("1.10")),
        ("Annual_Revenue", 1.1, Decimal("1.1")),
        ("Email_Opt_Out", "True", True),
        ("Email_Opt_Out", False, False),
        ("Tag", "vip;new", ["vip", "new"]),
        ("Tag", ["vip"], ["vip"]),
        (
            "Last_Activity_Time",
            "2025-01-02T03:04:05Z",
            datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
        ),
        (
            "Last_Activity_Time",
            "2025-01-02T03:04:05",
            datetime(2025, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-8))),
        ),
    ],
)
def test_values_get_the_type_of_their_field(
    client: Client, organisation: Organisation, name: str, given: Any, value: Any
) -> None:
    record_id = add(client, "Leads", **{name: given})

    assert organisation.module("Leads").records[record_id][name] == value


def test_dates_and_lookups(client: Client, organisation: Organisation) -> None:
    account = add(client, "Accounts")
    deal = add(client, "Deals", Closing_Date="2025-02-28", Account_Name=account)

    record = organisation.module("Deals").records[deal]
    assert (record["Closing_Date"], record["Account_Name"]) == (date(2025, 2, 28), account)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"Nothing": "x"}, "Leads has no field Nothing with a value."),
        ({"id": "1"}, "Leads has no field id with a value."),
        ({"No_of_Employees": "x"}, "No_of_Employees takes a value of the kind integer, not 'x'."),
        ({"No_of_Employees": True}, "No_of_Employees takes a value of the kind integer, not True."),
        (
            {"No_of_Employees": 2**63},
            f"No_of_Employees takes a value of the kind integer, not {2**63}.",
        ),
        ({"Annual_Revenue": "nan"}, "Annual_Revenue takes a value of the kind number, not 'nan'."),
        ({"Annual_Revenue": "x"}, "Annual_Revenue takes a value of the kind number, not 'x'."),
        (
            {"Email_Opt_Out": "maybe"},
            "Email_Opt_Out takes a value of the kind boolean, not 'maybe'.",
        ),
        (
            {"Last_Activity_Time": "now"},
            "Last_Activity_Time takes a value of the kind datetime, not 'now'.",
        ),
        ({"Last_Name": ["x"]}, "Last_Name takes a value of the kind text, not ['x']."),
        ({"Last_Name": "\ud800"}, "Last_Name takes a value of the kind text, not '\\ud800'."),
        ({"Tag": [1]}, "Tag takes a value of the kind list, not [1]."),
        ({"Owner": MISSING}, "Owner must be the id of a record in users."),
    ],
)
def test_what_cannot_be_a_value(
    client: Client, organisation: Organisation, values: Any, problem: str
) -> None:
    before = dict(organisation.module("Leads").records)

    answer = api(client, "POST", "modules/Leads/records", values)

    assert (answer.status_code, answer.json()) == (400, {"error": problem})
    assert organisation.module("Leads").records == before


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_bodies_that_are_not_json_objects(client: Client, body: bytes) -> None:
    for path in ("modules/Leads/records", "codes"):
        assert send(client, "POST", f"api/{path}", data=body).status_code == 400


def test_unknown_modules_and_records(client: Client) -> None:
    for method, path in [
        ("GET", "modules/Nothing/records"),
        ("POST", "modules/Nothing/records"),
        ("PATCH", f"modules/Leads/records/{MISSING}"),
        ("DELETE", f"modules/Leads/records/{MISSING}"),
    ]:
        assert api(client, method, path, {}).status_code == 404
    assert send(client, "GET", f"modules/Leads/records/{MISSING}").status_code == 404


def test_a_code_can_be_exchanged(client: Client) -> None:
    code = api(client, "POST", "codes").json()["code"]
    scoped = api(client, "POST", "codes", {"scopes": "ZohoCRM.org.READ"}).json()["code"]

    grant = {"grant_type": "authorization_code", "refresh_token": ""}
    assert client.token(**grant, code=code).json()["refresh_token"]
    assert client.token(**grant, code=scoped).json()["scope"] == "ZohoCRM.org.READ"
    assert api(client, "POST", "codes", {"scopes": ["x"]}).status_code == 400


def test_the_config_raises_the_taps_limit_on_downloads(organisation: Organisation) -> None:
    limits = {}
    for limit in (None, 25):
        with serving(organisation, admin=True, downloads_per_minute=limit) as client:
            config = api(client, "GET", "config").json()
            limits[limit] = config.pop("downloads_per_minute")
            assert config == client.server.tap_config()

    assert limits == {None: 6000, 25: 25}


def test_it_costs_nothing_and_is_not_logged(client: Client) -> None:
    before = (client.server.credits, len(client.server.requests))
    for path in PATHS:
        assert requests.get(client.server.url + path, timeout=10).status_code == 200

    assert (client.server.credits, len(client.server.requests)) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:80"},
        {"Host": "["},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_pages_are_refused(
    client: Client, organisation: Organisation, headers: dict[str, str]
) -> None:
    before = dict(organisation.module("Leads").records)

    for path in PATHS:
        answer = requests.get(client.server.url + path, headers=headers, timeout=10)
        assert (answer.status_code, "refresh" in answer.text) == (403, False)
    for path in ("modules/Leads/records", "api/modules/Leads/records"):
        assert send(client, "POST", path, headers=headers).status_code == 403
    assert organisation.module("Leads").records == before


def test_the_pages_forms_work(client: Client, organisation: Organisation) -> None:
    own = {"Origin": client.server.url, "Sec-Fetch-Site": "same-origin"}
    form = {"values": " Last_Name = <b>&\r\n\r\nCompany=\r\n"}

    added = send(client, "POST", "modules/Leads/records", data=form, headers=own)
    assert added.status_code == 303
    path = added.headers["Location"].removeprefix("/_local/")
    record_id = path.rpartition("/")[2]
    assert organisation.module("Leads").records[record_id]["Last_Name"] == "<b>&"
    assert organisation.module("Leads").records[record_id]["Company"] is None
    page = send(client, "GET", path).text
    assert "<td>&lt;b&gt;&amp;</td>" in page

    changed = send(client, "POST", path, data={"values": "Last_Name=Jo"}, headers=own)
    assert (changed.status_code, changed.headers["Location"]) == (303, f"/_local/{path}")
    assert organisation.module("Leads").records[record_id]["Last_Name"] == "Jo"
    assert f">{record_id}</a></td><td>Jo" in send(client, "GET", "modules/Leads").text

    deleted = send(client, "POST", f"{path}/delete", data={"permanent": "true"}, headers=own)
    assert (deleted.status_code, deleted.headers["Location"]) == (303, "/_local/modules/Leads")
    assert [row.type for row in organisation.deleted("Leads")] == ["permanent"]


def test_a_form_that_is_refused_says_why(client: Client) -> None:
    answer = send(client, "POST", "modules/Leads/records", data={"values": "<x>"})

    assert answer.status_code == 400
    assert "&#x27;&lt;x&gt;&#x27; is not Field=value." in answer.text


def test_the_first_page_shows_modules_config_and_requests(client: Client) -> None:
    page = send(client, "GET", "").text

    assert '<a href="/_local/modules/Leads">Leads</a></td><td class="number">45</td>' in page
    assert client.server.tap_config()["refresh_token"] in page
    assert "POST /oauth/v2/token 200" in page
    code = send(client, "POST", "codes", data={"scopes": ""}).text
    assert "1000.code-" in code


def test_every_module_and_record_has_a_page(client: Client, organisation: Organisation) -> None:
    for module in organisation.modules.values():
        assert send(client, "GET", f"modules/{module.api_name}").status_code == 200
        for record_id in list(module.records)[:2]:
            path = f"modules/{module.api_name}/records/{record_id}"
            assert send(client, "GET", path).status_code == 200
