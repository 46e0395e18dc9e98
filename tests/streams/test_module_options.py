"""Options of a module restrict and extend its query, combined with the bookmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import entry

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

START = "2024-01-01T00:00:00+00:00"


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(
        seed=51, only=["Leads", "Contacts", "Accounts"], sizes={"Leads": 80, "Contacts": 20}
    )


def web_or_large(record: dict[str, Any]) -> bool:
    employees = record["No_of_Employees"]
    return record["Lead_Source"] == "Web" or (employees is not None and employees > 8_000)


WEB_OR_LARGE = {
    "group_operator": "or",
    "group": [
        {"field": {"api_name": "Lead_Source"}, "comparator": "equal", "value": "Web"},
        {"field": {"api_name": "No_of_Employees"}, "comparator": "greater_than", "value": 8_000},
    ],
}


def in_old_form(criteria: dict[str, Any]) -> dict[str, Any]:
    """Return the criteria in the form of version 2."""
    if "group" in criteria:
        return {**criteria, "group": [in_old_form(each) for each in criteria["group"]]}
    rest = {key: value for key, value in criteria.items() if key != "field"}
    return {"api_name": criteria["field"]["api_name"], **rest}


@pytest.mark.parametrize(
    ("version", "criteria"),
    [("v8", WEB_OR_LARGE), ("v2", WEB_OR_LARGE), ("v2", in_old_form(WEB_OR_LARGE))],
    ids=["v8", "v2", "v2 in its own form"],
)
def test_criteria_and_start_date_both_hold(
    tap: TapCommand,
    serve: Serve,
    organisation: Organisation,
    version: str,
    criteria: dict[str, Any],
) -> None:
    server = serve(organisation)

    run = tap.sync(
        server,
        modules=["Leads"],
        api_version=version,
        start_date=START,
        module_options={"Leads": {"criteria": criteria}},
    )

    truth = organisation.truth("Leads")
    expected = {
        record_id: record
        for record_id, record in truth.items()
        if web_or_large(record) and record["Modified_Time"] >= START
    }
    assert run.by_id("Leads") == expected
    assert 0 < len(expected) < sum(map(web_or_large, truth.values())) < len(truth)


def test_criteria_alone_hold_for_a_first_run(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)

    run = tap.sync(server, modules=["Leads"], module_options={"Leads": {"criteria": WEB_OR_LARGE}})

    truth = organisation.truth("Leads")
    expected = {key: record for key, record in truth.items() if web_or_large(record)}
    assert run.by_id("Leads") == expected


def test_a_custom_view_narrows_its_module_only(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    (view,) = [
        each
        for each in organisation.module("Leads").custom_views
        if each.name == "Web, with an e-mail"
    ]

    run = tap.sync(server, start_date=START, module_options={"Leads": {"custom_view_id": view.id}})

    expected = {
        key: record
        for key, record in organisation.truth("Leads").items()
        if record["Lead_Source"] == "Web" and record["Email"] and record["Modified_Time"] >= START
    }
    assert run.by_id("Leads") == expected
    assert expected
    accounts = organisation.truth("Accounts")
    assert run.by_id("Accounts") == {
        key: record for key, record in accounts.items() if record["Modified_Time"] >= START
    }


def test_related_fields_come_from_the_parent_record(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    related = ["Account_Name.Phone", "Account_Name.Employees", "Owner.last_name"]
    options = {"Contacts": {"related_fields": related}}

    catalog = tap.discover(server, modules=["Contacts"], module_options=options)
    run = tap.sync(server, modules=["Contacts"], module_options=options)

    fields = [each.api_name for each in organisation.module("Contacts").exportable_fields]
    truth = organisation.truth("Contacts", [*fields, *related])
    assert run.by_id("Contacts") == truth
    assert any(record["Account_Name__Employees"] for record in truth.values())
    assert any(record["Owner__last_name"] for record in truth.values())
    properties = entry(catalog, "Contacts")["schema"]["properties"]
    assert properties["Account_Name__Employees"]["type"] == ["integer", "null"]
    assert properties["Account_Name__Employees"]["title"] == "Account Name: Employees"
    assert properties["Owner__last_name"]["type"] == ["string", "null"]


def test_a_related_field_that_is_not_in_the_catalog_fails_its_stream(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    catalog = tap.discover(server, modules=["Contacts"])
    options = {"Contacts": {"related_fields": ["Account_Name.Phone"]}}

    run = tap.run(server, catalog=catalog, module_options=options)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("Contacts failed", "`Account_Name.Phone`", "Discover the catalog again")
    assert not server.jobs


def test_criteria_that_zoho_refuses_fail_their_stream_with_zohos_words(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    # Metadata calls it a text; only Zoho's response shows that it does not support criteria.
    criteria = {"field": {"api_name": "Mailing_Address"}, "comparator": "equal", "value": "x"}

    run = tap.run(server, module_options={"Leads": {"criteria": criteria}})

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "FIELD_IN_CRITERIA_NOT_SUPPORTED" in run.stderr
    assert "'api_name': 'Mailing_Address'" in run.stderr
    assert run.streams >= {"Accounts", "Contacts"}
    assert not run.records("Leads")


def test_every_job_names_the_callback(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=10)
    url = "https://hooks.example/zoho"

    tap.sync(server, modules=["Leads"], callback_url=url)

    assert len(server.jobs) == 8
    assert {str(job.callback) for job in server.jobs} == {str({"url": url, "method": "post"})}
