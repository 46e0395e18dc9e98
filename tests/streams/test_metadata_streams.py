"""People, the data dictionary and other lists: equal to the server's own lists."""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import CustomView, Fault, Field, Module, Organisation
from local_zoho_crm.metadata import custom_view_json, fields_json, module_json
from local_zoho_crm.oauth import DEFAULT_SCOPES
from local_zoho_crm.people import user_json
from local_zoho_crm.schema import NOT_EXPORTED
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import entry, metadata, select

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import Json, TapCommand, TapRun

STREAMS = (
    *("users", "roles", "profiles", "org", "modules", "fields", "custom_views"),
    *("currencies", "territories", "user_territories", "pipelines", "contact_roles"),
)
KEYS = {
    "fields": ("module", "api_name"),
    "custom_views": ("module", "id"),
    "user_territories": ("territory_id", "id"),
    "pipelines": ("layout_id", "id"),
}
SCOPES = {
    "users": "ZohoCRM.users.READ",
    "roles": "ZohoCRM.settings.roles.READ",
    "profiles": "ZohoCRM.settings.profiles.READ",
    "custom_views": "ZohoCRM.settings.custom_views.READ",
    "currencies": "ZohoCRM.settings.currencies.READ",
    "territories": "ZohoCRM.settings.territories.READ",
    "user_territories": "ZohoCRM.settings.territories.READ",
    "pipelines": "ZohoCRM.settings.layouts.READ",
}
UNLISTED = {"Contact_Projects", "Notes", "Attachments", "Visits", "Web_Tab"}
"""Modules that no stream is made of."""
ELSEWHERE = {
    "lookup_module": ("lookup", "module", "api_name"),
    "subform_module": ("subform", "module", "api_name"),
    "associated_module": ("associated_module", "api_name"),
}
"""Where the properties of `fields` stand that are not named by their place."""


def sync(tap: TapCommand, server: ZohoServer, *streams: str, **settings: Any) -> TapRun:
    catalog = select(tap.discover(server, **settings), dict.fromkeys(streams))
    return tap.run(server, catalog=catalog, **settings)


def of_modules(organisation: Organisation, stream: str) -> Iterable[tuple[str, Any]]:
    for module in organisation.modules.values():
        if module.api_name in UNLISTED:
            continue
        if stream == "fields":
            listed = fields_json(organisation, module, version=8) if not module.fields_error else []
        else:
            listed = [custom_view_json(organisation, view) for view in module.custom_views]
        for row in listed:
            yield module.api_name, {**row, "module": module.api_name}


def truth(organisation: Organisation, stream: str) -> dict[tuple[str, ...], Json]:
    """Return Zoho's rows by key."""
    rows: list[Json]
    match stream:
        case "users":
            rows = [user_json(organisation, each) for each in organisation.users.records.values()]
        case "roles":
            rows = organisation.roles
        case "profiles":
            rows = organisation.profiles
        case "org":
            rows = [organisation.company]
        case "currencies" | "territories" | "contact_roles":
            rows = getattr(organisation.lists, stream)
        case "user_territories":
            users = organisation.users.records
            rows = [
                {**user_json(organisation, users[user_id]), "territory_id": territory}
                for territory, ids in organisation.lists.territory_users.items()
                for user_id in ids
            ]
        case "pipelines":
            rows = [
                {**row, "layout_id": layout}
                for layout, listed in organisation.lists.pipelines.items()
                for row in listed
            ]
        case "modules":
            rows = [module_json(each) for each in organisation.modules.values()]
        case _:
            rows = [row for _, row in of_modules(organisation, stream)]
    return {tuple(row[name] for name in KEYS.get(stream, ("id",))): row for row in rows}


def expected(row: Any, name: str, schema: Json) -> Any:
    """Return the expected value of a property, from Zoho's row alone."""
    if name == "exported_by_bulk_read":
        if "data_type" in row:
            return row["data_type"] not in NOT_EXPORTED
        return row["name"] != "Shared by me"
    return converted(at(row, ELSEWHERE.get(name) or name), schema)


