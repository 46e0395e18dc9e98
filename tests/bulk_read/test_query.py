"""Queries select the right records in every API version's form, as Zoho evaluates them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_zoho_crm import Organisation
from local_zoho_crm.query import read_request
from tap_zoho_bulk.bulk_read.query import BulkReadQuery

if TYPE_CHECKING:
    from collections.abc import Callable

    Record = dict[str, Any]
    Criterion = tuple[dict[str, Any], Callable[[Record], bool]]
    """Criteria as Zoho takes them, and as Python does."""

VERSIONS = ["v2", "v3", "v4", "v5", "v6", "v7", "v8"]
LEADS = Organisation.generate(seed=71, only=["Leads"], sizes={"Leads": 120}, empty=0.2)
RECORDS = LEADS.module("Leads").records
INSTANT = datetime(2024, 3, 10, 9, 59, 59, tzinfo=timezone.utc)


def _named(field: str, *, legacy: bool) -> dict[str, Any]:
    return {"api_name": field} if legacy else {"field": {"api_name": field}}


def _text(field: str, value: str, *, legacy: bool) -> Criterion:
    wanted = None if value == "${EMPTY}" else value
    criteria = {**_named(field, legacy=legacy), "comparator": "equal", "value": value}
    return criteria, lambda record: record[field] == wanted


def _more(field: str, value: int, *, legacy: bool) -> Criterion:
    criteria = {**_named(field, legacy=legacy), "comparator": "greater_than", "value": value}
    return criteria, lambda record: record[field] is not None and record[field] > value


def _true(field: str, value: bool, *, legacy: bool) -> Criterion:  # noqa: FBT001
    criteria = {**_named(field, legacy=legacy), "comparator": "equal", "value": value}
    return criteria, lambda record: bool(record[field]) == value


def _between(first: int, span: int, *, legacy: bool) -> Criterion:
    begin = INSTANT + timedelta(days=first)
    end = begin + timedelta(days=span)
    criteria = {
        **_named("Last_Activity_Time", legacy=legacy),
        "comparator": "between",
        "value": [begin.isoformat(), end.isoformat()],
    }
    return (
        criteria,
        lambda record: (
            record["Last_Activity_Time"] is not None
            and begin <= record["Last_Activity_Time"] <= end
        ),
    )


def _group(parts: list[Criterion], operator: str) -> Criterion:
    criteria = {"group": [criteria for criteria, _ in parts], "group_operator": operator}
    tests = [test for _, test in parts]
    several = all if operator == "and" else any
    return criteria, lambda record: several(test(record) for test in tests)


old_form = st.booleans()
leaves: st.SearchStrategy[Criterion] = st.one_of(
    st.builds(
        lambda value, legacy: _text("Lead_Source", value, legacy=legacy),
        st.sampled_from(["Web", "Partner", "Nobody", "${EMPTY}"]),
        old_form,
    ),
    st.builds(
        lambda value, legacy: _more("No_of_Employees", value, legacy=legacy),
        st.integers(-10, 10_000),
        old_form,
    ),
    st.builds(
        lambda value, legacy: _true("Email_Opt_Out", value, legacy=legacy), st.booleans(), old_form
    ),
    st.builds(
        lambda first, span, legacy: _between(first, span, legacy=legacy),
        st.integers(-500, 400),
        st.integers(0, 400),
        old_form,
    ),
)
criteria = st.recursive(
    leaves,
    lambda parts: st.builds(
        _group, st.lists(parts, min_size=1, max_size=3), st.sampled_from(["and", "or"])
    ),
    max_leaves=8,
)
instants = st.builds(
    lambda seconds, zone: (INSTANT + seconds).astimezone(timezone(zone)),
    st.one_of(
        st.timedeltas(timedelta(days=-500), timedelta(days=500)),
        st.sampled_from([record["Modified_Time"] - INSTANT for record in RECORDS.values()]),
    ),
    st.integers(-14, 14).map(lambda hours: timedelta(hours=hours)),
)


def query(**options: Any) -> BulkReadQuery:
    return BulkReadQuery(module="Leads", fields=("Last_Name", "Modified_Time"), **options)


def kept(body: dict[str, Any], version: str) -> set[str]:
    """Return the ids that Zoho would export, and check that it accepts the request."""
    number = int(version[1:])
    request = read_request(
        json.dumps(body).encode(), LEADS, version=number, page_tokens=number >= 7
    )
    assert request.query is not None
    return {key for key, record in RECORDS.items() if request.query.keep(record)}


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=40, deadline=None)
@given(wanted=st.none() | criteria, since=st.none() | instants)
def test_criteria_and_bookmark_are_joined_as_both_say(
    version: str, wanted: Criterion | None, since: datetime | None
) -> None:
    given_criteria, test = wanted or (None, lambda _: True)
    made = query(
        criteria=given_criteria,
        replication_key="Modified_Time",
        since=since,
        api_version=version,
    )

    # Zoho does not support fractions of a second: cutting them off only reads a little more.
    begin = since.replace(microsecond=0) if since else INSTANT.min.replace(tzinfo=timezone.utc)
    expected = {
        key for key, record in RECORDS.items() if test(record) and record["Modified_Time"] >= begin
    }
    assert kept(made.body(), version) == expected


def test_there_is_a_lower_bound_only() -> None:
    made = query(replication_key="Modified_Time", since=INSTANT)

    assert made.body()["query"]["criteria"] == {
        "field": {"api_name": "Modified_Time"},
        "comparator": "greater_equal",
        "value": "2024-03-10T09:59:59+00:00",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_body_has_the_versions_form(version: str) -> None:
    made = query(api_version=version, custom_view_id="42")

    body = made.body()["query"]

    assert body["module"] == ("Leads" if version == "v2" else {"api_name": "Leads"})
    assert body["fields"] == ["Last_Name", "Modified_Time"]
    assert body["cvid"] == "42"
    assert made.path == f"/crm/bulk/{version}/read"
    numbered = version not in {"v7", "v8"}
    assert body.get("page") == (1 if numbered else None)
    assert made.body(3)["query"]["page"] == 3
    assert made.body(3, "token") == {"query": {"page_token": "token"}}


def test_a_callback_goes_with_every_page() -> None:
    made = query(callback_url="https://hooks.example/zoho")

    for body in (made.body(), made.body(2), made.body(2, "token")):
        assert body["callback"] == {"url": "https://hooks.example/zoho", "method": "post"}


def test_the_fingerprint_tells_queries_apart_and_nothing_else() -> None:
    one = query(replication_key="Modified_Time", since=INSTANT, criteria={"a": {"b": 1}})
    same = query(
        replication_key="Modified_Time",
        since=INSTANT.astimezone(timezone(timedelta(hours=-8))),
        criteria={"a": {"b": 1}},
    )
    others = [
        replace(one, module="Contacts"),
        replace(one, fields=("Last_Name",)),
        replace(one, since=INSTANT + timedelta(seconds=1)),
        replace(one, since=None),
        replace(one, criteria=None),
        replace(one, custom_view_id="42"),
        replace(one, api_version="v7"),
    ]

    assert one.fingerprint == same.fingerprint
    assert len({each.fingerprint for each in [one, *others]}) == 1 + len(others)


def test_rejected_fields_are_left_out_in_order() -> None:
    made = BulkReadQuery(module="Leads", fields=("A", "B", "C", "D"))

    assert made.without(("C", "A")).fields == ("B", "D")


@pytest.mark.parametrize("version", VERSIONS)
def test_the_file_type_stands_beside_the_query_and_not_beside_a_token(version: str) -> None:
    organisation = Organisation.generate(seed=1, only=["Events"])
    tokens = version in {"v7", "v8"}
    query = BulkReadQuery(
        "Events", (), api_version=version, file_type="ics", callback_url="https://x.example/"
    )

    for page in (1, 2):
        body = query.body(page, "a token" if tokens and page > 1 else None)
        asked = read_request(
            json.dumps(body).encode(), organisation, version=int(version[1:]), page_tokens=tokens
        )
        if asked.query is not None:
            assert (asked.query.file_type, asked.query.page) == ("ics", page)
        else:
            assert (asked.page_token, tokens, page) == ("a token", True, 2)
    assert query.fingerprint != replace(query, file_type="csv").fingerprint
