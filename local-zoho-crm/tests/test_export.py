"""The form of a CSV file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_zoho_crm import CsvStyle
from zoho_client import leads, serving

if TYPE_CHECKING:
    from local_zoho_crm import Organisation


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


def test_forms_of_values_and_calendars(organisation: Organisation) -> None:
    style = CsvStyle(numbers=",.2f", percents="{}%", offsets="Z", ics_head=("X-WR-TIMEZONE:UTC",))
    with serving(organisation, csv=style, no_content=204) as client:
        rows = client.export(leads(fields=["Annual_Revenue", "Discount", "Created_Time"])["query"])
        job_id = client.start({"query": {"module": {"api_name": "Events"}}, "file_type": "ics"})
        client.details(job_id)
        calendar = client.text(job_id)
        since = {"If-Modified-Since": "2099-01-01T00:00:00+00:00"}
        unchanged = client.get("/crm/v8/Leads?fields=id", **since)
    assert any("," in row["Annual_Revenue"] for row in rows)
    assert {row["Discount"][-4:-3] + row["Discount"][-1:] for row in rows} == {".%", ""}
    assert {row["Created_Time"][-1] for row in rows} == {"Z"}
    assert calendar.startswith("BEGIN:VCALENDAR\r\nX-WR-TIMEZONE:UTC\r\nBEGIN:")
    assert unchanged.status_code == 204