def at(row: Any, place: str | tuple[str, ...]) -> Any:
    """Return the value at a place such as `role_id`, however its name is split."""
    if isinstance(place, tuple):
        for key in place:
            row = (row or {}).get(key)
        return row
    if place in row:
        return row[place]
    for key, part in row.items():
        if isinstance(part, dict) and place.startswith(f"{key}_"):
            return at(part, place.removeprefix(f"{key}_"))
    return None


def converted(value: Any, schema: Json) -> Any:
    if value in (None, "", [], {}):
        return None
    if schema.get("format") == "date-time":
        return datetime.fromisoformat(value).astimezone(timezone.utc).isoformat()
    if "number" in schema["type"]:
        return Decimal(value)
    if "integer" in schema["type"]:
        return int(value)
    if "array" in schema["type"]:
        properties = schema["items"]["properties"]
        return [
            {name: expected(item, name, part) for name, part in properties.items()}
            for item in value
        ]
    return json.dumps(value) if isinstance(value, dict) else value


def test_the_streams_hold_all_that_zoho_lists(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=901)
    shared = CustomView(id="1", name="Shared by me", system_name="SHARED")
    organisation.module("Deals").custom_views.append(shared)
    run = sync(tap, serve(organisation), *STREAMS)

    assert run.exit_code == 0, run.stderr
    for stream in STREAMS:
        rows = truth(organisation, stream)
        keys = KEYS.get(stream, ("id",))
        records = {tuple(record[name] for name in keys): record for record in run.records(stream)}
        assert run.schemas[stream]["key_properties"] == list(keys)
        assert records.keys() == rows.keys()
        assert len(records) == len(run.records(stream))
        properties = run.schemas[stream]["schema"]["properties"]
        for key, record in records.items():
            for name, schema in properties.items():
                wanted = expected(rows[key], name, schema)
                # True equals 1, but their types differ.
                assert (record[name], type(record[name])) == (wanted, type(wanted)), (key, name)
        # Each property occurs in a row of Zoho's.
        empty = {name for name in properties if all(row[name] is None for row in records.values())}
        assert not empty, stream


def test_users_of_several_pages_come_all_for_a_credit_each(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=902, only=["Tasks"])
    first = organisation.current_user
    for _ in range(445):
        user_id = organisation.new_id()
        organisation.users.records[user_id] = {**first, "id": user_id}
    server = serve(organisation)
    run = sync(tap, server, "users")

    assert run.exit_code == 0, run.stderr
    assert run.by_id("users").keys() == organisation.users.records.keys()
    asked = server.requests_matching("GET", r"/users$")
    assert [(each.query["type"], each.query["page"]) for each in asked] == [
        *(("AllUsers", "1"), ("AllUsers", "2"), ("AllUsers", "3"))
    ]
    assert re.search(r"users +450 +0 +0 +[\d.]+ +3 +ok", run.stderr)


def test_no_users_are_no_rows(tap: TapCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=903, only=["Tasks"]))
    server.faults.add(Fault(path=r"/users$", status=204))
    run = sync(tap, server, "users")

    assert run.exit_code == 0, run.stderr
    assert run.of_type("SCHEMA", "users")
    assert run.records("users") == []


def test_a_list_without_end_fails_its_stream(tap: TapCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=904, only=["Tasks"]))
    page = {"users": [{"id": "1"}], "info": {"more_records": True}}
    server.faults.add(Fault(path=r"/users$", status=200, body=page, times=None))
    run = sync(tap, server, "users")

    assert run.exit_code == ExitCode.TRY_AGAIN_LATER
    assert "Could not list the users: page 2 is the same as the page before it" in run.stderr


