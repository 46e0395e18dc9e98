"""Currencies, territories, pipelines, contact roles, and records listed in pages by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoho_client import code

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from zoho_client import Client


def test_lists_of_the_company(client: Client, organisation: Organisation) -> None:
    lists = organisation.lists
    assert client.get("/crm/v8/org/currencies").json()["currencies"] == lists.currencies
    assert client.get("/crm/v8/settings/territories").json()["territories"] == lists.territories
    assert client.get("/crm/v8/Contacts/roles").json()["contact_roles"] == lists.contact_roles
    for territory, ids in lists.territory_users.items():
        users = client.get(f"/crm/v8/settings/territories/{territory}/users").json()["users"]
        assert [user["id"] for user in users] == ids
    layouts = client.get("/crm/v8/settings/layouts?module=Deals").json()["layouts"]
    for layout in layouts:
        answer = client.get(f"/crm/v8/settings/pipeline?layout_id={layout['id']}")
        assert answer.json()["pipeline"] == lists.pipelines[layout["id"]]
    assert code(client.get("/crm/v8/settings/pipeline")) == "REQUIRED_PARAM_MISSING"
    assert code(client.get("/crm/v8/settings/pipeline?layout_id=1")) == "INVALID_DATA"
    assert code(client.get("/crm/v8/settings/territories/1/users")) == "INVALID_DATA"


def test_a_company_without_the_features(client: Client, organisation: Organisation) -> None:
    organisation.lists.currencies = organisation.lists.territories = None
    refused = client.get("/crm/v8/org/currencies")
    assert (refused.status_code, code(refused)) == (403, "CURRENCIES_NOT_ENABLED")
    refused = client.get("/crm/v8/settings/territories")
    assert (refused.status_code, code(refused)) == (400, "FEATURE_NOT_ENABLED")


def test_a_token_is_a_place_in_the_list(client: Client, organisation: Organisation) -> None:
    """So a record that is deleted from an earlier page hides none."""
    path = "/crm/v8/Leads?fields=Last_Name&per_page=4&sort_by=Modified_Time&sort_order=asc"
    first = client.get(path).json()
    organisation.delete("Leads", first["data"][0]["id"])
    token = first["info"]["next_page_token"]
    second = client.get(f"{path}&page_token={token}").json()

    records = organisation.module("Leads").records.values()
    unconverted = [record for record in records if not record["$converted"]]
    unconverted.sort(key=lambda record: (record["Modified_Time"], int(record["id"])))
    assert [row["id"] for row in second["data"]] == [row["id"] for row in unconverted[3:7]]
    assert second["info"]["page"] == 2
    assert "next_page_token" not in client.get(path.replace("v8", "v2")).json()["info"]
    for wrong in (
        "&page_token=x",
        f"&page=2&page_token={token}",
        "&page=501",
        "&sort_by=Last_Name",
    ):
        assert client.get(path + wrong).status_code == 400
