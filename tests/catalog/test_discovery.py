"""The catalog lists what can be read, with types; an unreadable module affects no other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.singerlib import Catalog

from local_zoho_crm import Fault, Field, Module, Organisation
from tap_zoho_bulk.crm.field_types import zoho_type
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import FAST, entry, metadata

if TYPE_CHECKING:
    from local_zoho_crm import LoggedRequest, ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand

FIELDS = r"/settings/fields$"
SKIPPED = {
    "Notes": "bulk read does not support it",
    "Attachments": "bulk read does not support it",
    "Contact_Projects": "bulk read does not support it",
    "Visits": "API does not support it",
    "Web_Tab": "API does not support it",
    "CTI_Entry": "lists no fields",
    "Email_Analytics": "INVALID_MODULE (HTTP 400)",
    "Functions__s": "FEATURE_NOT_ENABLED (HTTP 400)",
    "Secret_Payroll": "NO_PERMISSION (HTTP 403)",
}


@pytest.fixture(scope="module")
def organisation() -> Organisation:
    return Organisation.generate(seed=61)


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation)


def module_names(catalog: Json, organisation: Organisation) -> set[str]:
    return {each["tap_stream_id"] for each in catalog["streams"]} & organisation.modules.keys()


def test_the_catalog_has_every_readable_module_with_its_types(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    catalog, log = tap.discover_with_log(server)

    assert module_names(catalog, organisation) == organisation.modules.keys() - SKIPPED.keys()
    assert f"It has spent {server.credits} API credits" in log
    leads = entry(catalog, "Leads")
    assert leads["stream"] == "Leads"
    assert leads["key_properties"] == ["id"]
    properties = leads["schema"]["properties"]
    expected = {
        "id": ["string"],
        "Last_Name": ["string", "null"],
        "Lead_Source": ["string", "null"],
        "Interests": ["string", "null"],
        "Annual_Revenue": ["number", "null"],
        "No_of_Employees": ["integer", "null"],
        "Email_Opt_Out": ["boolean", "null"],
        "Rating_Score": ["number", "null"],
        "Discount": ["number", "null"],
        "Legacy_Number": ["string", "null"],
        "Lead_Number": ["string", "null"],
        "First_Visited_On": ["string", "null"],
        "Last_Activity_Time": ["string", "null"],
        "Days_Open": ["number", "null"],
        "Owner": ["string", "null"],
        "Tag": ["string", "null"],
    }
    assert {name: properties[name]["type"] for name in expected} == expected
    formats = {name: each["format"] for name, each in properties.items() if "format" in each}
    assert formats == {
        "First_Visited_On": "date",
        "Last_Activity_Time": "date-time",
        "Converted_Date_Time": "date-time",
        "Created_Time": "date-time",
        "Modified_Time": "date-time",
    }
    assert properties["Last_Name"]["title"] == "Last Name"
    assert properties["id"]["title"] == "Record Id"
    # Each skipped module has one line that says why.
    lines = log.splitlines()
    for module, why in SKIPPED.items():
        (line,) = [each for each in lines if f"Skipping the module {module}:" in each]
        assert why in line


def test_formulas_and_rollups_have_the_type_that_they_return(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = tap.discover(server, modules=["Deals", "Accounts", "Custom_Projects"])

    deals = entry(catalog, "Deals")["schema"]["properties"]
    assert deals["Expected_Revenue"]["type"] == ["number", "null"]
    assert deals["Is_Large"]["type"] == ["boolean", "null"]
    assert deals["Follow_Up_On"]["format"] == "date"
    assert deals["Reminder_At"]["format"] == "date-time"
    assert deals["Newest_Quote_At"]["format"] == "date-time"
    assert deals["Summary"]["type"] == ["string", "null"]
    accounts = entry(catalog, "Accounts")["schema"]["properties"]
    assert accounts["Open_Deals"]["type"] == ["integer", "null"]
    assert accounts["Deal_Volume"]["type"] == ["number", "null"]
    projects = entry(catalog, "Custom_Projects")["schema"]["properties"]
    assert projects["Count"]["type"] == ["string", "null"]  # too long for many JSON parsers


def test_odd_fields_lose_no_module(tap: TapCommand, server: ZohoServer) -> None:
    catalog = tap.discover(server, modules=["Custom_Projects"])

    properties = entry(catalog, "Custom_Projects")["schema"]["properties"]
    for name in ("Odd_Formula", "Missing_Formula", "Newer_Than_This_Tap", "Bare", "No_Json_Type"):
        assert properties[name]["type"] == ["string", "null"]
    assert properties["Name"]["title"] == "Project Name"
    assert "title" not in properties["Bare"]
    assert properties["Hidden_Field"]["type"] == ["string", "null"]
    assert properties["Mixed_Case__c"]["type"] == ["boolean", "null"]


def test_metadata_says_what_can_be_selected_and_how_it_replicates(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = tap.discover(server, modules=["Leads", "Quotes", "Quoted_Items", "DealHistory"])

    assert metadata(catalog, "Leads", "id")["inclusion"] == "automatic"
    assert metadata(catalog, "Leads", "Modified_Time")["inclusion"] == "automatic"
    assert metadata(catalog, "Leads", "Last_Name")["inclusion"] == "available"
    for name in (
        *("Record_Image", "Contract", "Photos", "Reviewers"),
        "Data_Processing_Basis_Details",
    ):
        assert metadata(catalog, "Leads", name)["inclusion"] == "unsupported"
        description = entry(catalog, "Leads")["schema"]["properties"][name]["description"]
        assert "cannot export" in description
    assert metadata(catalog, "Quotes", "Quoted_Items")["inclusion"] == "unsupported"
    assert metadata(catalog, "Leads")["valid-replication-keys"] == ["Modified_Time"]
    assert entry(catalog, "Leads")["replication_method"] == "INCREMENTAL"
    assert entry(catalog, "Leads")["replication_key"] == "Modified_Time"
    # A subform is a module of its own; DealHistory has no Modified_Time.
    assert entry(catalog, "Quoted_Items")["replication_method"] == "INCREMENTAL"
    assert entry(catalog, "DealHistory")["replication_method"] == "FULL_TABLE"
    assert "replication_key" not in entry(catalog, "DealHistory")
    assert not metadata(catalog, "DealHistory").get("valid-replication-keys")


def test_zohos_types_stand_in_the_catalog_and_survive_it(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=12, only=["Deals", "Accounts", "Custom_Projects"])

    catalog = tap.discover(serve(organisation))

    for module in organisation.modules.values():
        kept = Catalog.from_dict(catalog)[module.api_name].schema.to_dict()["properties"]
        for name, field in module.fields.items():
            assert zoho_type(kept[name]) == field.data_type


@pytest.mark.parametrize(
    ("modules", "exclude_modules", "expected"),
    [
        (["Leads", "Tasks"], [], {"Leads", "Tasks"}),
        (["C*"], [], {"Contacts", "Campaigns", "Cases", "Calls", "Custom_Projects"}),
        (["C*"], ["Ca*"], {"Contacts", "Custom_Projects"}),
        (["Quote?", "*History"], [], {"Quotes", "DealHistory"}),
    ],
)
def test_globs_choose_modules(
    tap: TapCommand,
    server: ZohoServer,
    modules: list[str],
    exclude_modules: list[str],
    expected: set[str],
) -> None:
    catalog = tap.discover(server, modules=modules, exclude_modules=exclude_modules)

    assert module_names(catalog, server.organisation) == expected
    asked = {request.query["module"] for request in server.requests_matching("GET", FIELDS)}
    assert asked - SKIPPED.keys() == expected


@pytest.mark.parametrize("flag", ["--discover", "--test"])
def test_modules_and_fields_that_are_not_there_are_all_named(
    tap: TapCommand, server: ZohoServer, flag: str
) -> None:
    wrong: dict[str, Any] = {
        "modules": ["Leads", "leads", "Quoats*", "Notes"],
        "exclude_modules": ["Taskz"],
        "module_options": {"Laeds": {}},
    }

    run = tap.run(server, flag, **wrong)

    assert run.exit_code == ExitCode.FIX_FIRST
    line = run.line("Correct the settings")
    # API names have one spelling.
    assert "`modules` names `leads`, which this account does not have. Did you mean `Le" in line
    assert "`modules` names `Quoats*`" in line
    assert "`modules` names `Notes`, but Zoho's bulk read does not support it." in line
    assert "`exclude_modules` names `Taskz`" in line
    assert "`module_options` names `Laeds`" in line
    assert not run.stdout


def test_related_fields_that_are_not_there_are_all_named(
    tap: TapCommand, server: ZohoServer
) -> None:
    paths = ["Acount_Name.Phone", "Account_Name.Fone", "Account_Name.id"]

    run = tap.run(
        server,
        "--discover",
        modules=["Contacts"],
        module_options={"Contacts": {"related_fields": paths}},
    )

    assert run.exit_code == ExitCode.FIX_FIRST
    line = run.line("`related_fields`")
    assert "Contacts has no field `Acount_Name`" in line
    assert "Did you mean `Account_Name`?" in line
    assert "Accounts has no field `Fone` (`Account_Name.Fone` of Contacts)." in line
    assert "Did you mean `Phone`?" in line
    assert "Account_Name.id" not in line


def test_a_missing_scope_is_no_modules_own_trouble(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, scopes=["ZohoCRM.bulk.READ", "ZohoCRM.settings.modules.READ"])

    run = tap.run(server, "--discover")

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "ZohoCRM.settings.fields.READ" in run.stderr
    assert not run.stdout


def test_v2_lists_no_id_and_the_catalog_has_it(tap: TapCommand, server: ZohoServer) -> None:
    catalog = tap.discover(server, api_version="v2", modules=["Leads"])

    assert entry(catalog, "Leads")["schema"]["properties"]["id"]["type"] == ["string"]


def test_modules_are_asked_for_in_parallel_within_the_limit(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation, latency=0.05)
    # Each of the first requests waits for two more: with fewer at once, none would continue.
    three = threading.Barrier(3, timeout=20)
    places = iter(range(9))

    def meet(request: LoggedRequest) -> None:
        if request.path.endswith("/settings/fields") and next(places, None) is not None:
            three.wait()

    server.on_request = meet

    tap.discover(server, max_concurrent_requests=3)

    assert server.peak_concurrency == 3


def test_an_empty_module_list_is_an_empty_catalog(tap: TapCommand, server: ZohoServer) -> None:
    catalog = tap.discover(server, exclude_modules=["*"])

    assert not module_names(catalog, server.organisation)


def test_metadata_that_makes_no_sense_loses_nothing_else(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(only=["Tasks"])
    odd: dict[str, Json] = {
        "No_Api_Name": {"data_type": "text"},
        "Null_Type": {"api_name": "Null_Type", "data_type": None, "field_label": None},
        "Number_Label": {"api_name": "Number_Label", "data_type": "text", "field_label": 5},
        "Bad_Lookup": {"api_name": "Bad_Lookup", "data_type": "lookup", "lookup": {"module": "x"}},
        "Bad_Formula": {"api_name": "Bad_Formula", "data_type": "formula", "formula": "double"},
    }
    for name, answer in odd.items():
        keys: Json = {"api_name": ..., "field_label": ..., "display_label": ..., **answer}
        organisation.add_module(
            Module.of(f"With_{name}", Field("Good", "integer"), Field(name, "text", metadata=keys))
        )
    server = serve(organisation)

    catalog = tap.discover(server)

    for name in ("Null_Type", "Number_Label", "Bad_Lookup", "Bad_Formula"):
        properties = entry(catalog, f"With_{name}")["schema"]["properties"]
        assert properties["Good"]["type"] == ["integer", "null"]
        assert properties[name]["type"] == ["string", "null"]
        assert "title" not in properties[name]
    assert set(entry(catalog, "With_No_Api_Name")["schema"]["properties"]) == {"id", "Good"}


def test_a_fault_that_passes_costs_no_module(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    server = serve(organisation)
    now = {"Retry-After": "0"}
    server.faults.add(
        Fault(path=FIELDS, status=503, headers=now),
        Fault(path=FIELDS, skip=3, status=429, headers=now),
        Fault(path=r"/settings/modules$", status=500, headers=now),
        Fault(path="/oauth/", status=502, headers=now),
    )

    catalog = tap.discover(server, **FAST)

    assert module_names(catalog, organisation) == organisation.modules.keys() - SKIPPED.keys()


def test_a_module_whose_fields_are_never_listed_is_left_out_alone(
    tap: TapCommand, server: ZohoServer
) -> None:
    before = {stream["tap_stream_id"] for stream in tap.discover(server)["streams"]}
    server.faults.add(Fault(path=FIELDS, skip=1, times=3, status=200, body={"fields": None}))

    catalog, log = tap.discover_with_log(server, max_concurrent_requests=1, max_retries=2)

    (left_out,) = before - {stream["tap_stream_id"] for stream in catalog["streams"]}
    (line,) = [line for line in log.splitlines() if f"Skipping the module {left_out}:" in line]
    assert "no list of fields" in line
