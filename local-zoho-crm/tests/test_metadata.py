"""Modules, fields, people, the organisation and custom views, as metadata calls list them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoho_client import code

if TYPE_CHECKING:
    from zoho_client import Client


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
