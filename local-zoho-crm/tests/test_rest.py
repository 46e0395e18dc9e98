"""Deleted records, record lists and counts."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from zoho_client import SECOND, Client, leads

if TYPE_CHECKING:
    from conftest import Serve
    from local_zoho_crm import Organisation


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
    # Of what is deleted permanently, Zoho knows neither what it was nor who deleted it.
    assert answer["data"][0]["display_name"] is answer["data"][0]["deleted_by"] is None
    assert answer["info"]["more_records"] is True
    recycled = client.get("/crm/v8/Leads/deleted?type=recycle").json()["data"]
    assert [row["id"] for row in recycled] == [first]
    assert recycled[0]["deleted_by"]["id"] == organisation.current_user["id"]
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


def test_counts_lag_behind(organisation: Organisation, serve: Serve) -> None:
    server = serve(organisation, count_lag=timedelta(minutes=10))
    client = Client(server)
    organisation.insert("Leads", count=2)

    def count() -> int:
        return int(client.get("/crm/v8/Leads/actions/count").json()["count"])

    assert count() == 45
    organisation.advance(timedelta(minutes=9))
    assert count() == 45
    organisation.advance(timedelta(minutes=1))
    assert count() == 47


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


def test_rows_that_left_a_subform_are_listed_nowhere(
    client: Client, organisation: Organisation
) -> None:
    rows = organisation.module("Quoted_Items").records
    organisation.delete("Quoted_Items", next(iter(rows)))
    answer = client.get("/crm/v8/Quoted_Items/deleted")
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_MODULE"
    assert organisation.deleted("Quoted_Items") == []
    assert client.get("/crm/v8/Quoted_Items/actions/count").json()["code"] == "INVALID_MODULE"