def test_none_is_selected_unless_asked_for(tap: TapCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=905, only=["Tasks"]))
    catalog = tap.discover(server)
    for stream in STREAMS:
        assert metadata(catalog, stream)["selected-by-default"] is False
        assert metadata(catalog, stream)["inclusion"] == "available"
    run = tap.sync(server)

    assert run.streams == {"Tasks"}
    assert not server.requests_matching("GET", r"/(users|org|roles|profiles|custom_views)$")


@pytest.mark.parametrize("stream", SCOPES)
def test_a_missing_scope_names_itself_and_leaves_the_others(
    tap: TapCommand, serve: Serve, stream: str
) -> None:
    organisation = Organisation.generate(seed=906, only=["Tasks"])
    server = serve(organisation, scopes=DEFAULT_SCOPES - {SCOPES[stream]})
    run = sync(tap, server, stream, "org", "Tasks")

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert f"{stream} failed" in run.stderr
    assert f"whose scopes include {SCOPES[stream]}." in run.stderr
    assert run.streams == {"Tasks", "org"}


def test_only_the_modules_of_the_settings_are_asked_for_several_at_once(
    tap: TapCommand, serve: Serve
) -> None:
    organisation = Organisation.generate(seed=907)
    settings = {
        "modules": ["Leads", "Contacts", "Accounts", "Deals", "Tasks", "Calls"],
        "exclude_modules": ["Calls"],
        "max_concurrent_requests": 3,
    }
    found = tap.discover(serve(organisation), **settings)
    catalog = select(found, {"fields": None, "custom_views": None})
    server = serve(organisation, latency=0.05)
    run = tap.sync(server, catalog=catalog, **settings)

    assert {row["module"] for row in run.records("fields")} == {
        *("Leads", "Contacts", "Accounts", "Deals", "Tasks")
    }
    asked = [each for each in server.requests if each.path.startswith("/crm/")]
    by_call = {
        call: [each for each in asked if each.path.endswith(call)]
        for call in (*("/settings/modules", "/settings/fields", "/settings/custom_views"),)
    }
    assert [len(each) for each in by_call.values()] == [2, 5, 5]
    assert sum(map(len, by_call.values())) == len(asked)
    assert server.peak_concurrency == 3
    # One request for the modules, and one for each of five modules.
    assert re.search(r"fields +\d+ +0 +0 +\S+ +6 +ok", run.stderr)
    assert re.search(r"custom_views +\d+ +0 +0 +\S+ +6 +ok", run.stderr)


def test_modules_that_refuse_are_skipped_with_a_line_each(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=908, only=["Tasks", "Leads"])
    organisation.add_module(Module("Locked", fields_error="NO_PERMISSION"))
    server = serve(organisation)
    run = sync(tap, server, "fields")

    assert run.exit_code == 0, run.stderr
    assert {row["module"] for row in run.records("fields")} == {"Tasks", "Leads"}
    line = "Skipping the fields of Locked: Zoho responded with NO_PERMISSION (HTTP 403)."
    assert run.stderr.count(line) == 1


def test_a_call_that_refuses_every_module_fails_its_stream(tap: TapCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=909, only=["Tasks", "Leads"]))
    body = {"code": "NO_PERMISSION", "message": "no", "details": {}, "status": "error"}
    server.faults.add(Fault(path="/custom_views$", status=403, body=body, times=None))
    run = sync(tap, server, "custom_views", "Tasks")

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert "custom_views failed" in run.stderr
    assert "NO_PERMISSION (HTTP 403)" in run.stderr
    assert run.streams == {"Tasks"}


