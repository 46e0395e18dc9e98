"""All values of every module arrive, whatever its CSV looks like, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_zoho_crm import CsvStyle, Field, Module, Organisation
from tests.support.singer import as_full_table, select

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.support.singer import TapCommand, TapRun

CREATE = r"^/crm/bulk/v8/read$"


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(seed=21, awkward=0.3)


def assert_all_arrived(run: TapRun, organisation: Organisation, separator: str = ";") -> None:
    filled = {name for name, module in organisation.modules.items() if module.records}
    assert run.streams & organisation.modules.keys() == filled
    for name in filled:
        assert run.by_id(name) == organisation.truth(name, csv_separator=separator), name


@pytest.mark.parametrize(
    "style",
    [
        CsvStyle(),
        CsvStyle(
            id_column="id",
            shuffled=True,
            surplus_columns=("Surplus", "Last Name"),
            booleans=("FALSE", "True"),
            separator=",",
            bom=True,
            line_end="\n",
            quote_all=True,
        ),
    ],
    ids=["as seen", "as it may be"],
)
def test_all_modules_arrive_whole(
    tap: TapCommand, serve: Serve, organisation: Organisation, style: CsvStyle
) -> None:
    server = serve(organisation, page_size=12, csv=style)

    run = tap.sync(server)

    assert_all_arrived(run, organisation, style.separator)


def test_all_modules_arrive_whole_as_full_tables(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, page_size=12)
    names = [name for name, module in organisation.modules.items() if module.records]
    catalog = as_full_table(tap.discover(server), *names)

    first = tap.sync(server, catalog=catalog)
    second = tap.sync(server, catalog=catalog, state=first.state)

    assert_all_arrived(first, organisation)
    assert_all_arrived(second, organisation)
    assert not any("criteria" in job.query for job in server.jobs)


def test_a_separator_makes_multiselect_picklists_arrays(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Leads"])
    server = serve(organisation, csv=CsvStyle(separator="|"))

    run = tap.sync(server, multiselect_separator="|")

    truth = organisation.truth("Leads", multiselect_separator="|", csv_separator="|")
    assert run.by_id("Leads") == truth
    assert any(len(record["Interests"] or ()) > 1 for record in truth.values())
    schema = run.schemas["Leads"]["schema"]["properties"]["Interests"]
    assert schema["type"] == ["array", "null"]


def test_only_selected_fields_are_asked_for_and_emitted(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Leads", "Contacts", "Tasks"])
    server = serve(organisation)
    catalog = tap.discover(server)
    chosen = select(catalog, {"Leads": ["Last_Name", "Email"], "Contacts": None})

    run = tap.sync(server, catalog=chosen)

    assert run.streams == {"Leads", "Contacts"}
    expected = {"id", "Last_Name", "Email", "Modified_Time"}
    assert run.by_id("Leads") == organisation.truth("Leads", expected)
    assert set(run.schemas["Leads"]["schema"]["properties"]) == expected
    (query,) = (job.query for job in server.jobs if job.module == "Leads")
    assert sorted(query["fields"]) == ["Email", "Last_Name", "Modified_Time"]
    assert not [job for job in server.jobs if job.module == "Tasks"]


def test_a_catalog_saves_all_metadata_calls(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Leads", "Tasks"])
    server = serve(organisation)
    catalog = tap.discover(server)
    asked = len(server.requests)

    run = tap.sync(server, catalog=catalog)

    assert run.by_id("Tasks") == organisation.truth("Tasks")
    paths = {request.path for request in server.requests[asked:]}
    assert not [path for path in paths if "/settings/" in path or path.endswith("/org")]


def wide_organisation(fields: int) -> Organisation:
    """Return an organisation with three records of a module with so many fields.

    They are texts named `Field_0` and so on, and Modified_Time.
    """
    organisation = Organisation()
    texts = [Field(f"Field_{number}", "text") for number in range(fields - 1)]
    organisation.add_module(Module.of("Wide", *texts, Field("Modified_Time", "datetime")))
    organisation.insert("Wide", count=3)
    return organisation


@pytest.mark.parametrize("fields", [200, 201, 230])
def test_more_fields_than_zoho_takes_by_name_arrive(
    tap: TapCommand, serve: Serve, fields: int
) -> None:
    organisation = wide_organisation(fields)
    server = serve(organisation)

    run = tap.sync(server)

    assert run.by_id("Wide") == organisation.truth("Wide")
    assert len(next(iter(run.by_id("Wide").values()))) == fields + 1


def test_deselected_fields_of_a_wide_module_are_not_emitted(tap: TapCommand, serve: Serve) -> None:
    """Above 200 fields, Zoho exports all, so the CSV has more columns than were selected."""
    organisation = wide_organisation(231)
    names = [f"Field_{number}" for number in range(210)]
    server = serve(organisation)
    catalog = tap.discover(server)

    run = tap.sync(server, catalog=select(catalog, {"Wide": names}))

    expected = organisation.truth("Wide", [*names, "Modified_Time"])
    assert run.by_id("Wide") == expected


def test_a_rejected_field_is_left_out_and_reported(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Contacts"])
    server = serve(organisation)

    run = tap.sync(server)

    assert run.by_id("Contacts") == organisation.truth("Contacts")
    assert run.line("`Mailing_Address`, `Mailing_Coordinates`", level="WARNING")
    told = run.event("fields_left_out", "Contacts")
    assert told["names"] == ["Mailing_Address", "Mailing_Coordinates"]
    assert told["codes"] == ["FIELD_NOT_SUPPORTED"]
    refused = [r for r in server.requests_matching("POST", CREATE) if r.status != 201]
    assert len(refused) == 2
    assert len(server.jobs) == 1


def test_a_module_that_bulk_read_refuses_is_a_warning(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Locking_Information__s", "Tasks"])
    server = serve(organisation)

    run = tap.sync(server)

    assert run.by_id("Tasks") == organisation.truth("Tasks")
    assert not run.records("Locking_Information__s")
    assert run.line("MODULE_NOT_SUPPORTED", "Locking_Information__s", level="WARNING")


def test_a_module_without_records_moves_no_bookmark(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Tasks"], sizes={"Tasks": 0})
    server = serve(organisation)
    bookmark = {
        "replication_key": "Modified_Time",
        "replication_key_value": "2025-01-01T00:00:00+00:00",
    }

    first = tap.sync(server)
    later = tap.sync(server, state={"bookmarks": {"Tasks": bookmark}})

    assert not first.records("Tasks")
    assert "Tasks" in first.schemas
    assert not first.bookmark("Tasks")
    assert later.bookmark("Tasks") == bookmark
