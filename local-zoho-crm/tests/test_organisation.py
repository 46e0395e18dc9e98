"""The organisation: its records, its clock."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from local_zoho_crm import CustomView, Organisation
from zoho_client import NOON, SECOND, serving

if TYPE_CHECKING:
    from zoho_client import Client


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
