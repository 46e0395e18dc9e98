"""The content of a correct export."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_zoho_crm import Organisation


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
