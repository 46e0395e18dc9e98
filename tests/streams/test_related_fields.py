"""Fields of parent records: offered by discovery, read if selected, never taken for own fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_zoho_crm import Fault, Field, Module, Organisation
from tap_zoho_bulk.bulk_read.query import BulkReadQuery
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import entry, metadata, select

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

CREATE = r"/crm/bulk/v8/read$"
METADATA = r"/settings/"
CONTACTS = {
    "Account_Name__Account_Name",
    "Reporting_To__Last_Name",
    "Assistant_User__last_name",
    "Owner__last_name",
    "Created_By__last_name",
    "Modified_By__last_name",
}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(
        seed=52, only=["Contacts", "Accounts", "Deals"], sizes={"Contacts": 30, "Accounts": 8}
    )


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation)


def offered(catalog: Json, stream: str) -> set[str]:
    """Return the properties that are not selected by default."""
    return {
        each["breadcrumb"][-1]
        for each in entry(catalog, stream)["metadata"]
        if each["metadata"].get("selected-by-default") is False
    }


def with_selected(catalog: Json, stream: str, *names: str) -> Json:
    """Return the catalog with more properties of a stream selected."""
    for name in names:
        metadata(catalog, stream, name)["selected"] = True
    return catalog


def with_all_selected(catalog: Json) -> Json:
    """Return the catalog with everything selected, as by `*`."""
    for stream in catalog["streams"]:
        for each in stream["metadata"]:
            each["metadata"]["selected"] = True
    return catalog


def asked_fields(server: ZohoServer) -> set[str]:
    """Return the fields of the last job."""
    *_, job = server.jobs
    return set(job.query["fields"])


def many_lookups(number: int, *, own: int = 1) -> Organisation:
    """Create an organisation with a module that has many lookups and fields of its own."""
    organisation = Organisation.generate(seed=4, only=["Accounts"], sizes={"Accounts": 3})
    account = next(iter(organisation.module("Accounts").records))
    lookups = [Field(f"Account_{n}", "lookup", lookup="Accounts") for n in range(number)]
    texts = [Field(f"Text_{n}", "text") for n in range(own)]
    names = [each.api_name for each in lookups]
    record = {**dict.fromkeys(names, account), **{each.api_name: "x" for each in texts}}
    organisation.add_module(Module.of("Ties", *texts, *lookups, records={"77": record}))
    return organisation


# Discovery


def test_each_lookup_offers_its_parents_name(tap: TapCommand, server: ZohoServer) -> None:
    catalog = tap.discover(server)

    assert offered(catalog, "Contacts") == CONTACTS
    assert offered(catalog, "Deals") == {
        "Account_Name__Account_Name",
        "Contact_Name__Last_Name",
        # There is no module Campaigns here, but its name field is known.
        "Owner__last_name",
        "Created_By__last_name",
        "Modified_By__last_name",
    }
    properties = entry(catalog, "Contacts")["schema"]["properties"]
    assert properties["Account_Name__Account_Name"] == {
        "type": ["string", "null"],
        "title": "Account Name: Account Name",
        "description": "Zoho's type: text. Related field: Account_Name.Account_Name.",
    }
    assert properties["Owner__last_name"]["type"] == ["string", "null"]
    assert metadata(catalog, "Contacts", "Owner__last_name")["inclusion"] == "available"


def test_a_parent_that_is_not_discovered_costs_no_request(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = tap.discover(server, modules=["Contacts"])

    assert offered(catalog, "Contacts") == CONTACTS
    assert len(server.requests_matching("GET", METADATA)) == 2  # modules, and one list of fields


@pytest.mark.parametrize("modules", [["*"], ["Tasks", "Custom_Tasks"]], ids=["all", "some"])
@pytest.mark.parametrize("told", ["by the module", "by the field", "nowhere"])
def test_names_are_found_where_metadata_tells_less(
    tap: TapCommand, serve: Serve, told: str, modules: list[str]
) -> None:
    organisation = Organisation()
    for name, kind, title in (
        ("Tasks", "default", "Subject"),
        ("Custom_Tasks", "custom", "Name"),
        ("Odd_Things", "default", "Title"),
    ):
        keys = {"display_field": True} if told == "by the field" else {"display_field": ...}
        organisation.add_module(
            Module.of(
                name,
                Field("Code", "text", metadata={"display_field": None}),
                Field(title, "text", metadata={} if told == "by the module" else keys),
                *(
                    Field(f"To_{other}", "lookup", lookup=other)
                    for other in ("Tasks", "Custom_Tasks", "Odd_Things")
                ),
                Field("Elsewhere", "lookup", metadata={"lookup": {"module": "x"}}),
                generated_type=kind,
                display_field=title if told == "by the module" else None,
            )
        )

    catalog = tap.discover(serve(organisation), modules=modules)

    expected = {"To_Tasks__Subject", "To_Custom_Tasks__Name"}
    if told == "by the module" or (told == "by the field" and modules == ["*"]):
        expected.add("To_Odd_Things__Title")
    assert offered(catalog, "Tasks") == expected


# Sync


@pytest.mark.parametrize("given", [True, False], ids=["catalog", "no catalog"])
def test_what_is_offered_is_not_read(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, *, given: bool
) -> None:
    catalog = tap.discover(server) if given else None

    run = tap.sync(server, catalog=catalog)

    assert run.by_id("Contacts") == organisation.truth("Contacts")
    assert not [name for job in server.jobs for name in job.query["fields"] if "." in name]
    assert not CONTACTS & run.schemas["Contacts"]["schema"]["properties"].keys()


def test_what_is_selected_is_read_without_metadata_calls(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog = select(
        tap.discover(server),
        {"Contacts": ["Email", "Account_Name__Account_Name", "Owner__last_name"]},
    )
    before = len(server.requests_matching("GET", METADATA))

    run = tap.sync(server, catalog=catalog)

    truth = organisation.truth(
        "Contacts", ["Email", "Modified_Time", "Account_Name.Account_Name", "Owner.last_name"]
    )
    assert run.by_id("Contacts") == truth
    assert any(record["Account_Name__Account_Name"] for record in truth.values())
    assert any(record["Owner__last_name"] for record in truth.values())
    assert len(server.requests_matching("GET", METADATA)) == before


def test_fields_that_look_like_a_parents_stay_the_modules_own(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation()
    own = ["Owner__last_name", "Owner__c", "Converted__s", "Owner__last__name"]
    organisation.add_module(
        Module.of(
            "Visits",
            *(Field(name, "text") for name in own),
            Field("Owner", "ownerlookup"),
            records={"5": {**{name: f"own {name}" for name in own}, "Owner": None}},
        )
    )
    server = serve(organisation)
    options = {"Visits": {"related_fields": ["Owner.last_name"]}}

    catalog = tap.discover(server)
    run = tap.sync(server, catalog=with_all_selected(catalog), module_options=options)

    assert not offered(catalog, "Visits")
    assert run.by_id("Visits") == organisation.truth("Visits")
    assert run.records("Visits")[0]["Owner__last_name"] == "own Owner__last_name"


def test_related_fields_of_a_catalog_without_zohos_types_are_read_by_their_setting(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    options = {"Contacts": {"related_fields": ["Account_Name.Phone"]}}
    catalog = tap.discover(server, modules=["Contacts"], module_options=options)
    for schema in entry(catalog, "Contacts")["schema"]["properties"].values():
        schema.pop("description", None)

    run = tap.sync(server, catalog=catalog, module_options=options)

    own = [each.api_name for each in organisation.module("Contacts").exportable_fields]
    assert run.by_id("Contacts") == organisation.truth("Contacts", [*own, "Account_Name.Phone"])


# What Zoho refuses


@pytest.mark.parametrize("named", ["Account_Name.Account_Name", "Account_Name"])
@pytest.mark.parametrize("code", ["FIELD_NOT_SUPPORTED", "FIELD_NOT_AVAILABLE"])
def test_a_parents_field_that_zoho_refuses_by_name_or_part_is_left_out(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, named: str, code: str
) -> None:
    catalog = with_selected(
        tap.discover(server), "Contacts", "Account_Name__Account_Name", "Owner__last_name"
    )
    catalog = {"streams": [entry(catalog, "Contacts")]}
    body = {"data": [{"code": code, "message": "", "details": {"api_name": named}}]}
    server.faults.add(Fault(method="POST", path=CREATE, times=1, status=400, body=body))

    run = tap.sync(server, catalog=catalog)

    assert "`Account_Name.Account_Name`" in run.stderr
    own = [each.api_name for each in organisation.module("Contacts").exportable_fields]
    assert run.by_id("Contacts") == organisation.truth("Contacts", [*own, "Owner.last_name"])


@given(
    guilty=st.sets(st.sampled_from(["Phone", "Name", "Owner", "To.Phone", "Owner.Name"])),
    told=st.sampled_from(["whole", "first part", "last part"]),
)
def test_only_what_zoho_refuses_is_left_out(guilty: set[str], told: str) -> None:
    query = BulkReadQuery("Visits", ("Phone", "Name", "Owner", "To", "To.Phone", "Owner.Name"))
    rejected: tuple[str, ...] = ()

    while found := [name for name in query.without(rejected).fields if name in guilty]:
        first, _, last = found[0].partition(".")
        name = {"whole": found[0], "first part": first, "last part": last or first}[told]
        before, rejected = rejected, query.rejecting(name, rejected)
        assert rejected != before

    assert set(rejected) >= guilty
    if told == "whole":
        assert set(rejected) - guilty <= {"To.Phone", "Owner.Name"}
    assert query.rejecting("Nothing", rejected) == rejected


def test_too_many_joins_are_told_with_what_to_leave_out(tap: TapCommand, serve: Serve) -> None:
    server = serve(many_lookups(12))
    names = [f"Account_{n}__Account_Name" for n in range(11)]
    catalog = with_selected(tap.discover(server), "Ties", *names)

    run = tap.run(server, catalog=catalog)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    (line,) = [line for line in run.stderr.splitlines() if "Ties failed" in line]
    assert "JOIN_LIMIT_EXCEEDED" in line
    assert "need 11 joins" in line
    assert "Zoho allows 10 in one job" in line
    for number in range(11):
        assert f"`Account_{number}.Account_Name`" in line
    assert "Deselect them in the catalog" in line
    assert "`related_fields` in `module_options`" in line
    assert run.streams == {"Accounts"}


def test_joins_that_only_a_wildcard_selected_cost_no_stream(tap: TapCommand, serve: Serve) -> None:
    organisation = many_lookups(12)
    server = serve(organisation)
    catalog = with_all_selected(tap.discover(server))

    run = tap.sync(server, catalog=catalog)

    assert run.by_id("Ties") == organisation.truth("Ties")
    assert "`Account_11.Account_Name`" in run.stderr
    assert "JOIN_LIMIT_EXCEEDED" in run.stderr


def test_joins_that_a_setting_names_stay_where_a_wildcards_go(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = many_lookups(12)
    server = serve(organisation)
    options = {"Ties": {"related_fields": ["Account_3.Phone"]}}
    catalog = with_all_selected(tap.discover(server, module_options=options))

    run = tap.sync(server, catalog=catalog, module_options=options)

    own = [each.api_name for each in organisation.module("Ties").exportable_fields]
    assert run.by_id("Ties") == organisation.truth("Ties", [*own, "Account_3.Phone"])


def test_parents_fields_beyond_two_hundred_are_told_before_a_job(
    tap: TapCommand, serve: Serve
) -> None:
    server = serve(many_lookups(3, own=196))
    names = [f"Account_{n}__Account_Name" for n in range(2)]
    catalog = with_selected(tap.discover(server), "Ties", *names)

    run = tap.run(server, catalog=catalog)

    assert run.exit_code == ExitCode.STREAMS_FAILED
    (line,) = [line for line in run.stderr.splitlines() if "Ties failed" in line]
    assert "201 fields are selected" in line
    assert "Deselect `Account_0__Account_Name`, `Account_1__Account_Name`, or other" in line
    assert [job.query["module"]["api_name"] for job in server.jobs] == ["Accounts"]


def test_a_wildcard_over_two_hundred_fields_reads_the_modules_own(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = many_lookups(3, own=198)
    server = serve(organisation)

    run = tap.sync(server, catalog=with_all_selected(tap.discover(server)))

    assert run.by_id("Ties") == organisation.truth("Ties")
    assert "204 fields are selected" in run.stderr