ODD: dict[str, Any] = {
    "length": ...,
    "decimal_place": "2",
    "system_mandatory": "true",
    "custom_field": None,
    "visible": "",
    "read_only": {},
    "field_label": 7,
    "display_label": ["A", {"b": None}],
    "json_type": False,
    "lookup": {"module": "Accounts"},
    "subform": {"module": "Quoted_Items"},
    "formula": [],
    "currency": None,
    "view_type": ...,
    "tooltip": {"value": 1.5, "name": None},
    "pick_list_values": [{"id": 5}, {}],
}
MADE_OF_IT: dict[str, Any] = {
    "length": None,
    "decimal_place": 2,
    "system_mandatory": True,
    "custom_field": None,
    "visible": None,
    "read_only": None,
    "field_label": "7",
    "display_label": '["A", {"b": null}]',
    "json_type": "false",
    "lookup_module": "Accounts",
    "lookup_api_name": None,
    "subform_module": "Quoted_Items",
    "formula_return_type": None,
    "currency_precision": None,
    "view_type_view": None,
    "tooltip_value": "1.5",
    "tooltip_name": None,
}


def test_what_is_missing_or_odd_becomes_null_or_text(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=910, only=["Tasks"])
    module = organisation.module("Tasks")
    module.fields["Odd"] = Field("Odd", "text", metadata=ODD)
    module.fields["Bare"] = Field("Bare", "text")
    bare = fields_json(organisation, module, version=8)[-2]
    module.fields["Bare"].metadata = {
        name: ... for name in bare if name not in ("api_name", "data_type")
    }
    module.fields["Nameless"] = Field("Nameless", "text", metadata={"api_name": None})
    run = sync(tap, serve(organisation), "fields")

    assert run.exit_code == 0, run.stderr
    records = {row["api_name"]: row for row in run.records("fields")}
    assert {name: records["Odd"][name] for name in MADE_OF_IT} == MADE_OF_IT
    values = records["Odd"]["pick_list_values"]
    assert [value["id"] for value in values] == ["5", None]
    given = {name for name, value in records["Bare"].items() if value is not None}
    assert given == {"module", "api_name", "data_type", "exported_by_bulk_read"}
    assert "Skipping 1 of the fields of Tasks, which have no api_name." in run.stderr


@pytest.mark.parametrize(
    "odd",
    [
        {"length": "long"},
        {"visible": 2},
        {"created_time": "2026-01-01"},
        {"view_type": "text"},
        {"pick_list_values": ["A", "B"]},
        {"pick_list_values": [{"sequence_number": "first"}]},
    ],
)
def test_what_cannot_be_right_fails_or_is_null_as_the_settings_tell(
    tap: TapCommand, serve: Serve, odd: Json
) -> None:
    organisation = Organisation.generate(seed=911, only=["Tasks"])
    module = organisation.module("Tasks")
    module.fields["Odd"] = Field("Odd", "text", metadata=odd)
    server = serve(organisation)
    failed = sync(tap, server, "fields")
    passed = sync(tap, server, "fields", on_invalid_value="null")

    (name,) = odd
    assert failed.exit_code == ExitCode.FIX_FIRST
    assert re.search(
        rf"fields: Tasks, Odd: `{name}\w*` has a value that does not parse", failed.stderr
    )
    assert passed.exit_code == 0
    (record,) = [row for row in passed.records("fields") if row["api_name"] == "Odd"]
    assert not {value for key, value in record.items() if key.startswith(name)} - {None}
    assert re.search(r"fields .* ok, [123] invalid values replaced with null", passed.stderr)


def test_a_deselected_property_is_not_looked_at(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=912, only=["Tasks"])
    organisation.company["employee_count"] = "12"
    organisation.company["max_per_page"] = "many"
    server = serve(organisation)
    catalog = select(tap.discover(server), {"org": ["id", "company_name"]})
    run = tap.sync(server, catalog=catalog)

    company = organisation.company
    assert run.records("org") == [{"id": company["id"], "company_name": company["company_name"]}]


def test_a_row_without_its_key_fails_its_stream(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=913, only=["Tasks"])
    organisation.roles[1]["id"] = None
    run = sync(tap, serve(organisation), "roles", on_invalid_value="null")

    assert run.exit_code == ExitCode.FIX_FIRST
    assert "roles: a row has no id" in run.stderr


