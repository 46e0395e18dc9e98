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
