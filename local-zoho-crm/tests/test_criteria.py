"""Criteria of a query: which are refused, and which records match the others."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Field, Module, Organisation
from zoho_client import NOT_TEXT, code, leads, serving, where

if TYPE_CHECKING:
    from zoho_client import Client

GROUP = "GROUP_OPERATOR_NOT_SUPPORTED"


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