@pytest.mark.parametrize("batches", [False, True], ids=["records", "batches"])
def test_the_old_rows_go_after_the_last_new_one(
    tap: TapCommand, serve: Serve, tmp_path: Any, *, batches: bool
) -> None:
    organisation = Organisation.generate(seed=914, only=["Tasks", "Leads"])
    server = serve(organisation)
    storage = {"root": tmp_path.as_uri(), "prefix": ""}
    encoding = {"format": "jsonl", "compression": "none"}
    settings: Json = {"emit_activate_version_messages": True}
    if batches:
        settings["batch_config"] = {"encoding": encoding, "storage": storage}
    catalog = select(tap.discover(server), {"fields": None})
    run = tap.sync(server, catalog=catalog, **settings)
    again = tap.sync(server, catalog=catalog, state=run.state, **settings)

    versions = []
    for each in (run, again):
        kind = "BATCH" if batches else "RECORD"
        sent = [
            message for message in each.messages if message["type"] in (kind, "ACTIVATE_VERSION")
        ]
        assert [message["type"] for message in sent[:-1]] == [kind] * (len(sent) - 1)
        assert sent[-1]["type"] == "ACTIVATE_VERSION"
        assert len(sent) > 1
        (version,) = {message["version"] for message in sent}
        assert each.bookmark("fields") == {"version": version}
        versions.append(version)
    assert versions[0] < versions[1]


def test_no_old_row_goes_when_a_list_did_not_come_whole(tap: TapCommand, serve: Serve) -> None:
    server = serve(Organisation.generate(seed=915, only=["Tasks", "Leads", "Deals"]))
    server.faults.add(Fault(path="/settings/fields$", status=500, skip=5, times=None))
    # Sequential requests, so that the first modules' fields have arrived.
    run = sync(
        tap,
        server,
        "fields",
        "org",
        emit_activate_version_messages=True,
        max_concurrent_requests=1,
    )

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.records("fields")
    assert [each["stream"] for each in run.of_type("ACTIVATE_VERSION")] == ["org"]


def test_a_module_keeps_its_name_and_the_other_stream_goes(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=916, only=["Tasks"])
    for name in ("users", "Roles"):
        module = organisation.add_module(
            Module.of(name, Field("Name", "text"), generated_type="custom")
        )
        module.records["1"] = {"id": "1", "Name": name}
    server = serve(organisation)
    catalog, log = tap.discover_with_log(server)
    run = tap.sync(server, catalog=catalog)

    assert "Name" in entry(catalog, "users")["schema"]["properties"]
    assert [each["stream"] for each in catalog["streams"] if each["stream"].lower() == "roles"] == [
        "Roles"
    ]
    for name in ("users", "roles"):
        assert f"Leaving out the stream {name}: a module has its name." in log
    for name in ("users", "Roles"):
        assert run.by_id(name) == organisation.truth(name)


def test_custom_views_of_several_pages_come_all(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=917, only=["Tasks"])
    views = [CustomView(id=str(number), name=f"View {number}") for number in range(1, 402)]
    organisation.module("Tasks").custom_views = views
    run = sync(tap, serve(organisation), "custom_views")

    assert [row["id"] for row in run.records("custom_views")] == [view.id for view in views]


# Lists of what an organisation may not use


def test_what_the_organisation_does_not_use_is_no_rows(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=918, only=["Tasks"])
    organisation.lists.currencies = organisation.lists.territories = None
    run = sync(
        tap,
        serve(organisation),
        *("currencies", "territories", "user_territories"),
        emit_activate_version_messages=True,
    )

    assert run.exit_code == 0, run.stderr
    assert not run.of_type("RECORD")
    assert "There are no currencies: Zoho responded with CURRENCIES_NOT_ENABLED." in run.stderr
    assert "There are no territories: Zoho responded with FEATURE_NOT_ENABLED." in run.stderr
    assert len(run.of_type("ACTIVATE_VERSION")) == 3
