"""Criteria in a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoho_client import code

if TYPE_CHECKING:
    from local_zoho_crm import Organisation
    from zoho_client import Client


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
