"""Converted leads are read with all others, are recognisable, and can be kept or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import Organisation
from tests.support.singer import entry, metadata, select

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import TapCommand

CONVERTED_TO = ["Converted_Date_Time", "Converted_Account", "Converted_Contact", "Converted_Deal"]


@pytest.fixture
def organisation() -> Organisation:
    only = ["Leads", "Accounts", "Contacts", "Deals"]
    return Organisation.generate(seed=58, only=only, sizes={"Leads": 60})


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation)


def converted(organisation: Organisation) -> set[str]:
    """Return the ids of the converted leads."""
    records = organisation.module("Leads").records
    found = {record_id for record_id, record in records.items() if record["$converted"]}
    assert 0 < len(found) < len(records)
    return found


def test_what_a_lead_became_comes_with_it(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    run = tap.sync(server, modules=["Leads"])

    records = run.by_id("Leads")
    assert records == organisation.truth("Leads")
    gone = converted(organisation)
    for name in CONVERTED_TO:
        assert {key for key, record in records.items() if record[name] is not None} == gone


def test_the_converted_mark_is_offered_and_read_when_selected(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog = tap.discover(server, modules=["Leads", "Contacts"])

    assert entry(catalog, "Leads")["schema"]["properties"]["$converted"] == {
        "type": ["boolean", "null"],
        "title": "Converted",
        "description": "Zoho's type: boolean.",
    }
    assert metadata(catalog, "Leads", "$converted")["selected-by-default"] is False
    assert "$converted" not in entry(catalog, "Contacts")["schema"]["properties"]

    chosen = select(catalog, {"Leads": ["$converted", "Converted_Deal"]})
    run = tap.sync(server, catalog=chosen)

    names = ["$converted", "Converted_Deal", "Modified_Time"]
    assert run.by_id("Leads") == organisation.truth("Leads", names)


def test_the_converted_mark_costs_nothing_where_zoho_refuses_it(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    organisation.module("Leads").fields["$converted"].rejected = True
    server = serve(organisation)
    catalog = tap.discover(server, modules=["Leads"])
    metadata(catalog, "Leads", "$converted")["selected"] = True

    run = tap.sync(server, catalog=catalog)

    assert run.by_id("Leads") == organisation.truth("Leads")
    (line,) = [line for line in run.stderr.splitlines() if "`$converted`" in line]
    assert "FIELD_NOT_SUPPORTED" in line


@pytest.mark.parametrize("wanted", [True, False])
@pytest.mark.parametrize("field", ["$converted", "Converted__s"])
def test_criteria_keep_or_drop_converted_leads(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, field: str, *, wanted: bool
) -> None:
    criteria = {"field": {"api_name": field}, "comparator": "equal", "value": wanted}
    options: dict[str, Any] = {"Leads": {"criteria": criteria}}

    run = tap.sync(server, modules=["Leads"], module_options=options)

    gone = converted(organisation)
    expected = gone if wanted else organisation.truth("Leads").keys() - gone
    assert run.by_id("Leads").keys() == expected
