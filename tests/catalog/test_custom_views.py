"""Custom views are found by name, before a job is paid for, and restrict only their module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_zoho_crm import CustomView, Fault, Organisation
from tap_zoho_bulk.exceptions import ExitCode
from tests.support.singer import select

if TYPE_CHECKING:
    from local_zoho_crm import ZohoServer
    from tests.conftest import Serve
    from tests.support.singer import TapCommand, TapRun

VIEWS = r"/settings/custom_views$"
WEB = {"field": {"api_name": "Lead_Source"}, "comparator": "equal", "value": "Web"}


@pytest.fixture
def organisation() -> Organisation:
    return Organisation.generate(
        seed=53, only=["Leads", "Contacts", "Accounts"], sizes={"Leads": 60, "Contacts": 20}
    )


@pytest.fixture
def server(serve: Serve, organisation: Organisation) -> ZohoServer:
    return serve(organisation)


def view(organisation: Organisation, name: str, **options: Any) -> str:
    """Add a view of the leads from the web, and return its id."""
    new = CustomView(id=organisation.new_id(), name=name, criteria=WEB, **options)
    organisation.module("Leads").custom_views.append(new)
    return new.id


def by_view(name: str) -> dict[str, Any]:
    return {"Leads": {"custom_view": name}}


def failure(run: TapRun, server: ZohoServer) -> str:
    """Return why Leads failed, and check that it failed alone and before a job."""
    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.streams == {"Contacts", "Accounts"}
    assert "Leads" not in {job.query["module"]["api_name"] for job in server.jobs}
    assert run.event("stream_ended", "Leads")["outcome"] == "FAILED"
    return run.line("Leads", "custom view")


@pytest.mark.parametrize("name", ["Web, with an e-mail", "Converted Leads", "CONVERTED"])
def test_a_view_is_found_by_name_or_system_name(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, name: str
) -> None:
    catalog = tap.discover(server)
    before = len(server.requests)

    run = tap.sync(server, catalog=catalog, module_options=by_view(name))

    found = run.by_id("Leads").keys()
    truth = organisation.truth("Leads")
    if name.startswith("Web"):
        wanted = {
            key
            for key, record in truth.items()
            if record["Lead_Source"] == "Web" and record["Email"]
        }
    else:
        wanted = {key for key, record in truth.items() if record["Converted__s"]}
    assert found == wanted
    assert 0 < len(wanted) < len(truth)
    assert run.by_id("Contacts") == organisation.truth("Contacts")
    asked = [each for each in server.requests[before:] if "/settings/" in each.path]
    assert [each.query for each in asked] == [{"module": "Leads"}]
    (job,) = [job for job in server.jobs if job.query["module"]["api_name"] == "Leads"]
    looks = [each for each in server.requests[before:] if f"/read/{job.id}" in each.path]
    assert run.event("stream_ended", "Leads")["credits"] == 50 + len(looks) + 1


@pytest.mark.parametrize("how", ["custom_view", "custom_view_id"])
def test_a_view_that_zoho_does_not_export_is_named(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, how: str
) -> None:
    view_id = view(organisation, "Shared to me", system_name="SHAREDTOME")
    chosen = {"custom_view": "Shared to me", "custom_view_id": view_id}[how]

    run = tap.run(server, modules=["Leads"], module_options={"Leads": {how: chosen}})

    assert run.exit_code != 0
    assert run.line("Leads failed", "custom view", "`module_options`")
    assert not server.jobs


def test_views_beyond_the_first_page_are_found(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    for number in range(450):
        view(organisation, f"View {number}")

    run = tap.sync(server, modules=["Leads"], module_options=by_view("View 449"))

    truth = organisation.truth("Leads")
    web = {key for key, record in truth.items() if record["Lead_Source"] == "Web"}
    assert run.by_id("Leads").keys() == web
    asked = [each.query for each in server.requests_matching("GET", VIEWS)]
    assert asked == [
        {"module": "Leads"},
        {"module": "Leads", "page": "2"},
        {"module": "Leads", "page": "3"},
    ]


def test_an_unknown_name_is_told_with_the_views_there_are(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    run = tap.run(server, module_options=by_view("Converted leads"))

    line = failure(run, server)
    assert "no custom view is named `Converted leads`" in line
    for each in organisation.module("Leads").custom_views:
        assert f"`{each.name}` (" in line
        assert each.id in line


def test_an_ambiguous_name_is_told_with_the_ids(
    tap: TapCommand, server: ZohoServer, organisation: Organisation
) -> None:
    ids = [view(organisation, "Mine"), view(organisation, "Mine")]

    run = tap.run(server, module_options=by_view("Mine"))

    line = failure(run, server)
    assert "`Mine`" in line
    assert all(each in line for each in ids)
    assert "`custom_view_id`" in line


def test_a_module_without_views_says_so(tap: TapCommand, serve: Serve) -> None:
    organisation = Organisation.generate(seed=53, only=["Leads"])
    organisation.module("Leads").custom_views.clear()

    run = tap.run(serve(organisation), module_options=by_view("Mine"))

    assert run.exit_code == ExitCode.STREAMS_FAILED
    assert run.line("Leads", "`Mine`")


def test_a_missing_scope_is_named_and_costs_its_stream_only(
    tap: TapCommand, serve: Serve, organisation: Organisation
) -> None:
    scopes = ["bulk.READ", "modules.ALL", "settings.modules.READ", "settings.fields.READ"]
    server = serve(organisation, scopes=[f"ZohoCRM.{scope}" for scope in scopes])

    run = tap.run(server, module_options=by_view("CONVERTED"))

    assert "ZohoCRM.settings.custom_views.READ" in failure(run, server)


def test_a_view_and_an_id_together_are_told_before_any_request(
    tap: TapCommand, server: ZohoServer
) -> None:
    options = {"Leads": {"custom_view": "CONVERTED", "custom_view_id": "1"}}

    run = tap.run(server, module_options=options)

    assert run.exit_code != 0
    assert run.line("config['module_options']['Leads']", "`custom_view`", "`custom_view_id`")
    assert not server.requests


def test_no_view_is_asked_for_of_streams_that_are_not_selected(
    tap: TapCommand, server: ZohoServer
) -> None:
    catalog = select(tap.discover(server), {"Contacts": None})

    tap.sync(server, catalog=catalog, module_options=by_view("Nobody's"))

    assert not server.requests_matching("GET", VIEWS)


@pytest.mark.parametrize("info", [None, "odd", {"more_records": True}, {}])
def test_odd_lists_of_views_end(
    tap: TapCommand, server: ZohoServer, organisation: Organisation, info: Any
) -> None:
    wanted = organisation.module("Leads").custom_views[-1]
    views = [{"id": 5, "name": "odd"}, "odd", {"name": "odd"}, {"id": wanted.id, "name": "W"}]
    body = {"custom_views": views, "info": info}
    server.faults.add(Fault(path=VIEWS, times=None, status=200, body=body))

    run = tap.sync(server, modules=["Leads"], module_options=by_view("W"))

    assert run.by_id("Leads")
    assert len(server.requests_matching("GET", VIEWS)) <= 2
